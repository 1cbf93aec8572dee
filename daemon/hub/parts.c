#include "daemon/hub/parts.h"

#include "daemon/base/limits.h"
#include "daemon/base/url.h"
#include "daemon/hub/client.h"
#include "daemon/hub/reached.h"
#include "daemon/hub/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { API, FILES, HOSTS }; /* places in parts.rows */

static int is_of_endpoint(const struct part *part)
{
    return part->bucket != TRANSFER_BUCKET_NONE;
}

static int is_down(const struct outage *outage)
{
    return outage->state == OUTAGE_STATE_ON || outage->state == OUTAGE_STATE_ENDURED;
}

static void free_part(struct part *part)
{
    if (part)
        transfer_reset(&part->question);
    free(part);
}

/* A place for one more: at the end, or that of another host which nobody will miss. */
static struct part **make_room(struct parts *parts)
{
    struct part **oldest = NULL;
    if (parts->count < PARTS_MAX)
        return &parts->rows[parts->count++];
    for (size_t i = HOSTS; i < parts->count; i++) {
        struct part *part = parts->rows[i];
        if (part->outage.state == OUTAGE_STATE_NONE && part->told == OUTAGE_STATE_NONE &&
            part->question.state != TRANSFER_STATE_RUNNING && (!oldest || part->used_ms < (*oldest)->used_ms))
            oldest = &parts->rows[i];
    }
    return oldest;
}

static struct part *add(struct parts *parts, enum transfer_bucket bucket, const char *home,
                        const char *witness, int is_reached)
{
    const struct hub_options *options = parts->options;
    const struct outage_times times = {.first_ms = options->outage_first_ms,
                                       .longest_ms = options->outage_longest_ms,
                                       .limit_ms = options->outage_limit_ms};
    struct part *part = calloc(1, sizeof *part);
    struct part **place = part ? make_room(parts) : NULL;
    if (!place) {
        free(part);
        return NULL;
    }
    if (*place)
        free_part(*place);
    *place = part;
    part->bucket = bucket;
    part->is_kept = is_reached;
    outage_init(&part->outage, &times, home, witness, is_reached || options->is_reached);
    transfer_init(&part->question);
    return part;
}

/* The part of another host; `witness` "": nothing is known of it. */
static struct part *add_host(struct parts *parts, const char *url, const char *witness)
{
    char home[LIMIT_URL_BYTES];
    size_t length = url_origin_length(url);
    if (!length || length + 2 > sizeof home)
        return NULL;
    (void)snprintf(home, sizeof home, "%.*s/", (int)length, url);
    return add(parts, TRANSFER_BUCKET_NONE, home, witness, witness[0] != '\0');
}

struct part *parts_find(struct parts *parts, enum transfer_bucket bucket, const char *url, int64_t now_ms)
{
    struct part *found = NULL;
    size_t length = url_origin_length(url);
    for (size_t i = 0; i < parts->count && !found; i++) {
        struct part *part = parts->rows[i];
        if (part->bucket == bucket &&
            (is_of_endpoint(part) || (url_origin_length(part->outage.home) == length &&
                                      strncasecmp(part->outage.home, url, length) == 0)))
            found = part;
    }
    if (!found)
        found = add_host(parts, url, "");
    if (found)
        found->used_ms = now_ms;
    return found;
}

static void take_reached(void *context, const char *url)
{
    struct parts *parts = context;
    if (!url_is_same_origin(parts->options->endpoint, url)) {
        if (parts->count < PARTS_MAX)
            (void)add_host(parts, url, url);
        return;
    }
    struct part *files = parts->rows[FILES];
    (void)snprintf(files->outage.witness, sizeof files->outage.witness, "%s", url);
    files->is_kept = 1;
}

int parts_init(struct parts *parts, const struct hub_options *options, struct err *err)
{
    char home[LIMIT_URL_BYTES];
    *parts = (struct parts){.options = options};
    (void)snprintf(home, sizeof home, "%s" HUB_QUESTION, options->endpoint);
    if (!add(parts, TRANSFER_BUCKET_API, home, "", 0) || !add(parts, TRANSFER_BUCKET_FILES, home, "", 0)) {
        parts_free(parts);
        return err_set(err, ERR_NO_MEMORY, "hub: out of memory");
    }
    if (options->outage_first_ms && options->state_folder &&
        reached_read(options->state_folder, options->endpoint, take_reached, parts)) {
        parts->rows[API]->is_kept = 1;
        parts->rows[API]->outage.is_reached = parts->rows[FILES]->outage.is_reached = 1;
    }
    return 0;
}

void parts_free(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        free_part(parts->rows[i]);
    parts->count = 0;
}

struct part *parts_of_question(struct parts *parts, const struct transfer *transfer)
{
    for (size_t i = 0; i < parts->count; i++) {
        if (transfer == &parts->rows[i]->question)
            return parts->rows[i];
    }
    return NULL;
}

int parts_refuse(struct part *part, int64_t now_ms, struct err *err)
{
    if (!part || outage_update(&part->outage, now_ms) != OUTAGE_STATE_ON)
        return 0;
    if (err)
        (void)err_set(err, ERR_UNREACHABLE, "%s is down; waiting for it to come back: %s",
                      is_of_endpoint(part) ? "the hub" : "a host of the hub's files", part->outage.reason);
    return 1;
}

/* What happens to one part of the endpoint, which is one program after all, soon happens to the other. */
static void update_other(struct outage *other, int is_refusing, int64_t now_ms)
{
    if (is_refusing)
        outage_doubt(other, now_ms);
    else
        other->ask_at_ms = now_ms;
}

void parts_update(struct parts *parts, int64_t now_ms)
{
    parts->refusing_count = 0;
    for (size_t i = 0; i < parts->count; i++) {
        struct part *part = parts->rows[i];
        int is_refusing = outage_update(&part->outage, now_ms) == OUTAGE_STATE_ON;
        parts->refusing_count += is_refusing ? 1 : 0;
        parts->end_count += part->was_refusing && !is_refusing ? 1 : 0;
        if (is_refusing != part->was_refusing && is_of_endpoint(part))
            update_other(&parts->rows[i == API ? FILES : API]->outage, is_refusing, now_ms);
        part->was_refusing = is_refusing;
    }
}

uint64_t parts_mark(const struct parts *parts)
{
    return parts->refusing_count ? parts->end_count + 1 : 0;
}

/* -- What is told ---------------------------------------------------------------------------------------- */

/* The endpoint's API comes first, then its files; of other hosts, one that refuses requests before one that
 * does not any more. */
static const struct part *first_down(const struct parts *parts)
{
    const struct part *found = NULL;
    for (size_t i = 0; i < parts->count; i++) {
        const struct part *part = parts->rows[i];
        if (is_down(&part->outage) &&
            (!found || (!is_of_endpoint(found) && found->outage.state == OUTAGE_STATE_ENDURED &&
                        part->outage.state == OUTAGE_STATE_ON)))
            found = part;
    }
    return found;
}

int64_t parts_ask_at_ms(const struct parts *parts)
{
    const struct part *part = first_down(parts);
    return part && part->outage.state == OUTAGE_STATE_ON ? part->outage.ask_at_ms : -1;
}

void parts_read_wait(const struct parts *parts, struct hub_wait *wait)
{
    const struct part *part = first_down(parts);
    wait->is_partial = part && part->bucket != TRANSFER_BUCKET_API;
    wait->is_endured = part && part->outage.state == OUTAGE_STATE_ENDURED;
    const int is_told = part && wait->reason == HUB_WAIT_UNREACHABLE;
    (void)snprintf(wait->detail, sizeof wait->detail, "%s%s", is_told ? part->outage.reason : "",
                   is_told && parts->rows[API]->outage.state == OUTAGE_STATE_NONE ? "; the hub's API answers"
                                                                                  : "");
}

void parts_read_problem(const struct parts *parts, char problem[ERR_MESSAGE_BYTES])
{
    const struct outage *outage = &parts->rows[API]->outage;
    (void)snprintf(problem, ERR_MESSAGE_BYTES, "%s", is_down(outage) ? outage->reason : "");
}

/* Of all parts of the endpoint, or of another host, what is worst. */
static const struct outage *worst_of(const struct parts *parts, size_t index)
{
    const struct outage *worst = &parts->rows[index]->outage, *files = &parts->rows[FILES]->outage;
    return index == API && files->state > worst->state ? files : worst;
}

int parts_take_news(struct parts *parts, struct hub_outage *ret_news)
{
    for (size_t i = 0; i < parts->count; i++) {
        struct part *part = parts->rows[i];
        const struct outage *outage = worst_of(parts, i);
        enum outage_state state = is_down(outage) ? outage->state : OUTAGE_STATE_NONE;
        if (i == FILES || state == part->told)
            continue;
        part->told = state;
        *ret_news = (struct hub_outage){.is_over = state == OUTAGE_STATE_NONE,
                                        .is_endured = state == OUTAGE_STATE_ENDURED,
                                        .is_partial = !is_of_endpoint(part)};
        (void)snprintf(ret_news->host, sizeof ret_news->host, "%.*s",
                       (int)url_origin_length(part->outage.home), part->outage.home);
        if (!ret_news->is_over)
            memcpy(ret_news->reason, outage->reason, sizeof ret_news->reason);
        return 1;
    }
    return 0;
}

int parts_take_reached(struct parts *parts, struct buf *urls)
{
    int has_news = 0;
    for (size_t i = 0; i < parts->count; i++) {
        struct part *part = parts->rows[i];
        if (part->is_kept || !part->outage.witness[0])
            continue;
        part->is_kept = has_news = 1;
    }
    for (size_t i = FILES; has_news && i < parts->count; i++) {
        const char *url = parts->rows[i]->outage.witness;
        if (url[0] && !memchr(url, '@', url_origin_length(url)))
            (void)buf_appendf(urls, "%.*s\n", (int)strcspn(url, "?"), url);
    }
    return has_news;
}
