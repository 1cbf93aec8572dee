#include "daemon/base/pulse.h"

#include "daemon/base/clock.h"

#include <stdatomic.h>
#include <stddef.h>

static _Thread_local struct pulse *own;

void pulse_attach(struct pulse *pulse)
{
    own = pulse;
    pulse_beat();
}

void pulse_beat(void)
{
    if (own)
        atomic_store(&own->beat_ms, clock_monotonic_ms());
}

int64_t pulse_age_ms(const struct pulse *pulse)
{
    int64_t beat_ms = atomic_load(&pulse->beat_ms);
    return beat_ms ? clock_monotonic_ms() - beat_ms : 0;
}
