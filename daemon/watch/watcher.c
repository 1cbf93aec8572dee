#include "daemon/watch/watcher.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/watch/duty.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_AGAIN_MS 1000 /* whether the hub, or a folder, is back */

struct watcher {
    struct store *store;
    struct hub *hub;
    struct watch_others others;
    struct duty *duty;
    _Atomic int64_t counts[WATCH_OUTCOME_COUNT];
};

struct search {
    int64_t now_ms, due_ms;
    struct hub *hub;
    int is_found, is_hub_down, has_silent;
    struct watch_row watch;
};

static int take(void *context, const struct watch_row *row)
{
    struct search *search = context;
    int64_t due_ms = watch_due(row, search->now_ms);
    struct err silence = ERR_INIT;
    if (hub_check_folder(search->hub, row->model, &silence) == ERR_UNREACHABLE) {
        search->has_silent = 1;
        return 0;
    }
    if (search->is_hub_down && strncmp(row->model, "file:", 5) != 0)
        return 0; /* it stays due */
    if (search->is_found && due_ms >= search->due_ms)
        return 0;
    search->is_found = 1;
    search->due_ms = due_ms;
    search->watch = *row;
    return 0;
}

/* Runs the watch that is due for the longest time; *ret_wait_ms becomes the time until the next one is due, 0
 * if one was run. */
static int run_next(void *context, const atomic_bool *is_stopping, int64_t *ret_wait_ms, struct err *err)
{
    struct watcher *watcher = context;
    struct search search = {
        .now_ms = clock_wall_ms(), .hub = watcher->hub, .is_hub_down = hub_is_down(watcher->hub)};
    enum watch_outcome outcome = WATCH_OUTCOME_UNCHANGED;
    struct err silence = ERR_INIT;
    int code = watches_list(watcher->store, "", INT32_MAX, take, &search, err);
    *ret_wait_ms = search.is_hub_down || search.has_silent ? LOOK_AGAIN_MS : -1;
    if (code || !search.is_found)
        return code;
    if (search.due_ms > search.now_ms) {
        if (*ret_wait_ms < 0 || search.due_ms - search.now_ms < *ret_wait_ms)
            *ret_wait_ms = search.due_ms - search.now_ms;
        return 0;
    }
    *ret_wait_ms = 0;
    code = watch_run_once(watcher->store, watcher->hub, &watcher->others, &search.watch, is_stopping,
                          &outcome, err);
    if (code == ERR_UNREACHABLE) { /* it stays due */
        log_event(hub_check_folder(watcher->hub, search.watch.model, &silence) ? LOG_LEVEL_WARNING
                                                                               : LOG_LEVEL_DEBUG,
                  "a watched model is not checked yet", log_text("model", search.watch.model),
                  log_text("reason", err->message), log_end);
        *err = (struct err)ERR_INIT;
        *ret_wait_ms = LOOK_AGAIN_MS;
        return 0;
    }
    if (!code)
        atomic_fetch_add(&watcher->counts[outcome], 1);
    return code;
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
