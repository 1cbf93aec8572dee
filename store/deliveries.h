/*
 * Deliveries to webhooks: an outbox. An event becomes a row in the transaction that causes it, so that
 * neither a crash nor a receiver that is down loses one; the daemon delivers rows, to each host one after the
 * other, and tries again until it gives up. A receiver may get a delivery twice (the daemon died before it
 * could note the answer), and knows that by its name.
 *
 * The end of a sweep is noted here by the queue itself; findings come from store/announcements.h.
 */
#ifndef BIFURCATED_STORE_DELIVERIES_H
#define BIFURCATED_STORE_DELIVERIES_H

#include "daemon/base/buf.h"
#include "store/store.h"
#include "store/watches.h"

#define DELIVERIES_NAME_SIZE 33 /* 32 hexadecimal digits and a 0 */
#define DELIVERIES_KEPT 100     /* ended ones of each watch */
#define DELIVERIES_PAUSE_LONGEST_MS 3600000

enum delivery_event {
    DELIVERY_EVENT_SWEEP_FINISHED,
    DELIVERY_EVENT_ONSET_FOUND,
    DELIVERY_EVENT_STOPPING_RECOMMENDED,
    DELIVERY_EVENT_AUDIT_FINDING,
    DELIVERY_EVENT_COUNT
};

enum delivery_state {
    DELIVERY_STATE_PENDING,
    DELIVERY_STATE_DELIVERED,
    DELIVERY_STATE_FAILED, /* given up */
    DELIVERY_STATE_COUNT
};

struct delivery_row {
    int64_t id;
    int64_t watch_id;
    char model[LIMIT_MODEL_NAME_BYTES + 1];
    char name[DELIVERIES_NAME_SIZE];
    enum delivery_event event;
    int64_t sweep_id; /* of SWEEP_FINISHED; else 0 */
    enum delivery_state state;
    int attempts;
    int64_t next_ms; /* of the next attempt */
    int64_t created_ms;
    int64_t ended_ms; /* 0: pending */
    int status;       /* HTTP, of the last answer; 0: none */
    char error[STORE_ERROR_MESSAGE_SIZE];
};

/* "sweep.finished", ...; "pending", ... */
const char *delivery_event_name(enum delivery_event event);
const char *delivery_state_name(enum delivery_state state);

struct delivery_due {
    struct delivery_row row;
    struct watch_row watch; /* as it is now */
};

/* The pending delivery whose attempt is due at `now_ms` for the longest time;
 * those of which is_busy(), called with the delivery's id and the webhook's URL, is not 0 are passed over.
 * One whose pause seems longer than DELIVERIES_PAUSE_LONGEST_MS is due: the clock was set back.
 * ERR_NOT_FOUND: none is; *ret_wait_ms then becomes the time until another one is due, or -1. */
int deliveries_next(struct store *store, int64_t now_ms,
                    int (*is_busy)(void *context, int64_t id, const char *url), void *context,
                    struct delivery_due *ret_due, int64_t *ret_wait_ms, struct err *err);

/* The text that is sent, which never changes; "" until it was set. ERR_NOT_FOUND. */
int deliveries_get_body(struct store *store, int64_t id, struct buf *body, struct err *err);
int deliveries_set_body(struct store *store, int64_t id, const char *body, struct err *err);

struct delivery_attempt {
    enum delivery_state state; /* PENDING: it is tried again at next_ms */
    int64_t next_ms;
    int status;
    const char *error; /* "" if it went well */
};

/* Notes an attempt. One that ended is kept among the newest DELIVERIES_KEPT of its watch. No error if it is
 * gone (the watch was deleted). */
int deliveries_record(struct store *store, int64_t id, const struct delivery_attempt *attempt,
                      struct err *err);

/* Of a watch, newest first, those before `before_id` (0: all), at most `limit`. */
int deliveries_list(struct store *store, int64_t watch_id, int64_t before_id, int limit,
                    int (*row)(void *context, const struct delivery_row *row), void *context,
                    struct err *err);

/* How many are in each state; counts[DELIVERY_STATE_COUNT]. */
int deliveries_count(struct store *store, int64_t *counts, struct err *err);

#endif
