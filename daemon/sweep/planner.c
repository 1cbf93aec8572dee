#include "daemon/sweep/planner.h"

#include "daemon/base/clock.h"
#include "daemon/base/local_name.h"
#include "daemon/base/log.h"
#include "daemon/sweep/plan.h"
#include "store/sweeps.h"

#include <inttypes.h>
#include <string.h>

#define SILENT_PAUSE_MS 1000 /* until a folder that did not answer is looked at again: without waiting */
#define ROOM_PAUSE_MS 5000   /* of a plan without room; doubles */
#define ROOM_PAUSE_MAX_MS 60000

/* Leaves the others to pass it. Said once for each reason, and by the sweep itself. */
static void set_aside(struct planner *planner, const struct sweep_row *sweep, int64_t pause_ms,
                      const struct err *reason)
{
    struct err ignored = ERR_INIT;
    size_t at = 0; /* where there is no room, that of the one whose pause is over, or next to be */
    for (size_t i = 1; i < planner->aside_count; i++)
        at = planner->asides[i].until_ms < planner->asides[at].until_ms ? i : at;
    if (planner->aside_count < PLANNER_ASIDE_MAX)
        at = planner->aside_count++;
    planner->asides[at] = (struct planner_aside){sweep->id, clock_monotonic_ms() + pause_ms, pause_ms};
    if (strcmp(sweep->error_code, err_name(reason->code)) == 0)
        return;
    log_warning("the plan of a sweep waits", log_int("sweep", sweep->id), log_text("model", sweep->model),
                log_text("error", err_name(reason->code)), log_text("reason", reason->message), log_end);
    (void)sweeps_note_wait(planner->store, sweep->id, reason, &ignored);
}

/* For how long this one was set aside last; it is not any more. */
static int64_t take_back(struct planner *planner, int64_t sweep_id)
{
    for (size_t i = 0; i < planner->aside_count; i++) {
        int64_t pause_ms = planner->asides[i].pause_ms;
        if (planner->asides[i].sweep_id != sweep_id)
            continue;
        planner->asides[i] = planner->asides[--planner->aside_count];
        return pause_ms;
    }
    return 0;
}

/* The next sweep whose plan may go on; ERR_NOT_FOUND if there is none. */
static int choose(struct planner *planner, struct sweep_row *sweep, struct err *err)
{
    for (;;) {
        int64_t except[PLANNER_ASIDE_MAX], now_ms = clock_monotonic_ms();
        size_t count = 0;
        struct err reason = ERR_INIT;
        for (size_t i = 0; i < planner->aside_count; i++) {
            if (planner->asides[i].until_ms > now_ms)
                except[count++] = planner->asides[i].sweep_id;
        }
        if (count == PLANNER_ASIDE_MAX)
            return err_set(err, ERR_NOT_FOUND, "too many plans wait");
        int code = sweeps_next_planning(planner->store, hub_is_down(planner->hub), except, count, sweep, err);
        if (code == ERR_NOT_FOUND && !count)
            planner->aside_count = 0; /* what was, was cancelled */
        if (code || hub_check_folder(planner->hub, sweep->model, &reason) != ERR_UNREACHABLE)
            return code;
        (void)take_back(planner, sweep->id);
        set_aside(planner, sweep, SILENT_PAUSE_MS, &reason);
    }
}

/* A plan that a full disk has stopped: of the state folder, on which nobody's plan fits, it is an error, and
 * tried again; else others may need less, or another disk. */
static int wait_for_room(struct planner *planner, const struct sweep_row *sweep, int64_t paused_ms,
                         const struct err *reason, struct err *err)
{
    struct reserve_room room = {.is_full = 1};
    int64_t pause_ms = paused_ms ? 2 * paused_ms : ROOM_PAUSE_MS;
    if (planner->reserve)
        reserve_read_room(planner->reserve, &room);
    if (room.is_full) {
        *err = *reason;
        return err_wrap(err, "the plan of sweep %" PRId64 " (%s)", sweep->id, sweep->model);
    }
    set_aside(planner, sweep, pause_ms < ROOM_PAUSE_MAX_MS ? pause_ms : ROOM_PAUSE_MAX_MS, reason);
    return 0;
}

static int fail_sweep(struct planner *planner, const struct sweep_row *sweep, struct err *reason,
                      struct err *err)
{
    if (!strstr(reason->message, sweep->model))
        (void)err_wrap(reason, "model %s", sweep->model);
    log_warning("sweep cannot be planned", log_int("sweep", sweep->id), log_text("model", sweep->model),
                log_text("error", err_name(reason->code)), log_text("reason", reason->message), log_end);
    int code = sweeps_fail(planner->store, sweep->id, reason, err);
    if (code == ERR_NO_SPACE && reserve_spend(planner->reserve))
        code = sweeps_fail(planner->store, sweep->id, reason, err);
    return code == ERR_CONFLICT ? 0 : code;
}

int planner_run_once(struct planner *planner, int *ret_planned, struct err *err)
{
    struct sweep_row sweep;
    struct err reason = ERR_INIT;
    int is_cancelled;
    *ret_planned = 0;
    int code = choose(planner, &sweep, err);
    if (code == ERR_NOT_FOUND) {
        *err = (struct err)ERR_INIT;
        return 0;
    }
    if (code)
        return code;
    int64_t paused_ms = take_back(planner, sweep.id);
    *ret_planned = 1;
    code = plan_run(planner->store, planner->hub, &sweep, planner->cancel, &is_cancelled, &reason);
    if (code == ERR_CANCELLED && atomic_load(planner->cancel)) {
        *err = reason;
        return code;
    }
    if (code == ERR_CONFLICT || is_cancelled)
        return 0; /* the sweep was cancelled meanwhile */
    if (code == ERR_NO_SPACE)
        return wait_for_room(planner, &sweep, paused_ms, &reason, err);
    if (code == ERR_UNREACHABLE && local_name_is(sweep.model)) {
        set_aside(planner, &sweep, SILENT_PAUSE_MS, &reason);
        return 0;
    }
    if (code == ERR_UNREACHABLE) {
        log_info("the plan of a sweep waits for the hub", log_int("sweep", sweep.id),
                 log_text("model", sweep.model), log_end);
        *ret_planned = hub_is_down(planner->hub); /* else it would be next again at once */
        return 0;
    }
    if (code)
        return fail_sweep(planner, &sweep, &reason, err);
    lister_add(planner->lister, sweep.id);
    return 0;
}
