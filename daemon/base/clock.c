#include "daemon/base/clock.h"

#include <stdio.h>
#include <time.h>

#define EARLIEST_MS INT64_C(1767225600000) /* 2026-01-01: this program is younger */

static int64_t read_ms(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

int64_t clock_monotonic_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

double clock_monotonic_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int clock_is_set(int64_t wall_ms)
{
    return wall_ms >= EARLIEST_MS;
}

void clock_format(int64_t wall_ms, char *text, size_t size)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    int milliseconds = (int)(wall_ms % 1000);
    struct tm parts;
    if (milliseconds < 0) {
        milliseconds += 1000;
        seconds--;
    }
    if (!gmtime_r(&seconds, &parts)) {
        (void)snprintf(text, size, "-");
        return;
    }
    (void)snprintf(text, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1,
                   parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, milliseconds);
}

void clock_sleep_ms(int64_t duration_ms)
{
    if (duration_ms <= 0)
        return;
    struct timespec time = {.tv_sec = duration_ms / 1000, .tv_nsec = duration_ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}
