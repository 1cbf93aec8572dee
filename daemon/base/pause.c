#include "daemon/base/pause.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct pause {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    int is_over;
};

int pause_new(struct pause **ret_pause, struct err *err)
{
    pthread_condattr_t attributes;
    struct pause *pause = calloc(1, sizeof *pause);
    if (!pause)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    (void)pthread_mutex_init(&pause->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&pause->ended, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    *ret_pause = pause;
    return 0;
}

void pause_wait(struct pause *pause, int64_t duration_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += duration_ms / 1000;
    until.tv_nsec += duration_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    (void)pthread_mutex_lock(&pause->lock);
    while (!pause->is_over && pthread_cond_timedwait(&pause->ended, &pause->lock, &until) == 0) {
    }
    (void)pthread_mutex_unlock(&pause->lock);
}

void pause_end(struct pause *pause)
{
    (void)pthread_mutex_lock(&pause->lock);
    pause->is_over = 1;
    (void)pthread_cond_broadcast(&pause->ended);
    (void)pthread_mutex_unlock(&pause->lock);
}

void pause_free(struct pause *pause)
{
    if (!pause)
        return;
    (void)pthread_cond_destroy(&pause->ended);
    (void)pthread_mutex_destroy(&pause->lock);
    free(pause);
}
