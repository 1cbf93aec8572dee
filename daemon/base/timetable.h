/*
 * When something periodic is due: every day at a local time, or every so many minutes.
 *
 * Pure functions of the given times and of the time zone that libc has (TZ, /etc/localtime). A local time
 * that a day lacks (clocks are set forward) counts as the first one after it that exists; one that a day has
 * twice (clocks are set back) counts once, the first time.
 */
#ifndef BIFURCATED_BASE_TIMETABLE_H
#define BIFURCATED_BASE_TIMETABLE_H

#include <stdint.h>

#define TIMETABLE_EVERY_MAX 525600 /* minutes: a year */
#define TIMETABLE_AT_SIZE 6        /* "02:30" and a 0 */

struct timetable {
    int at_minute;     /* minutes after local midnight, 0 to 1439; used if every_minutes is 0 */
    int every_minutes; /* 1 to TIMETABLE_EVERY_MAX; 0: daily */
};

/* Reads "02:30", two digits each: 1 and *ret_minute set, or 0. */
int timetable_parse_at(const char *text, int *ret_minute);

/* The other way, into text[TIMETABLE_AT_SIZE]. */
void timetable_format_at(int minute, char *text);

/* The first moment after `after_ms` at which the local clock shows `at_minute`. */
int64_t timetable_next(int at_minute, int64_t after_ms);

/*
 * When the next run is due: now or earlier means at once. `since_ms`: from when on the timetable counts;
 * `last_ms`: begin of the last run, 0 for none.
 *
 * By interval the first run is due when the timetable begins, the next ones that much after the begin of the
 * last. Runs that were missed (the daemon was off, the clock was set forward) are due once, not once each. If
 * the clock was set back so far that more than two periods would pass, a run is due at once, and the next
 * ones count from that.
 */
int64_t timetable_due(const struct timetable *timetable, int64_t since_ms, int64_t last_ms, int64_t now_ms);

#endif
