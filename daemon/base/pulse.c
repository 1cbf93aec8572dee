#include "daemon/base/pulse.h"

#include "daemon/base/clock.h"
#include "daemon/base/condition.h"

#include <stdatomic.h>
#include <stddef.h>

static _Thread_local struct pulse *own;

void pulse_attach(struct pulse *pulse)
{
    own = pulse;
    pulse_beat();
}

struct pulse *pulse_own(void)
{
    return own;
}

void pulse_beat(void)
{
    pulse_beat_for(own);
}

void pulse_beat_for(struct pulse *pulse)
{
    if (pulse)
        atomic_store(&pulse->beat_ms, clock_monotonic_ms());
}

void pulse_call(const char *callee)
{
    if (own)
        atomic_store(&own->callee, callee);
    pulse_beat();
}

void pulse_wait(pthread_cond_t *changed, pthread_mutex_t *lock, int64_t at_most_ms)
{
    pulse_beat();
    (void)condition_wait(changed, lock, at_most_ms);
    pulse_beat();
}

int64_t pulse_age_ms(const struct pulse *pulse)
{
    int64_t beat_ms = atomic_load(&pulse->beat_ms);
    return beat_ms ? clock_monotonic_ms() - beat_ms : 0;
}
