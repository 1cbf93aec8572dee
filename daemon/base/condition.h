/*
 * Waiting for another thread for a bounded time. Of the monotonic clock, as all deadlines are
 * (daemon/base/clock.h), whatever attributes the condition was made with.
 */
#ifndef BIFURCATED_BASE_CONDITION_H
#define BIFURCATED_BASE_CONDITION_H

#include <pthread.h>
#include <stdint.h>

/* As pthread_cond_wait(), until `until_ms` of clock_monotonic_ms() at most. Nonzero: that is over. */
int condition_wait_until(pthread_cond_t *changed, pthread_mutex_t *lock, int64_t until_ms);

/* The same for so long at most; less than 0 is 0. */
int condition_wait(pthread_cond_t *changed, pthread_mutex_t *lock, int64_t at_most_ms);

#endif
