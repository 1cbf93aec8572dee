#include "store/retention.h"

#include "daemon/base/pulse.h"
#include "store/distributions.h"
#include "store/sweeps.h"

#define DAY_MS INT64_C(86400000)
#define BATCH 100

static int is_cancelled(const atomic_bool *cancel)
{
    return cancel && atomic_load(cancel);
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
