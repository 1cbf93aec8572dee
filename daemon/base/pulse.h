/*
 * A thread's sign of life. A thread that must never stand still has a pulse and beats in each turn of its
 * loop, and also during legitimate waits: for work, for the network, for another thread. A watcher asks how
 * old the last beat is. Code that waits on behalf of any thread just beats; for a thread without a pulse
 * nothing happens.
 */
#ifndef BIFURCATED_BASE_PULSE_H
#define BIFURCATED_BASE_PULSE_H

#include <pthread.h>
#include <stdint.h>

struct pulse {
    _Atomic int64_t beat_ms; /* monotonic; 0: never */
    _Atomic(const char *)
        callee; /* who does something for the thread now: "the compute device"; NULL: nobody */
};

/* From now on pulse_beat() of this thread means this pulse, which must outlive the thread or the next call;
 * NULL for none. Beats once. */
void pulse_attach(struct pulse *pulse);

/* That of the calling thread, or NULL: threads that work for another attach the other's. */
struct pulse *pulse_own(void);

/* The calling thread is alive. */
void pulse_beat(void);

/* The same for the thread that has this pulse, which may be NULL. */
void pulse_beat_for(struct pulse *pulse);

/* The calling thread calls something that may never answer, named by a literal; NULL: it is back. */
void pulse_call(const char *callee);

/* pthread_cond_wait() for a bounded time (the caller checks its condition again in any case), with a beat:
 * a thread that waits for another one is not the one that stands still. */
void pulse_wait(pthread_cond_t *changed, pthread_mutex_t *lock, int64_t at_most_ms);

/* How long ago the last beat was; 0 for a pulse that never had one, since its thread has not begun. */
int64_t pulse_age_ms(const struct pulse *pulse);

#endif
