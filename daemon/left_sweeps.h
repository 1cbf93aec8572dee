/*
 * Sweeps that the daemon's own workers leave to others, since the hub refuses a repository to this daemon's
 * token. The API's server knows who else there is. It starts after the workers and ends before them: until
 * it is there they wait for it, and once the daemon stops everything is left and nothing more is claimed.
 */
#ifndef BIFURCATED_DAEMON_LEFT_SWEEPS_H
#define BIFURCATED_DAEMON_LEFT_SWEEPS_H

#include "api/server.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct left_sweeps {
    pthread_mutex_t lock; /* guards all below, and each use of the server */
    pthread_cond_t changed;
    const struct api_server *server; /* NULL: not yet, or not any more */
    int is_over;
};

void left_sweeps_init(struct left_sweeps *left);
void left_sweeps_free(struct left_sweeps *left);

/* The server is there; NULL: it is about to end, or never came about. */
void left_sweeps_serve(struct left_sweeps *left, const struct api_server *server);

/* As workers_options.leave, .forget_left and .list_left; the context is a struct left_sweeps. */
int left_sweeps_leave(void *context, int64_t sweep_id);
void left_sweeps_forget(void *context);
size_t left_sweeps_list(void *context, int64_t *ids);

/* As watch_others.may_read. */
int left_sweeps_may_read(void *context, int64_t model_id, int has_access);

#endif
