#include "daemon/upkeep.h"

#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/base/log.h"
#include "store/removal.h"

#define PARTS 10 /* between two plans: about a quarter of a second */
#define RETENTION_PERIOD_MS INT64_C(86400000)

/* -- Removed models -------------------------------------------------------------------------------------- */

/* Said of the first model of a round in which there was none before. */
static void note_failure(struct upkeep *upkeep, const char *model, const struct err *reason)
{
    if (!upkeep->is_removal_told)
        log_warning("a removed model is not deleted yet; tried again", log_text("model", model),
                    log_text("reason", reason->message), log_end);
    upkeep->is_removal_told = upkeep->has_removal_failed = 1;
}

static void end_round(struct upkeep *upkeep)
{
    upkeep->is_removal_told = upkeep->has_removal_failed;
    upkeep->has_removal_failed = 0;
    upkeep->removal_after = 0;
}

int upkeep_continue_removals(struct upkeep *upkeep)
{
    struct err err = ERR_INIT;
    char name[LIMIT_MODEL_NAME_BYTES + 1];
    int64_t id = 0;
    int code = 0, is_gone = 0, parts = PARTS;
    const int are_some_passed = upkeep->removal_after > 0; /* and others may have been added before them */
    while (parts > 0 && !atomic_load(upkeep->is_stopping) &&
           !(code = removal_next(upkeep->store, upkeep->removal_after, &id, name, sizeof name, &err))) {
        struct err reason = ERR_INIT;
        const int failure = removal_finish(upkeep->store, id, upkeep->is_stopping, &parts, &is_gone, &reason);
        if (failure && failure != ERR_CANCELLED)
            note_failure(upkeep, name, &reason);
        if (is_gone)
            log_info("the data of a removed model was deleted", log_text("model", name), log_end);
        if (failure || parts > 0)
            upkeep->removal_after = id;
    }
    if (!code)
        return 1;
    if (code != ERR_NOT_FOUND)
        note_failure(upkeep, "", &err);
    const int is_more = are_some_passed && !upkeep->has_removal_failed;
    end_round(upkeep);
    return is_more;
}

/* -- Retention ------------------------------------------------------------------------------------------- */

/* Said once of a clock that ran ahead. */
static void tell_time(struct upkeep *upkeep, int64_t wall_ms, int64_t as_of_ms)
{
    char wall[CLOCK_TEXT_SIZE], as_of[CLOCK_TEXT_SIZE];
    const int is_behind = as_of_ms < wall_ms;
    clock_format(wall_ms, wall, sizeof wall);
    clock_format(as_of_ms, as_of, sizeof as_of);
    if (is_behind && !upkeep->is_retention_behind)
        log_warning("the clock is days ahead of when this daemon last ran: retention follows it slowly; set "
                    "the clock if it is wrong",
                    log_text("clock", wall), log_text("ages_are_counted_from", as_of), log_end);
    upkeep->is_retention_behind = is_behind;
}

static void tell_failure(const struct err *reason)
{
    log_warning("retention failed; tried again in a day", log_text("reason", reason->message), log_end);
}

/* If it is time for it. */
static void begin_retention(struct upkeep *upkeep)
{
    struct err err = ERR_INIT;
    const int64_t now = clock_monotonic_ms(), wall_ms = clock_wall_ms();
    int64_t as_of_ms = 0;
    if (now < upkeep->retention_due_ms)
        return;
    upkeep->retention_due_ms = now + RETENTION_PERIOD_MS;
    if (upkeep->references)
        references_prune(upkeep->references, upkeep->store);
    int code = retention_time(upkeep->store, wall_ms, &as_of_ms, &err);
    if (upkeep->retention_days == 0)
        return;
    if (code) {
        tell_failure(&err);
        return;
    }
    tell_time(upkeep, wall_ms, as_of_ms);
    retention_begin(&upkeep->retention, upkeep->retention_days, as_of_ms);
    upkeep->is_retention_begun = 1;
}

int upkeep_continue_retention(struct upkeep *upkeep)
{
    struct err err = ERR_INIT;
    const struct retention_counts *counts = &upkeep->retention.counts;
    int parts = PARTS, is_over = 0;
    if (!upkeep->is_retention_begun)
        begin_retention(upkeep);
    if (!upkeep->is_retention_begun)
        return 0;
    int code =
        retention_continue(upkeep->store, &upkeep->retention, upkeep->is_stopping, &parts, &is_over, &err);
    if (!code && !is_over)
        return 1;
    upkeep->is_retention_begun = 0;
    if (code && code != ERR_CANCELLED)
        tell_failure(&err);
    else if (!code && (counts->sweeps || counts->contents))
        log_info("retention", log_int("days", upkeep->retention_days),
                 log_int("sweeps_deleted", counts->sweeps),
                 log_int("distributions_deleted_of", counts->contents), log_end);
    return 0;
}
