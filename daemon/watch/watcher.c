#include "daemon/watch/watcher.h"

#include "daemon/base/clock.h"
#include "daemon/base/local_name.h"
#include "daemon/base/log.h"
#include "daemon/watch/duty.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_AGAIN_MS 1000 /* whether the hub, or a folder, is back */
#define LOST_MAX 4 /* runs of a round that are made for nothing: after these it is the store, not a watch */

struct watcher {
    struct store *store;
    struct hub *hub;
    struct watch_others others;
    struct duty *duty;
    /* A round goes by due time and id, so that a run that was lost is made again in the next one only. */
    int64_t after_ms, after_id; /* the last one that was lost */
    int lost;
    struct err first; /* why */
    _Atomic int64_t counts[WATCH_OUTCOME_COUNT];
};

struct search {
    int64_t now_ms, due_ms;
    int64_t after_ms, after_id; /* which it must come after */
    struct hub *hub;
    int is_found, is_hub_down, has_silent;
    struct watch_row watch;
};

static int is_before(int64_t due_ms, int64_t id, int64_t other_due_ms, int64_t other_id)
{
    return due_ms < other_due_ms || (due_ms == other_due_ms && id < other_id);
}

static int take(void *context, const struct watch_row *row)
{
    struct search *search = context;
    struct watch_row watch = *row;
    struct err silence = ERR_INIT;
    if (hub_works_offline(search->hub) && !local_name_is(row->model))
        watch.retry_ms = 0; /* for when the hub may be asked again: watch_run.c */
    int64_t due_ms = watch_due(&watch, search->now_ms);
    if (hub_check_folder(search->hub, row->model, &silence) == ERR_UNREACHABLE) {
        search->has_silent = 1;
        return 0;
    }
    if (search->is_hub_down && !local_name_is(row->model))
        return 0; /* it stays due */
    if (!is_before(search->after_ms, search->after_id, due_ms, row->id) ||
        (search->is_found && !is_before(due_ms, row->id, search->due_ms, search->watch.id)))
        return 0;
    search->is_found = 1;
    search->due_ms = due_ms;
    search->watch = *row;
    return 0;
}

/* Runs one; *ret_wait_ms becomes more than 0 if it stays due for a while. */
static int run(struct watcher *watcher, const struct watch_row *watch, const atomic_bool *is_stopping,
               int64_t *ret_wait_ms, struct err *err)
{
    enum watch_outcome outcome = WATCH_OUTCOME_UNCHANGED;
    struct err silence = ERR_INIT;
    int code =
        watch_run_once(watcher->store, watcher->hub, &watcher->others, watch, is_stopping, &outcome, err);
    if (code == ERR_UNREACHABLE) {
        log_event(hub_check_folder(watcher->hub, watch->model, &silence) ? LOG_LEVEL_WARNING
                                                                         : LOG_LEVEL_DEBUG,
                  "a watched model is not checked yet", log_text("model", watch->model),
                  log_text("reason", err->message), log_end);
        *err = (struct err)ERR_INIT;
        *ret_wait_ms = LOOK_AGAIN_MS;
        return 0;
    }
    if (!code)
        atomic_fetch_add(&watcher->counts[outcome], 1);
    return code;
}

/* From the first one on. */
static void begin_round(struct watcher *watcher)
{
    watcher->after_ms = INT64_MIN;
    watcher->after_id = 0;
}

/* Why the first run was lost, if one was. */
static int end_round(struct watcher *watcher, struct err *err)
{
    *err = watcher->first;
    watcher->first = (struct err)ERR_INIT;
    watcher->lost = 0;
    return err->code;
}

/* The watch that is due for the longest time, of those after the last lost one; whether one is due now.
 * *ret_wait_ms becomes the time until the next one is due. */
static int find_due(struct watcher *watcher, struct search *search, int64_t *ret_wait_ms, struct err *err)
{
    *search = (struct search){.now_ms = clock_wall_ms(),
                              .after_ms = watcher->after_ms,
                              .after_id = watcher->after_id,
                              .hub = watcher->hub,
                              .is_hub_down = hub_is_down(watcher->hub)};
    const int code = watches_list(watcher->store, "", INT32_MAX, take, search, err);
    *ret_wait_ms = search->is_hub_down || search->has_silent ? LOOK_AGAIN_MS : -1;
    if (code || !search->is_found)
        return 0;
    const int64_t wait_ms = search->due_ms - search->now_ms;
    if (wait_ms > 0 && (*ret_wait_ms < 0 || wait_ms < *ret_wait_ms))
        *ret_wait_ms = wait_ms;
    return wait_ms <= 0;
}

/* Runs one; *ret_wait_ms becomes the time until the next one is due, 0 if one was run. What is lost of one
 * keeps no other waiting: where its run cannot be noted, the next is tried, and the error returned when none
 * is left, or too many were lost, after which the next round begins. */
static int run_next(void *context, const atomic_bool *is_stopping, int64_t *ret_wait_ms, struct err *err)
{
    struct watcher *watcher = context;
    for (;;) {
        struct search search;
        struct err reason = ERR_INIT;
        int code = 0;
        const int is_due = find_due(watcher, &search, ret_wait_ms, &reason);
        if (is_due) {
            *ret_wait_ms = 0;
            code = run(watcher, &search.watch, is_stopping, ret_wait_ms, &reason);
            if (!code)
                return 0;
            watcher->after_ms = search.due_ms;
            watcher->after_id = search.watch.id;
            watcher->lost++;
        }
        if (!watcher->first.code)
            watcher->first = reason;
        if (is_due && err_is_of_the_store(code) && code != ERR_NO_SPACE && watcher->lost < LOST_MAX)
            continue; /* a full disk would end the others', too */
        const int is_from_middle = watcher->after_ms != INT64_MIN;
        if (!is_due)
            begin_round(watcher);
        if (is_due || !is_from_middle || watcher->first.code)
            return end_round(watcher, err);
    }
}

int watcher_start(struct store *store, struct hub *hub, const struct watch_others *others,
                  struct watcher **ret_watcher, struct err *err)
{
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (!watcher)
        return err_set(err, ERR_NO_MEMORY, "watcher: out of memory");
    watcher->store = store;
    watcher->hub = hub;
    watcher->others = *others;
    begin_round(watcher);
    /* A store that cannot be written: asking the hub again at once would help nobody. */
    int code = duty_start(store, "watches cannot be kept", run_next, watcher, &watcher->duty, err);
    if (code) {
        free(watcher);
        return err_wrap(err, "watcher");
    }
    *ret_watcher = watcher;
    return 0;
}

void watcher_counts(struct watcher *watcher, int64_t *counts)
{
    for (int i = 0; i < WATCH_OUTCOME_COUNT; i++)
        counts[i] = atomic_load(&watcher->counts[i]);
}

void watcher_stop(struct watcher *watcher)
{
    if (!watcher)
        return;
    duty_stop(watcher->duty);
    watcher->duty = NULL;
}

void watcher_free(struct watcher *watcher)
{
    watcher_stop(watcher);
    free(watcher);
}
