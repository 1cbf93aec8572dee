#include "store/retention.h"

#include "daemon/base/clock.h"
#include "daemon/base/pulse.h"
#include "store/distributions.h"
#include "store/query.h"
#include "store/sweeps.h"

#define DAY_MS INT64_C(86400000)
#define BATCH 100
#define STEP_MS (2 * DAY_MS)
#define NOTED_EVERY_MS (20 * INT64_C(3600000)) /* once a day, though starts and days do not fall together */

static int is_cancelled(const atomic_bool *cancel)
{
    return cancel && atomic_load(cancel);
}

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

int retention_apply(struct store *store, int64_t days, int64_t now_ms, const atomic_bool *cancel,
                    struct retention_counts *ret_counts, struct err *err)
{
    int code = 0;
    int64_t count = 1, after = 0;
    *ret_counts = (struct retention_counts){0};
    while (!code && days > 0 && count > 0 && !is_cancelled(cancel)) {
        pulse_beat();
        code = sweeps_prune(store, now_ms - days * DAY_MS, &after, BATCH, &count, err);
        ret_counts->sweeps += code ? 0 : count;
    }
    count = BATCH;
    after = 0;
    while (!code && count == BATCH && !is_cancelled(cancel)) {
        pulse_beat();
        code = distributions_prune(store, &after, BATCH, &count, err);
        ret_counts->contents += code ? 0 : count;
    }
    return code;
}
