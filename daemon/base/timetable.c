#include "daemon/base/timetable.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MINUTE_MS 60000
#define DAY_MINUTES 1440
#define DAY_LONGEST_MS (25 * 60 * (int64_t)MINUTE_MS)
#define GAP_MINUTES (26 * 60) /* the longest jump of a zone is a day */

int timetable_parse_at(const char *text, int *ret_minute)
{
    if (strlen(text) != 5 || strspn(text, "0123456789") != 2 || text[2] != ':' ||
        strspn(text + 3, "0123456789") != 2)
        return 0;
    int hour = (text[0] - '0') * 10 + text[1] - '0', minute = (text[3] - '0') * 10 + text[4] - '0';
    if (hour > 23 || minute > 59)
        return 0;
    *ret_minute = hour * 60 + minute;
    return 1;
}

void timetable_format_at(int minute, char *text)
{
    (void)snprintf(text, TIMETABLE_AT_SIZE, "%02u:%02u", (unsigned)minute / 60 % 24, (unsigned)minute % 60);
}

/* By year, month, day, hour, minute. */
static int compare_local(const struct tm *a, const struct tm *b)
{
    int left[] = {a->tm_year, a->tm_mon, a->tm_mday, a->tm_hour, a->tm_min};
    int right[] = {b->tm_year, b->tm_mon, b->tm_mday, b->tm_hour, b->tm_min};
    for (int i = 0; i < 5; i++) {
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    }
    return 0;
}

/* The first moment at which local clocks show `wanted`, or, if they never do, something later. */
static time_t moment_of(const struct tm *wanted)
{
    time_t best = 0;
    int is_found = 0;
    struct tm shown;
    for (int is_dst = -1; is_dst <= 1; is_dst++) {
        struct tm tried = *wanted;
        tried.tm_isdst = is_dst;
        time_t moment = mktime(&tried);
        if (!localtime_r(&moment, &shown) || compare_local(&shown, wanted) != 0)
            continue;
        best = !is_found || moment < best ? moment : best;
        is_found = 1;
    }
    if (is_found)
        return best;
    struct tm tried = *wanted;
    tried.tm_isdst = -1;
    best = mktime(&tried) - GAP_MINUTES * 60;
    for (int i = 0; i < 2 * GAP_MINUTES; i++, best += 60) {
        if (localtime_r(&best, &shown) && compare_local(&shown, wanted) >= 0)
            break;
    }
    return best;
}

int64_t timetable_next(int at_minute, int64_t after_ms)
{
    time_t after = (time_t)(after_ms / 1000);
    struct tm today;
    if (!localtime_r(&after, &today))
        return after_ms + DAY_MINUTES * (int64_t)MINUTE_MS;
    int64_t next_ms = 0;
    for (int day = -1; day <= 3; day++) {
        /* timegm carries the days into months and years, whatever the zone does */
        struct tm wanted = {.tm_year = today.tm_year,
                            .tm_mon = today.tm_mon,
                            .tm_mday = today.tm_mday + day,
                            .tm_hour = at_minute / 60,
                            .tm_min = at_minute % 60};
        time_t carried = timegm(&wanted);
        (void)gmtime_r(&carried, &wanted);
        next_ms = (int64_t)moment_of(&wanted) * 1000;
        if (next_ms > after_ms)
            break;
    }
    return next_ms;
}

int64_t timetable_due(const struct timetable *timetable, int64_t since_ms, int64_t last_ms, int64_t now_ms)
{
    int64_t period_ms =
        timetable->every_minutes ? timetable->every_minutes * (int64_t)MINUTE_MS : DAY_LONGEST_MS;
    int64_t due_ms;
    /* It began before the clock was set back: else each run would find the next one due at once. */
    if (since_ms > now_ms + 2 * period_ms && last_ms <= now_ms)
        since_ms = last_ms;
    if (!timetable->every_minutes)
        due_ms = timetable_next(timetable->at_minute, last_ms > since_ms ? last_ms : since_ms);
    else
        due_ms = last_ms >= since_ms && last_ms ? last_ms + period_ms : since_ms;
    return due_ms > now_ms + 2 * period_ms ? now_ms : due_ms;
}
