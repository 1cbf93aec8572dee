/*
 * Time. Wall-clock times are stored in milliseconds since 1970 UTC; durations and deadlines use the monotonic
 * clock, which never jumps.
 */
#ifndef BIFURCATED_BASE_CLOCK_H
#define BIFURCATED_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_SIZE 32

/* Milliseconds since 1970-01-01 UTC. */
int64_t clock_wall_ms(void);

/* Milliseconds since some fixed point; for differences only. */
int64_t clock_monotonic_ms(void);

/* Seconds since some fixed point with nanosecond resolution; for measuring. */
double clock_monotonic_s(void);

/* Whether this may be the time: a machine without a battery stands in 1970, or at its system's birth, until
 * somebody sets its clock. */
int clock_is_set(int64_t wall_ms);

/* "2026-11-23T08:15:00.123Z" into text[CLOCK_TEXT_SIZE]. */
void clock_format(int64_t wall_ms, char *text, size_t size);

/* Sleeps; returns early on a signal. */
void clock_sleep_ms(int64_t duration_ms);

#endif
