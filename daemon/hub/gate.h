/*
 * The gate before the endpoint: our own budget of requests per five minutes, of its API and of its files
 * each, as the hub counts them, and the pauses that the hub asks for. It says how long a request must wait,
 * and sums the waiting up (struct hub_wait), so that a hub that lets nothing through can be told from one
 * that is slow.
 *
 * Pure: the time is handed in, and whoever calls has the lock. A turn asks about every queued request:
 *
 *     gate_begin_turn(gate);
 *     for each queued request: gate_wait_ms(gate, bucket, start_at_ms, now_ms);
 *     if (gate_end_turn(gate, now_ms)) tell gate->wait to whoever wants to know;
 */
#ifndef BIFURCATED_HUB_GATE_H
#define BIFURCATED_HUB_GATE_H

#include "daemon/hub/hub.h"

#include <stdint.h>

/* The hub counts its API and its files apart; other hosts (the CDN) are not held back. */
enum transfer_bucket { TRANSFER_BUCKET_NONE, TRANSFER_BUCKET_API, TRANSFER_BUCKET_FILES };
#define TRANSFER_BUCKET_COUNT 3

#define GATE_LEFT_TO_OTHERS 50 /* a tenth of what the hub allows its API who has no token */

struct gate {
    int budget;        /* requests of each bucket in a window; 0: no budget */
    int64_t window_ms; /* its length */
    int64_t window_end_ms;
    int window_count[TRANSFER_BUCKET_COUNT];
    int64_t hold_until_ms[TRANSFER_BUCKET_COUNT];
    enum hub_wait_reason hold_reason[TRANSFER_BUCKET_COUNT];
    int64_t short_until_ms[TRANSFER_BUCKET_COUNT]; /* until when what the hub still takes is little */

    struct hub_wait wait;  /* as of the last turn */
    int64_t wait_until_ms; /* the same on the monotonic clock */
    int64_t turn_ms;       /* when the last turn was; 0: none */
    int64_t over_ms;       /* since when nothing waits any more, while that was not told; else 0 */
    int is_told;           /* a wait was told and its end was not */

    struct hub_wait next; /* of the turn under way */
    int64_t next_until_ms;
};

/* A window of 0 ms is the hub's own, five minutes. */
void gate_init(struct gate *gate, int budget, int64_t window_ms);

/* Lets no request of this bucket through for a while, because of `reason`. */
void gate_hold(struct gate *gate, enum transfer_bucket bucket, enum hub_wait_reason reason, int64_t now_ms,
               int64_t duration_ms);

/* The hub takes `left` more requests of this bucket within the next `reset_ms`. */
void gate_note_left(struct gate *gate, enum transfer_bucket bucket, int64_t left, int64_t now_ms,
                    int64_t reset_ms);

/* Whether a request of this bucket that could wait may be made now: the bucket is not held back, and half
 * of our budget and GATE_LEFT_TO_OTHERS of what the hub allows are still there for others. */
int gate_has_room(const struct gate *gate, enum transfer_bucket bucket, int64_t now_ms);

/* In a turn: something is down, and is asked again at `ask_at_ms`. Whatever else waits, this is the wait. */
void gate_note_outage(struct gate *gate, int64_t ask_at_ms);

/* A request of this bucket starts. */
void gate_count(struct gate *gate, enum transfer_bucket bucket);

void gate_begin_turn(struct gate *gate);

/* Milliseconds until a queued request that is not to start before `start_at_ms` may do so; 0: now. */
int64_t gate_wait_ms(struct gate *gate, enum transfer_bucket bucket, int64_t start_at_ms, int64_t now_ms);

/* Takes over what the turn found; `wall_ms` is now_ms on the wall clock. Returns whether a wait is to be
 * told: gate->wait has a reason when it begins and has none when it is over. Pauses of less than two seconds
 * are not told, and one that follows another at once is the same wait. What is down is told elsewhere. */
int gate_end_turn(struct gate *gate, int64_t now_ms, int64_t wall_ms);

#endif
