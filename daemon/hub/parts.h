/*
 * For this folder only: the parts of the hub that can be down, each by itself (daemon/hub/outage.h): the
 * endpoint's API, the endpoint's files, and each other host that the endpoint leads to. What needs a part
 * that is down waits for it, and nothing else does.
 *
 * The state folder keeps which parts ever answered, and of what; see reached.h.
 *
 * Whoever calls has the lock. The time is monotonic.
 */
#ifndef BIFURCATED_HUB_PARTS_H
#define BIFURCATED_HUB_PARTS_H

#include "daemon/base/buf.h"
#include "daemon/hub/outage.h"
#include "daemon/hub/transfer.h"

#include <stdint.h>

#define PARTS_MAX 12 /* beyond, the host that was not asked for longest is forgotten, unless it is down */

struct part {
    enum transfer_bucket bucket; /* TRANSFER_BUCKET_NONE: of another host */
    struct outage outage;
    struct transfer question; /* whether it answers; in no list */
    int64_t used_ms;
    int is_kept;            /* by the state folder, as one that answered */
    int was_refusing;       /* when it was looked at last */
    enum outage_state told; /* of the endpoint: of all its parts, at the first of them */
};

struct parts {
    const struct hub_options *options;
    struct part *rows[PARTS_MAX]; /* the endpoint's API, its files, other hosts */
    size_t count;
    size_t refusing_count;
    uint64_t end_count; /* outages that are over, or endured: what waited for them may go on */
};

/* ERR_NO_MEMORY. The options must outlive it. */
int parts_init(struct parts *parts, const struct hub_options *options, struct err *err);
void parts_free(struct parts *parts);

/* The part that a request is for; NULL if there is no room for another because all known ones are down:
 * then nothing is known of it. */
struct part *parts_find(struct parts *parts, enum transfer_bucket bucket, const char *url, int64_t now_ms);

/* The part whose question this is, or NULL. */
struct part *parts_of_question(struct parts *parts, const struct transfer *transfer);

/* Whether requests to the part (which may be NULL) are refused now; err (which may be NULL) then says why. */
int parts_refuse(struct part *part, int64_t now_ms, struct err *err);

/* In each turn: takes note of what has begun and ended. Where the endpoint's API is down or back, its files
 * are asked, and the other way round. */
void parts_update(struct parts *parts, int64_t now_ms);

/* When the part that is down, as parts_read_wait() tells, is asked again; -1: all may be asked. */
int64_t parts_ask_at_ms(const struct parts *parts);

/* 0: no part refuses requests; else a number that changes whenever one stops doing so. */
uint64_t parts_mark(const struct parts *parts);

/* Fills in what `wait` tells of a part that is down, of the endpoint first; its words only if that is the
 * reason. */
void parts_read_wait(const struct parts *parts, struct hub_wait *wait);

/* As hub_read_problem(). */
void parts_read_problem(const struct parts *parts, char problem[ERR_MESSAGE_BYTES]);

/* Takes one change that nobody was told yet; returns whether there is one. */
int parts_take_news(struct parts *parts, struct hub_outage *ret_news);

/* Whether a part has answered for the first time; appends what reached_write() is to keep to `urls`, one a
 * line. */
int parts_take_reached(struct parts *parts, struct buf *urls);

#endif
