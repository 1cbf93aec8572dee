#include "tests/unit/base/fixture.h"

#include "daemon/base/timetable.h"

#include <time.h>

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)

static void use_zone(const char *zone)
{
    (void)setenv("TZ", zone, 1);
    tzset();
}

/* "2026-03-29 02:30" UTC in milliseconds. */
static int64_t utc(const char *text)
{
    struct tm time = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &time));
    return (int64_t)timegm(&time) * 1000;
}

#define NEXT(at, after, expected) assert_int_equal(timetable_next(at, utc(after)), utc(expected))

static void test_reads_times_of_the_day(void **state)
{
    static const char *const wrong[] = {"",      "2:30",   "02:3",  "02:300", "24:00", "02:60",
                                        "02-30", " 02:30", "-2:30", "ab:cd",  "02:3x", "02:30 "};
    char text[TIMETABLE_AT_SIZE];
    int minute = -1;
    (void)state;
    assert_true(timetable_parse_at("00:00", &minute) && minute == 0);
    assert_true(timetable_parse_at("02:30", &minute) && minute == 150);
    assert_true(timetable_parse_at("23:59", &minute) && minute == 1439);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(timetable_parse_at(wrong[i], &minute));
    assert_int_equal(minute, 1439);
    for (int i = 0; i < 1440; i++) {
        timetable_format_at(i, text);
        assert_true(timetable_parse_at(text, &minute));
        assert_int_equal(minute, i);
    }
}

static void test_next_is_after_the_given_moment(void **state)
{
    (void)state;
    use_zone("UTC0");
    NEXT(150, "2026-11-25 02:29", "2026-11-25 02:30");
    NEXT(150, "2026-11-25 02:30", "2026-11-26 02:30");
    NEXT(150, "2026-12-31 12:00", "2027-01-01 02:30");
    NEXT(150, "2028-02-28 12:00", "2028-02-29 02:30");
    NEXT(0, "2026-11-25 23:59", "2026-11-26 00:00");
    assert_int_equal(timetable_next(150, utc("2026-11-25 02:30") - 1), utc("2026-11-25 02:30"));
    use_zone("Asia/Kathmandu"); /* UTC+05:45 */
    NEXT(150, "2026-11-25 12:00", "2026-11-25 20:45");
}

/* Berlin: 2026-03-29 02:00 becomes 03:00 (01:00 UTC), 2026-10-25 03:00 becomes 02:00 (01:00 UTC). */
static void test_days_on_which_clocks_change(void **state)
{
    (void)state;
    use_zone("Europe/Berlin");
    NEXT(150, "2026-03-28 00:00", "2026-03-28 01:30");
    NEXT(150, "2026-03-28 12:00", "2026-03-29 01:00"); /* 02:30 is not there: 03:00 summer time */
    NEXT(150, "2026-03-29 01:00", "2026-03-30 00:30"); /* and only once */
    NEXT(120, "2026-03-28 12:00", "2026-03-29 01:00");
    NEXT(180, "2026-03-28 12:00", "2026-03-29 01:00");
    NEXT(150, "2026-10-24 12:00", "2026-10-25 00:30"); /* the first of two 02:30 */
    NEXT(150, "2026-10-25 00:30", "2026-10-26 01:30"); /* the second is passed over */
    NEXT(150, "2026-10-25 01:00", "2026-10-26 01:30");
    use_zone("America/New_York");
    NEXT(150, "2026-03-07 12:00", "2026-03-08 07:00"); /* 02:00 EST becomes 03:00 EDT */
    NEXT(90, "2026-10-31 12:00", "2026-11-01 05:30");
    NEXT(90, "2026-11-01 05:30", "2026-11-02 06:30");
    use_zone("Australia/Lord_Howe"); /* half an hour: 2026-10-04 02:00 (+10:30) becomes 02:30 (+11) */
    NEXT(135, "2026-10-03 00:00", "2026-10-03 15:30");
    use_zone("America/Havana"); /* clocks jump at midnight: 2026-03-08 00:00 becomes 01:00 */
    NEXT(15, "2026-03-07 12:00", "2026-03-08 05:00");
    use_zone("Pacific/Apia"); /* 2011-12-30 was left out */
    NEXT(150, "2011-12-29 13:00", "2011-12-30 10:00");
    NEXT(150, "2011-12-30 10:00", "2011-12-30 12:30");
}

/* Once for each local day over two years, whatever the zone does. */
static void test_every_day_once(void **state)
{
    static const char *const zones[] = {"UTC0", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                                        "America/Havana"};
    (void)state;
    for (size_t zone = 0; zone < sizeof zones / sizeof zones[0]; zone++) {
        use_zone(zones[zone]);
        for (int at = 0; at < 1440; at += 75) {
            int64_t moment = utc("2026-01-01 12:00"), end = utc("2028-01-01 12:00");
            int count = 0, last_day = -1;
            while ((moment = timetable_next(at, moment)) <= end) {
                time_t seconds = (time_t)(moment / 1000);
                struct tm local;
                assert_non_null(localtime_r(&seconds, &local));
                assert_int_not_equal(local.tm_yday, last_day);
                last_day = local.tm_yday;
                count++;
            }
            assert_int_equal(count, 730);
        }
    }
}

static void test_interval(void **state)
{
    struct timetable every = {.every_minutes = 15};
    int64_t since = utc("2026-11-25 12:00");
    (void)state;
    assert_int_equal(timetable_due(&every, since, 0, since + HOUR), since); /* the first at once */
    assert_int_equal(timetable_due(&every, since, since, since), since + 15 * MINUTE);
    assert_int_equal(timetable_due(&every, since, since - HOUR, since),
                     since); /* a new interval begins anew */
    /* three days off: due since long, once: the run is the new begin */
    int64_t now = since + 72 * HOUR;
    assert_true(timetable_due(&every, since, since, now) <= now);
    assert_int_equal(timetable_due(&every, since, now, now), now + 15 * MINUTE);
    /* the clock went back by a little, and by a lot */
    assert_int_equal(timetable_due(&every, since, since, since - MINUTE), since + 15 * MINUTE);
    assert_int_equal(timetable_due(&every, since, since, since - HOUR), since - HOUR);
    /* by so much that the timetable itself begins in the future: the run at once is not followed by the next
     * at once */
    assert_int_equal(timetable_due(&every, since, since - 2 * HOUR, since - 2 * HOUR),
                     since - 2 * HOUR + 15 * MINUTE);
    assert_true(timetable_due(&every, since, 0, since - 2 * HOUR) <= since - 2 * HOUR);
    struct timetable longest = {.every_minutes = TIMETABLE_EVERY_MAX};
    assert_int_equal(timetable_due(&longest, since, since, since), since + TIMETABLE_EVERY_MAX * MINUTE);
}

static void test_daily(void **state)
{
    struct timetable nightly = {.at_minute = 150};
    (void)state;
    use_zone("Europe/Berlin");
    int64_t since = utc("2026-03-20 12:00"), first = utc("2026-03-21 01:30");
    assert_int_equal(timetable_due(&nightly, since, 0, since), first); /* not at once, but at its time */
    assert_int_equal(timetable_due(&nightly, since, first, first), utc("2026-03-22 01:30"));
    /* off from the 21st to the 27th: due once, and then again the next night */
    int64_t back = utc("2026-03-27 09:00");
    assert_true(timetable_due(&nightly, since, first, back) <= back);
    assert_int_equal(timetable_due(&nightly, since, back, back), utc("2026-03-28 01:30"));
    /* the clock went back over the run: it is not run again; by a month: it is */
    assert_int_equal(timetable_due(&nightly, since, first + 500, first - MINUTE), utc("2026-03-22 01:30"));
    int64_t february = utc("2026-02-10 12:00");
    assert_int_equal(timetable_due(&nightly, since, first, february), february);
    assert_int_equal(timetable_due(&nightly, since, february, february), utc("2026-02-11 01:30"));
    assert_int_equal(timetable_due(&nightly, since, HOUR, HOUR), utc("1970-01-01 01:30"));
    /* set for a time that has passed today: tomorrow */
    assert_int_equal(timetable_due(&nightly, utc("2026-03-21 01:31"), 0, utc("2026-03-21 09:00")),
                     utc("2026-03-22 01:30"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_times_of_the_day),
        cmocka_unit_test(test_next_is_after_the_given_moment),
        cmocka_unit_test(test_days_on_which_clocks_change),
        cmocka_unit_test(test_every_day_once),
        cmocka_unit_test(test_interval),
        cmocka_unit_test(test_daily),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
