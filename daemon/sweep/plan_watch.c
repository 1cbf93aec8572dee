#include "daemon/sweep/plan_watch.h"

#include "store/sweeps.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define LOOK_MS 250

struct plan_watch {
    struct store *store;
    int64_t sweep_id;
    const atomic_bool *stop;
    atomic_bool is_cancelled;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    int is_over; /* under lock */
};

static int is_planning(const struct plan_watch *watch)
{
    struct sweep_row sweep;
    struct err err = ERR_INIT;
    int code = sweeps_get(watch->store, watch->sweep_id, &sweep, &err);
    /* A store that cannot be read says nothing; the plan itself will meet the fault. */
    return code ? code != ERR_NOT_FOUND : sweep.state == SWEEP_STATE_PLANNING;
}

/* Waits a while; returns whether the watch is over. */
static int pause_is_last(struct plan_watch *watch)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    (void)pthread_mutex_lock(&watch->lock);
    while (!watch->is_over && pthread_cond_timedwait(&watch->ended, &watch->lock, &until) == 0) {
    }
    int is_over = watch->is_over;
    (void)pthread_mutex_unlock(&watch->lock);
    return is_over;
}

static void *look(void *context)
{
    struct plan_watch *watch = context;
    while (!pause_is_last(watch)) {
        if (atomic_load(watch->stop) || !is_planning(watch)) {
            atomic_store(&watch->is_cancelled, true);
            break;
        }
    }
    return NULL;
}

static void free_watch(struct plan_watch *watch)
{
    (void)pthread_cond_destroy(&watch->ended);
    (void)pthread_mutex_destroy(&watch->lock);
    free(watch);
}

int plan_watch_start(struct store *store, int64_t sweep_id, const atomic_bool *stop,
                     struct plan_watch **ret_watch, struct err *err)
{
    struct plan_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return err_set(err, ERR_NO_MEMORY, "plan: out of memory");
    pthread_condattr_t attributes;
    *watch = (struct plan_watch){.store = store, .sweep_id = sweep_id, .stop = stop};
    atomic_store(&watch->is_cancelled, atomic_load(stop));
    (void)pthread_mutex_init(&watch->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&watch->ended, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    int code = pthread_create(&watch->thread, NULL, look, watch);
    if (code) {
        free_watch(watch);
        return err_set_errno(err, code, "plan: cannot start a thread");
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
    (void)pthread_mutex_lock(&watch->lock);
    watch->is_over = 1;
    (void)pthread_cond_signal(&watch->ended);
    (void)pthread_mutex_unlock(&watch->lock);
    (void)pthread_join(watch->thread, NULL);
    free_watch(watch);
}
