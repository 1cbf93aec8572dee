#include "daemon/hub/outage.h"

#include <stdio.h>
#include <string.h>

static void set_text(char *text, size_t size, const char *value)
{
    (void)snprintf(text, size, "%s", value);
}

/* Of an address what names a file: each redirect to a CDN puts another signature into the query. */
static size_t name_length(const char *url)
{
    return strcspn(url, "?");
}

static int is_same_file(const char *a, const char *b)
{
    size_t length = name_length(a);
    return length == name_length(b) && memcmp(a, b, length) == 0;
}

/* FNV-1a: only whether two files differ. */
static uint64_t hash(const char *url)
{
    uint64_t value = UINT64_C(14695981039346656037);
    for (size_t i = 0, length = name_length(url); i < length; i++)
        value = (value ^ (unsigned char)url[i]) * UINT64_C(1099511628211);
    return value;
}

void outage_init(struct outage *outage, const char *home, int64_t first_ms, int64_t longest_ms,
                 int64_t limit_ms, int is_reached)
{
    memset(outage, 0, sizeof *outage);
    outage->first_ms = first_ms;
    outage->longest_ms = longest_ms;
    outage->limit_ms = limit_ms;
    outage->is_reached = is_reached;
    set_text(outage->home, sizeof outage->home, home);
}

/* When to ask again: intervals double. */
static void plan_question(struct outage *outage, int64_t now_ms, double jitter)
{
    int64_t interval_ms = outage->first_ms;
    for (int i = 0; i < outage->question_count && interval_ms < outage->longest_ms; i++)
        interval_ms *= 2;
    if (interval_ms > outage->longest_ms)
        interval_ms = outage->longest_ms;
    outage->question_count++;
    outage->ask_at_ms = now_ms + (int64_t)((double)interval_ms * jitter);
}

static void begin(struct outage *outage, const char *reason, int64_t now_ms, double jitter)
{
    /* What has just ended and is back was no end: a hub that answers only the question is asked less often.
     */
    if (!outage->ended_ms || now_ms - outage->ended_ms > OUTAGE_SETTLED_MS)
        outage->question_count = 0;
    outage->state = OUTAGE_STATE_ON;
    /* A failure of long ago, which nothing of its kind has followed, is not when it began. */
    int64_t first_ms = outage->rows[outage->bucket].first_ms;
    outage->since_ms = now_ms - first_ms > OUTAGE_SETTLED_MS ? now_ms : first_ms;
    set_text(outage->reason, sizeof outage->reason, reason);
    plan_question(outage, now_ms, jitter);
}

static void end(struct outage *outage, int64_t now_ms)
{
    if (outage->state != OUTAGE_STATE_DOUBT)
        outage->ended_ms = now_ms;
    outage->state = OUTAGE_STATE_NONE;
    for (size_t i = 0; i < TRANSFER_BUCKET_COUNT; i++)
        outage->rows[i].count = 0;
}

static void choose_question(struct outage *outage, enum transfer_bucket bucket, const char *url)
{
    set_text(outage->asked, sizeof outage->asked, url);
    outage->asks_of = bucket;
}

/* Enough has failed: is it the hub? */
static void doubt(struct outage *outage, enum transfer_bucket bucket, const char *url, enum outage_sign sign,
                  const char *reason, int64_t now_ms, double jitter)
{
    const struct outage_row *row = &outage->rows[bucket];
    int has_witness = row->witness[0] && !is_same_file(row->witness, url);
    outage->bucket = bucket;
    if (sign == OUTAGE_SIGN_NO_HOST) {
        /* Of the endpoint any address does; of another host this one. */
        if (bucket == TRANSFER_BUCKET_NONE)
            choose_question(outage, bucket, url);
        else
            choose_question(outage, TRANSFER_BUCKET_API, outage->home);
        begin(outage, reason, now_ms, jitter);
    } else if (!row->witness[0] && row->are_several) {
        choose_question(outage, bucket, url);
        begin(outage, reason, now_ms, jitter);
    } else {
        if (has_witness)
            choose_question(outage, bucket, row->witness);
        else
            choose_question(outage, TRANSFER_BUCKET_API, outage->home);
        outage->state = OUTAGE_STATE_DOUBT;
        outage->ask_at_ms = now_ms;
    }
}

void outage_note(struct outage *outage, enum transfer_bucket bucket, const char *url, enum outage_sign sign,
                 const char *reason, int64_t now_ms, double jitter)
{
    struct outage_row *row = &outage->rows[bucket];
    if (!outage->first_ms || sign == OUTAGE_SIGN_NONE)
        return;
    if (sign == OUTAGE_SIGN_ANSWER) {
        row->count = 0;
        if (strcmp(row->witness, url) != 0)
            set_text(row->witness, sizeof row->witness, url);
        outage->is_reached |= bucket != TRANSFER_BUCKET_NONE;
        if (outage->state != OUTAGE_STATE_NONE && outage->bucket == bucket)
            end(outage, now_ms);
        return;
    }
    if (outage->state != OUTAGE_STATE_NONE)
        return;
    if (row->count++ == 0) {
        row->first_ms = now_ms;
        row->first_url = hash(url);
        row->are_several = 0;
    }
    row->are_several |= hash(url) != row->first_url;
    if (outage->is_reached && row->count >= OUTAGE_FAILURES && now_ms - row->first_ms >= OUTAGE_AFTER_MS)
        doubt(outage, bucket, url, sign, reason, now_ms, jitter);
}

int outage_accuse(struct outage *outage, enum transfer_bucket bucket, const char *url, enum outage_sign sign,
                  const char *reason, int64_t now_ms, double jitter)
{
    if (!outage->first_ms || !outage->is_reached ||
        (sign != OUTAGE_SIGN_FAILURE && sign != OUTAGE_SIGN_NO_HOST))
        return 0;
    /* What failed once since the last answer of its kind is alone. */
    if (outage->state == OUTAGE_STATE_NONE && outage->rows[bucket].count > 1)
        doubt(outage, bucket, url, sign, reason, now_ms, jitter);
    return outage->state == OUTAGE_STATE_DOUBT || outage->state == OUTAGE_STATE_ON;
}

void outage_doubt(struct outage *outage, int64_t now_ms)
{
    struct outage_row *row = &outage->rows[TRANSFER_BUCKET_API];
    int is_late = !outage->doubted_ms || now_ms - outage->doubted_ms >= OUTAGE_DOUBT_MS;
    if (!outage->first_ms || !outage->is_reached || outage->state != OUTAGE_STATE_NONE || !is_late)
        return;
    if (row->count == 0)
        row->first_ms = now_ms;
    outage->doubted_ms = now_ms;
    outage->bucket = TRANSFER_BUCKET_API;
    /* A mirror that answers all that is needed may fail at what only the hub knows. */
    choose_question(outage, TRANSFER_BUCKET_API, row->witness[0] ? row->witness : outage->home);
    outage->state = OUTAGE_STATE_DOUBT;
    outage->ask_at_ms = now_ms;
}

enum outage_order outage_order(struct outage *outage, enum transfer_bucket bucket, int64_t now_ms)
{
    if (outage->state == OUTAGE_STATE_ON && now_ms - outage->since_ms >= outage->limit_ms)
        outage->state = OUTAGE_STATE_ENDURED;
    if (outage->state == OUTAGE_STATE_ON)
        return OUTAGE_ORDER_REFUSE;
    return outage->state == OUTAGE_STATE_DOUBT && outage->bucket == bucket ? OUTAGE_ORDER_WAIT
                                                                           : OUTAGE_ORDER_GO;
}

const char *outage_ask(struct outage *outage, int64_t now_ms)
{
    if (outage_ask_wait_ms(outage, now_ms) != 0)
        return NULL;
    outage->is_asking = 1;
    return outage->asked;
}

int64_t outage_ask_wait_ms(const struct outage *outage, int64_t now_ms)
{
    if (outage->state == OUTAGE_STATE_NONE || outage->is_asking)
        return -1;
    return outage->ask_at_ms > now_ms ? outage->ask_at_ms - now_ms : 0;
}

void outage_note_question(struct outage *outage, enum outage_sign sign, const char *reason, int64_t now_ms,
                          double jitter)
{
    outage->is_asking = 0;
    if (outage->state == OUTAGE_STATE_NONE)
        return; /* an answer to another request came first */
    if (sign != OUTAGE_SIGN_FAILURE && sign != OUTAGE_SIGN_NO_HOST) {
        if (sign == OUTAGE_SIGN_ANSWER) {
            /* Else files that fail for ever would raise the same outage again, and count nothing. */
            set_text(outage->rows[outage->asks_of].witness, LIMIT_URL_BYTES, outage->asked);
            outage->is_reached |= outage->asks_of != TRANSFER_BUCKET_NONE;
        }
        end(outage, now_ms);
    } else if (outage->state == OUTAGE_STATE_DOUBT) {
        begin(outage, reason, now_ms, jitter);
    } else {
        set_text(outage->reason, sizeof outage->reason, reason);
        plan_question(outage, now_ms, jitter);
    }
}
