#include "store/retention.h"

#include "daemon/base/clock.h"
#include "daemon/base/pulse.h"
#include "store/distributions.h"
#include "store/query.h"
#include "store/sweeps.h"

#define DAY_MS INT64_C(86400000)
#define SWEEPS_PART 100
#define CONTENTS_PART 20 /* some hundred kilobytes each */
#define STEP_MS (2 * DAY_MS)
#define NOTED_EVERY_MS (20 * INT64_C(3600000)) /* once a day, though starts and days do not fall together */

static int note_time(struct store *store, int64_t now_ms, int64_t wall_ms, struct err *err)
{
    struct query query;
    int code = query_open_write(
        &query, store, CONNECTION_DURABILITY_CRASH,
        "UPDATE totals SET retention_ms = max(retention_ms, ?), retention_noted_ms = ?", err);
    if (code)
        return code;
    query_bind_int(&query, now_ms);
    query_bind_int(&query, wall_ms);
    return query_commit_quietly(&query, err);
}

int retention_time(struct store *store, int64_t wall_ms, int64_t *ret_now_ms, struct err *err)
{
    struct query query;
    int64_t known_ms = 0, noted_ms = 0;
    *ret_now_ms = wall_ms;
    if (!clock_is_set(wall_ms))
        return 0;
    int code = query_open(&query, store, "SELECT retention_ms, retention_noted_ms FROM totals", err);
    if (code)
        return code;
    if ((code = query_next(&query, err)) > 0) {
        known_ms = query_int(&query);
        noted_ms = query_int(&query);
    }
    if ((code = query_close(&query, code)))
        return code;
    if (known_ms && wall_ms > known_ms + STEP_MS)
        *ret_now_ms = known_ms + STEP_MS;
    if (wall_ms >= noted_ms && wall_ms - noted_ms < NOTED_EVERY_MS) /* starts do not add up */
        return 0;
    return note_time(store, *ret_now_ms, wall_ms, err);
}

void retention_begin(struct retention_run *run, int64_t days, int64_t now_ms)
{
    *run =
        (struct retention_run){.before_ms = days ? now_ms - days * DAY_MS : 0, .is_at_contents = days == 0};
}

static int run_part(struct store *store, struct retention_run *run, int *ret_is_over, struct err *err)
{
    int64_t count = 0;
    if (run->is_at_contents) {
        int code = distributions_prune(store, &run->after, CONTENTS_PART, &count, ret_is_over, err);
        run->counts.contents += code ? 0 : count;
        return code;
    }
    int are_no_more = 0;
    int code = sweeps_prune(store, run->before_ms, &run->after, SWEEPS_PART, &count, &are_no_more, err);
    run->counts.sweeps += code ? 0 : count;
    if (!code && are_no_more) {
        run->is_at_contents = 1;
        run->after = 0;
    }
    return code;
}

int retention_continue(struct store *store, struct retention_run *run, const atomic_bool *cancel, int *parts,
                       int *ret_is_over, struct err *err)
{
    int code = 0;
    *ret_is_over = 0;
    while (!code && !*ret_is_over && (!parts || (*parts)-- > 0)) {
        if (cancel && atomic_load(cancel))
            return err_set(err, ERR_CANCELLED, "retention begins anew at the next start");
        pulse_beat();
        code = run_part(store, run, ret_is_over, err);
    }
    return code;
}
