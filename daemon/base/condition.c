#include "daemon/base/condition.h"

#include "daemon/base/clock.h"

#include <time.h>

int condition_wait_until(pthread_cond_t *changed, pthread_mutex_t *lock, int64_t until_ms)
{
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    return pthread_cond_clockwait(changed, lock, CLOCK_MONOTONIC, &until) != 0;
}

int condition_wait(pthread_cond_t *changed, pthread_mutex_t *lock, int64_t at_most_ms)
{
    return condition_wait_until(changed, lock, clock_monotonic_ms() + (at_most_ms > 0 ? at_most_ms : 0));
}
