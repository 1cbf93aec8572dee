/*
 * A thread's sign of life. A thread that must never stand still has a pulse and beats in each turn of its
 * loop, also while it waits as it should: for work, for the network. Whoever watches asks how old the last
 * beat is. Code that waits on behalf of any thread just beats; without a pulse nothing happens.
 */
#ifndef BIFURCATED_BASE_PULSE_H
#define BIFURCATED_BASE_PULSE_H

#include <stdint.h>

struct pulse {
    _Atomic int64_t beat_ms; /* monotonic; 0: never */
};

/* From now on pulse_beat() of this thread means this pulse, which must outlive the thread or the next call;
 * NULL for none. Beats once. */
void pulse_attach(struct pulse *pulse);

/* The calling thread is alive. */
void pulse_beat(void);

/* How long ago the last beat was; 0 for a pulse that never had one, since its thread has not begun. */
int64_t pulse_age_ms(const struct pulse *pulse);

#endif
