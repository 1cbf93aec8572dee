/*
 * Retention: what the store lets go of as it grows old.
 *
 * Finished sweeps, with their tasks and history, once they ended `days` ago; and the large values
 * (distributions, columns, samples) of weights that no branch has any more. Results of present revisions stay
 * for ever, whatever their age.
 */
#ifndef BIFURCATED_STORE_RETENTION_H
#define BIFURCATED_STORE_RETENTION_H

#include "daemon/base/err.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdint.h>

struct retention_counts {
    int64_t sweeps;
    int64_t contents; /* that lost their large values */
};

/* Since when ages are counted: the clock's time, unless that is more than two days ahead of what was noted
 * here last, which is noted anew once in a day. So a clock that was set years ahead deletes nothing at once,
 * and after a long stop what is old goes later, by half of that stop at most. A clock that is behind, or not
 * set, is believed: it makes everything younger. */
int retention_time(struct store *store, int64_t wall_ms, int64_t *ret_now_ms, struct err *err);

/* One time through all that is old, in as many calls as one likes. */
struct retention_run {
    int64_t before_ms; /* sweeps that ended before it go; 0: they stay */
    int is_at_contents;
    int64_t after; /* sweeps, then contents, up to this one are looked at */
    struct retention_counts counts;
};

/* days 0: sweeps stay. */
void retention_begin(struct retention_run *run, int64_t days, int64_t now_ms);

/* Deletes in small transactions, so that other writers get their turn, in parts of at most 100 sweeps that
 * have 1,000 tasks together, 1,000 tasks of one that has more, or 20 contents found among 5,000. Each takes
 * one of *parts (NULL: there is no bound); *ret_is_over tells whether that was all. ERR_CANCELLED once
 * *cancel (or NULL) is true. */
int retention_continue(struct store *store, struct retention_run *run, const atomic_bool *cancel, int *parts,
                       int *ret_is_over, struct err *err);

#endif
