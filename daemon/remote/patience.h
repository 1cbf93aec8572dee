/*
 * How long a worker goes on handing in a result that its daemon does not take.
 *
 * A daemon that is away, for an hour or a night, or whose disk is full, is waited for: what was measured is
 * worth more than the slot. A daemon that answers and does not take the result, or is there between attempts
 * and gone in each, will never take it: the attempt ends after PATIENCE_ATTEMPTS such tries (five to seven
 * minutes).
 */
#ifndef BIFURCATED_REMOTE_PATIENCE_H
#define BIFURCATED_REMOTE_PATIENCE_H

#include <stdint.h>

#define PATIENCE_ATTEMPTS 20

struct patience {
    int count;
    int64_t beats;
};

/* `beats`: how often the daemon has said that a claim holds, so far. */
void patience_begin(struct patience *patience, int64_t beats);

/* An attempt failed with `code` (of remote_link_record(), one that may pass). Returns whether it was the last
 * one. */
int patience_is_over(struct patience *patience, int code, int64_t beats);

#endif
