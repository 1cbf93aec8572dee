#include "daemon/base/pause.h"

#include "daemon/base/clock.h"
#include "daemon/base/condition.h"

#include <pthread.h>
#include <stdlib.h>

struct pause {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    int is_over;
};

int pause_new(struct pause **ret_pause, struct err *err)
{
    struct pause *pause = calloc(1, sizeof *pause);
    if (!pause)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    (void)pthread_mutex_init(&pause->lock, NULL);
    (void)pthread_cond_init(&pause->ended, NULL);
    *ret_pause = pause;
    return 0;
}

int pause_wait(struct pause *pause, int64_t duration_ms)
{
    const int64_t until_ms = clock_monotonic_ms() + duration_ms;
    (void)pthread_mutex_lock(&pause->lock);
    while (!pause->is_over && !condition_wait_until(&pause->ended, &pause->lock, until_ms)) {
    }
    const int is_over = pause->is_over;
    (void)pthread_mutex_unlock(&pause->lock);
    return is_over;
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
