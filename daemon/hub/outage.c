#include "daemon/hub/outage.h"

#include <stdio.h>
#include <string.h>

static void set_text(char *text, size_t size, const char *value)
{
    (void)snprintf(text, size, "%s", value);
}

/* The query names no file: each redirect to a CDN puts another signature into it. */
static int is_same_file(const char *a, const char *b)
{
    size_t length = strcspn(a, "?");
    return length == strcspn(b, "?") && memcmp(a, b, length) == 0;
}

void outage_init(struct outage *outage, const struct outage_times *times, const char *home,
                 const char *witness, int is_reached)
{
    memset(outage, 0, sizeof *outage);
    outage->times = *times;
    outage->is_reached = is_reached;
    set_text(outage->home, sizeof outage->home, home);
    set_text(outage->witness, sizeof outage->witness, witness);
}

/* When to ask again: intervals double. */
static void plan_question(struct outage *outage, int64_t now_ms, double jitter)
{
    int64_t interval_ms = outage->times.first_ms;
    for (int i = 0; i < outage->question_count && interval_ms < outage->times.longest_ms; i++)
        interval_ms *= 2;
    if (interval_ms > outage->times.longest_ms)
        interval_ms = outage->times.longest_ms;
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
    /* A failure of long ago, which nothing has followed, is not when it began. */
    outage->since_ms = now_ms - outage->failed_ms > OUTAGE_SETTLED_MS ? now_ms : outage->failed_ms;
    set_text(outage->reason, sizeof outage->reason, reason);
    plan_question(outage, now_ms, jitter);
}

static void end(struct outage *outage, int64_t now_ms)
{
    if (outage->state != OUTAGE_STATE_DOUBT)
        outage->ended_ms = now_ms;
    outage->state = OUTAGE_STATE_NONE;
    outage->failure_count = 0;
}

static void begin_doubt(struct outage *outage, int64_t now_ms)
{
    outage->state = OUTAGE_STATE_DOUBT;
    outage->ask_at_ms = now_ms;
}

/* Enough has failed: is it the file? */
static void accuse(struct outage *outage, const char *url, enum outage_sign sign, const char *reason,
                   int64_t now_ms, double jitter)
{
    outage->asked =
        outage->witness[0] && !is_same_file(outage->witness, url) ? outage->witness : outage->home;
    if (sign == OUTAGE_SIGN_NO_HOST)
        begin(outage, reason, now_ms, jitter);
    else
        begin_doubt(outage, now_ms);
}

void outage_note(struct outage *outage, const char *url, enum outage_sign sign, const char *reason,
                 int64_t now_ms, double jitter)
{
    if (!outage->times.first_ms || sign == OUTAGE_SIGN_NONE)
        return;
    if (sign == OUTAGE_SIGN_ANSWER) {
        if (strcmp(outage->witness, url) != 0)
            set_text(outage->witness, sizeof outage->witness, url);
        outage->is_reached = 1;
        outage->failure_count = 0;
        if (outage->state != OUTAGE_STATE_NONE)
            end(outage, now_ms);
        return;
    }
    if (outage->state != OUTAGE_STATE_NONE)
        return;
    if (outage->failure_count++ == 0)
        outage->failed_ms = now_ms;
    if (outage->is_reached && outage->failure_count >= OUTAGE_FAILURES &&
        now_ms - outage->failed_ms >= OUTAGE_AFTER_MS)
        accuse(outage, url, sign, reason, now_ms, jitter);
}

int outage_accuse(struct outage *outage, const char *url, enum outage_sign sign, const char *reason,
                  int64_t now_ms, double jitter)
{
    if (!outage->times.first_ms || !outage->is_reached ||
        (sign != OUTAGE_SIGN_FAILURE && sign != OUTAGE_SIGN_NO_HOST))
        return 0;
    /* What failed once since the last answer is alone. */
    if (outage->state == OUTAGE_STATE_NONE && outage->failure_count > 1)
        accuse(outage, url, sign, reason, now_ms, jitter);
    return outage->state == OUTAGE_STATE_DOUBT || outage->state == OUTAGE_STATE_ON;
}

void outage_doubt(struct outage *outage, int64_t now_ms)
{
    int is_late = !outage->doubted_ms || now_ms - outage->doubted_ms >= OUTAGE_DOUBT_MS;
    if (!outage->times.first_ms || !outage->is_reached || outage->state != OUTAGE_STATE_NONE || !is_late)
        return;
    if (outage->failure_count == 0)
        outage->failed_ms = now_ms;
    outage->doubted_ms = now_ms;
    /* A mirror that answers all that is needed may fail at what only the hub knows. */
    outage->asked = outage->witness[0] ? outage->witness : outage->home;
    begin_doubt(outage, now_ms);
}

enum outage_state outage_update(struct outage *outage, int64_t now_ms)
{
    if (outage->state == OUTAGE_STATE_ON && now_ms - outage->since_ms >= outage->times.limit_ms)
        outage->state = OUTAGE_STATE_ENDURED;
    return outage->state;
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
        end(outage, now_ms);
    } else if (outage->state == OUTAGE_STATE_DOUBT) {
        begin(outage, reason, now_ms, jitter);
    } else {
        set_text(outage->reason, sizeof outage->reason, reason);
        plan_question(outage, now_ms, jitter);
    }
}
