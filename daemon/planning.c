#include "daemon/planning.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/sweep/planner.h"
#include "daemon/upkeep.h"

#include <pthread.h>
#include <stdlib.h>

#define IDLE_MS 10000
#define ERROR_PAUSE_MS 2000
#define ROOM_PAUSE_MS 5000
#define PULSE_MS 1000

struct planning {
    struct planning_options options;
    struct lister *lister;
    struct planner planner;
    struct upkeep upkeep;
    pthread_t thread;
    struct pulse pulse;
    int is_without_room; /* the log was told that a plan waits for it */
    int was_disk_full, was_moved;
};

/* Before the next try of a plan; what is removed meanwhile may be what makes room. */
static void pause_plans(struct planning *planning, int64_t pause_ms)
{
    const int64_t until_ms = clock_monotonic_ms() + pause_ms;
    while (clock_monotonic_ms() < until_ms && !atomic_load(planning->options.is_stopping)) {
        pulse_beat();
        if (!upkeep_continue_removals(&planning->upkeep))
            clock_sleep_ms(PULSE_MS);
    }
}

/* A plan met a full disk, be it the database's or the hub cache's: as tasks, it is tried again. Said once. */
static void wait_for_room(struct planning *planning, const struct err *reason)
{
    if (!planning->is_without_room)
        log_warning("a plan waits for free disk space", log_text("reason", reason->message), log_end);
    planning->is_without_room = 1;
    pause_plans(planning, ROOM_PAUSE_MS);
}

/* Waits for a change, beating meanwhile; for a hub that was down, also until it is back, and for what was set
 * aside not long. */
static void idle(struct planning *planning, uint64_t version, int was_hub_down)
{
    int64_t turn_ends = 0, now = 0;
    int64_t end = clock_monotonic_ms() + (planning->planner.aside_count ? PULSE_MS : IDLE_MS);
    do {
        pulse_beat();
        turn_ends = clock_monotonic_ms() + PULSE_MS;
        if (store_wait_change(planning->options.store, version, PULSE_MS, planning->options.is_stopping) !=
            version)
            return;
        if (was_hub_down && !hub_is_down(planning->options.hub))
            return;
        now = clock_monotonic_ms();
    } while (now >= turn_ends && now < end &&
             !atomic_load(planning->options.is_stopping)); /* else it was woken */
}

/* Said when it becomes full and when it is not any more. */
static void check_disk(struct planning *planning)
{
    struct reserve_room room;
    reserve_fill(planning->options.reserve);
    reserve_read_room(planning->options.reserve, &room);
    if (room.is_full == planning->was_disk_full)
        return;
    planning->was_disk_full = room.is_full;
    if (room.is_full)
        log_error("the disk is full; nothing more can be recorded until there is room",
                  log_text("state", planning->options.state), log_int("free_bytes", (int64_t)room.free_bytes),
                  log_end);
    else
        log_info("the disk has free space again", log_text("state", planning->options.state),
                 log_int("free_bytes", (int64_t)room.free_bytes), log_end);
}

/* Likewise. */
static void check_place(struct planning *planning)
{
    struct err err = ERR_INIT;
    int is_moved = store_check_place(planning->options.store, &err) != 0;
    if (is_moved == planning->was_moved)
        return;
    planning->was_moved = is_moved;
    if (is_moved)
        log_error("the database file is missing", log_text("reason", err.message), log_end);
    else
        log_info("the database file is back", log_text("state", planning->options.state), log_end);
}

static void *plan_sweeps(void *context)
{
    struct planning *planning = context;
    pulse_attach(&planning->pulse);
    while (!atomic_load(planning->options.is_stopping)) {
        struct err err = ERR_INIT;
        int planned = 0;
        pulse_beat();
        uint64_t version = store_version(planning->options.store);
        int is_hub_down = hub_is_down(planning->options.hub);
        check_place(planning);
        check_disk(planning);
        const int has_removals = upkeep_continue_removals(&planning->upkeep);
        int code = planner_run_once(&planning->planner, &planned, &err);
        if (code == ERR_NO_SPACE) {
            wait_for_room(planning, &err);
            continue;
        }
        planning->is_without_room = 0;
        if (code && !atomic_load(planning->options.is_stopping)) {
            log_error("planning failed", log_text("reason", err.message), log_end);
            pause_plans(planning, ERROR_PAUSE_MS);
        } else if (!planned && !has_removals && !atomic_load(planning->options.is_stopping) &&
                   !upkeep_continue_retention(&planning->upkeep)) {
            idle(planning, version, is_hub_down);
        }
    }
    return NULL;
}

int planning_start(const struct planning_options *options, struct planning **ret_planning, struct err *err)
{
    struct planning *planning = calloc(1, sizeof *planning);
    if (!planning)
        return err_set(err, ERR_NO_MEMORY, "planning: out of memory");
    planning->options = *options;
    int code = lister_start(options->store, options->hub, options->lister_threads, &planning->lister, err);
    planning->planner = (struct planner){.store = options->store,
                                         .hub = options->hub,
                                         .lister = planning->lister,
                                         .reserve = options->reserve,
                                         .cancel = options->is_stopping};
    planning->upkeep = (struct upkeep){.store = options->store,
                                       .references = options->references,
                                       .retention_days = options->retention_days,
                                       .is_stopping = options->is_stopping};
    if (!code && (code = pthread_create(&planning->thread, NULL, plan_sweeps, planning)))
        code = err_set_errno(err, code, "planning: cannot start a thread");
    if (code) {
        lister_stop(planning->lister);
        free(planning);
        return code;
    }
    *ret_planning = planning;
    return 0;
}

void planning_stop(struct planning *planning)
{
    if (!planning)
        return;
    (void)pthread_join(planning->thread, NULL);
    lister_stop(planning->lister);
    free(planning);
}

const struct pulse *planning_pulse(const struct planning *planning)
{
    return &planning->pulse;
}
