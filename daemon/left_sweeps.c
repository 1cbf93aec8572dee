#include "daemon/left_sweeps.h"

#include "daemon/workers/workers.h"

#include <string.h>

_Static_assert(API_WORKERS_LEFT_MAX == WORKERS_LEFT_MAX, "the API writes what the workers read");

void left_sweeps_init(struct left_sweeps *left)
{
    *left = (struct left_sweeps){.server = NULL};
    (void)pthread_mutex_init(&left->lock, NULL);
    (void)pthread_cond_init(&left->changed, NULL);
}

void left_sweeps_free(struct left_sweeps *left)
{
    (void)pthread_cond_destroy(&left->changed);
    (void)pthread_mutex_destroy(&left->lock);
}

void left_sweeps_serve(struct left_sweeps *left, const struct api_server *server)
{
    (void)pthread_mutex_lock(&left->lock);
    left->server = server;
    left->is_over = !server;
    (void)pthread_cond_broadcast(&left->changed);
    (void)pthread_mutex_unlock(&left->lock);
}

int left_sweeps_leave(void *context, int64_t sweep_id)
{
    struct left_sweeps *left = context;
    (void)pthread_mutex_lock(&left->lock);
    while (!left->server && !left->is_over)
        (void)pthread_cond_wait(&left->changed, &left->lock);
    int is_left = !left->server ||
                  api_workers_leave(api_server_workers(left->server), WORKERS_NAME_PREFIX "0", sweep_id);
    (void)pthread_mutex_unlock(&left->lock);
    return is_left;
}

void left_sweeps_forget(void *context)
{
    struct left_sweeps *left = context;
    (void)pthread_mutex_lock(&left->lock);
    if (left->server)
        api_workers_forget_left(api_server_workers(left->server), WORKERS_NAME_PREFIX "0");
    (void)pthread_mutex_unlock(&left->lock);
}

size_t left_sweeps_list(void *context, int64_t *ids)
{
    struct left_sweeps *left = context;
    size_t count = 0;
    (void)pthread_mutex_lock(&left->lock);
    if (left->is_over) {
        memset(ids, 0, WORKERS_LEFT_MAX * sizeof *ids);
        count = WORKERS_LEFT_MAX;
    } else if (left->server)
        count = api_workers_list_left(api_server_workers(left->server), WORKERS_NAME_PREFIX "0", ids);
    (void)pthread_mutex_unlock(&left->lock);
    return count;
}

int left_sweeps_may_read(void *context, int64_t model_id, int has_access)
{
    struct left_sweeps *left = context;
    (void)pthread_mutex_lock(&left->lock);
    int may = left->server ? api_workers_may_read(api_server_workers(left->server), model_id, has_access)
                           : has_access;
    (void)pthread_mutex_unlock(&left->lock);
    return may;
}
