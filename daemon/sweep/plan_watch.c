#include "daemon/sweep/plan_watch.h"

#include "daemon/base/pause.h"
#include "store/sweeps.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define LOOK_MS 250

struct plan_watch {
    struct store *store;
    int64_t sweep_id;
    const atomic_bool *stop;
    atomic_bool is_cancelled;
    pthread_t thread;
    struct pause *pause;
};

static int is_planning(const struct plan_watch *watch)
{
    struct sweep_row sweep;
    struct err err = ERR_INIT;
    int code = sweeps_get(watch->store, watch->sweep_id, &sweep, &err);
    /* A store that cannot be read says nothing; the plan itself will meet the fault. */
    return code ? code != ERR_NOT_FOUND : sweep.state == SWEEP_STATE_PLANNING;
}

static void *look(void *context)
{
    struct plan_watch *watch = context;
    while (!pause_wait(watch->pause, LOOK_MS)) {
        if (atomic_load(watch->stop) || !is_planning(watch)) {
            atomic_store(&watch->is_cancelled, true);
            break;
        }
    }
    return NULL;
}

int plan_watch_start(struct store *store, int64_t sweep_id, const atomic_bool *stop,
                     struct plan_watch **ret_watch, struct err *err)
{
    struct plan_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return err_set(err, ERR_NO_MEMORY, "plan: out of memory");
    *watch = (struct plan_watch){.store = store, .sweep_id = sweep_id, .stop = stop};
    atomic_store(&watch->is_cancelled, atomic_load(stop));
    int code = pause_new(&watch->pause, err);
    if (!code && (code = pthread_create(&watch->thread, NULL, look, watch)))
        code = err_set_errno(err, code, "plan: cannot start a thread");
    if (code) {
        pause_free(watch->pause);
        free(watch);
        return code;
    }
    *ret_watch = watch;
    return 0;
}

const atomic_bool *plan_watch_cancel(const struct plan_watch *watch)
{
    return &watch->is_cancelled;
}

void plan_watch_end(struct plan_watch *watch)
{
    if (!watch)
        return;
    pause_end(watch->pause);
    (void)pthread_join(watch->thread, NULL);
    pause_free(watch->pause);
    free(watch);
}
