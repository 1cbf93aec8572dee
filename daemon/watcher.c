#include "daemon/watcher.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/pause.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define WAIT_LONGEST_MS 2000 /* the wall clock may be set meanwhile; a wake-up may come before the wait */
#define LOOK_SHORTEST_MS 200 /* a busy store changes a hundred times a second */
#define FAULT_PAUSE_MS 2000
#define FAULT_PAUSE_LONGEST_MS 60000

struct watcher {
    struct store *store;
    struct hub *hub;
    pthread_t thread;
    struct pause *pause;
    atomic_bool is_stopping;
    _Atomic int64_t counts[WATCH_OUTCOME_COUNT];
};

struct search {
    int64_t now_ms, due_ms;
    int is_found;
    struct watch_row watch;
};

static int take(void *context, const struct watch_row *row)
{
    struct search *search = context;
    int64_t due_ms = watch_due(row, search->now_ms);
    if (search->is_found && due_ms >= search->due_ms)
        return 0;
    search->is_found = 1;
    search->due_ms = due_ms;
    search->watch = *row;
    return 0;
}

/* Runs the watch that is due for the longest time; *ret_wait_ms becomes the time until the next one is due, 0
 * if one was run. */
static int run_next(struct watcher *watcher, int64_t *ret_wait_ms, struct err *err)
{
    struct search search = {.now_ms = clock_wall_ms()};
    enum watch_outcome outcome = WATCH_OUTCOME_UNCHANGED;
    *ret_wait_ms = WAIT_LONGEST_MS;
    int code = watches_list(watcher->store, "", INT32_MAX, take, &search, err);
    if (code || !search.is_found)
        return code;
    if (search.due_ms > search.now_ms) {
        int64_t wait_ms = search.due_ms - search.now_ms;
        *ret_wait_ms = wait_ms < WAIT_LONGEST_MS ? wait_ms : WAIT_LONGEST_MS;
        return 0;
    }
    *ret_wait_ms = 0;
    code = watch_run_once(watcher->store, watcher->hub, &search.watch, &watcher->is_stopping, &outcome, err);
    if (!code)
        atomic_fetch_add(&watcher->counts[outcome], 1);
    return code;
}

static void *keep(void *context)
{
    struct watcher *watcher = context;
    int64_t fault_ms = FAULT_PAUSE_MS;
    while (!atomic_load(&watcher->is_stopping)) {
        struct err err = ERR_INIT;
        int64_t wait_ms = 0;
        uint64_t version = store_version(watcher->store);
        int code = run_next(watcher, &wait_ms, &err);
        if (atomic_load(&watcher->is_stopping))
            break;
        if (code) {
            /* The store cannot be written: asking the hub again at once would help nobody. */
            log_error("watches cannot be kept", log_text("reason", err.message),
                      log_int("again_after_ms", fault_ms), log_end);
            pause_wait(watcher->pause, fault_ms);
            fault_ms = 2 * fault_ms < FAULT_PAUSE_LONGEST_MS ? 2 * fault_ms : FAULT_PAUSE_LONGEST_MS;
            continue;
        }
        fault_ms = FAULT_PAUSE_MS;
        if (wait_ms > 0) {
            (void)store_wait_change(watcher->store, version, wait_ms);
            pause_wait(watcher->pause, wait_ms < LOOK_SHORTEST_MS ? wait_ms : LOOK_SHORTEST_MS);
        }
    }
    return NULL;
}

int watcher_start(struct store *store, struct hub *hub, struct watcher **ret_watcher, struct err *err)
{
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (!watcher)
        return err_set(err, ERR_NO_MEMORY, "watcher: out of memory");
    watcher->store = store;
    watcher->hub = hub;
    int code = pause_new(&watcher->pause, err);
    if (!code) {
        int failed = pthread_create(&watcher->thread, NULL, keep, watcher);
        if (failed)
            code = err_set_errno(err, failed, "watcher: cannot start a thread");
    }
    if (code) {
        pause_free(watcher->pause);
        free(watcher);
        return code;
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
    atomic_store(&watcher->is_stopping, true);
    pause_end(watcher->pause);
    store_wake(watcher->store);
    (void)pthread_join(watcher->thread, NULL);
}

void watcher_free(struct watcher *watcher)
{
    if (!watcher)
        return;
    pause_free(watcher->pause);
    free(watcher);
}
