#include "api/workers/gated.h"

#include "store/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    char name[STORE_WORKER_SIZE];
    int64_t sweep_id, until_ms;
};

struct api_gated {
    pthread_mutex_t mutex; /* guards all below */
    int64_t keep_ms;
    size_t count;
    struct row rows[API_GATED_MAX]; /* the oldest first */
};

struct api_gated *api_gated_new(int64_t keep_ms)
{
    struct api_gated *gated = calloc(1, sizeof *gated);
    if (!gated)
        return NULL;
    gated->keep_ms = keep_ms;
    pthread_mutex_init(&gated->mutex, NULL);
    return gated;
}

void api_gated_free(struct api_gated *gated)
{
    if (!gated)
        return;
    pthread_mutex_destroy(&gated->mutex);
    free(gated);
}

/* All are kept for equally long, so what is over stands in front. */
static void drop(struct api_gated *gated, int64_t now_ms)
{
    size_t over = 0;
    while (over < gated->count && gated->rows[over].until_ms <= now_ms)
        over++;
    gated->count -= over;
    if (over)
        memmove(gated->rows, gated->rows + over, gated->count * sizeof gated->rows[0]);
}

static size_t place_of(const struct api_gated *gated, const char *name, int64_t sweep_id)
{
    size_t at = 0;
    while (at < gated->count &&
           (gated->rows[at].sweep_id != sweep_id || strcmp(gated->rows[at].name, name) != 0))
        at++;
    return at;
}

static void remove_at(struct api_gated *gated, size_t at)
{
    gated->count--;
    memmove(&gated->rows[at], &gated->rows[at + 1], (gated->count - at) * sizeof gated->rows[0]);
}

void api_gated_note(struct api_gated *gated, const char *name, int64_t sweep_id, int64_t now_ms)
{
    pthread_mutex_lock(&gated->mutex);
    drop(gated, now_ms);
    size_t at = place_of(gated, name, sweep_id);
    if (at == gated->count && gated->count == API_GATED_MAX)
        at = 0;
    if (at < gated->count)
        remove_at(gated, at);
    struct row *row = &gated->rows[gated->count++];
    *row = (struct row){.sweep_id = sweep_id, .until_ms = now_ms + gated->keep_ms};
    (void)snprintf(row->name, sizeof row->name, "%s", name);
    pthread_mutex_unlock(&gated->mutex);
}

void api_gated_take_back(struct api_gated *gated, const char *name, int64_t sweep_id)
{
    pthread_mutex_lock(&gated->mutex);
    size_t at = place_of(gated, name, sweep_id);
    if (at < gated->count)
        remove_at(gated, at);
    pthread_mutex_unlock(&gated->mutex);
}

void api_gated_forget(struct api_gated *gated, const char *name)
{
    size_t kept = 0;
    pthread_mutex_lock(&gated->mutex);
    for (size_t i = 0; i < gated->count; i++) {
        if (strcmp(gated->rows[i].name, name) != 0)
            gated->rows[kept++] = gated->rows[i];
    }
    gated->count = kept;
    pthread_mutex_unlock(&gated->mutex);
}

int api_gated_is(struct api_gated *gated, const char *name, int64_t sweep_id, int64_t now_ms)
{
    pthread_mutex_lock(&gated->mutex);
    drop(gated, now_ms);
    int is_there = place_of(gated, name, sweep_id) < gated->count;
    pthread_mutex_unlock(&gated->mutex);
    return is_there;
}

size_t api_gated_list(struct api_gated *gated, const char *name, int64_t now_ms, int64_t *ids)
{
    size_t count = 0;
    pthread_mutex_lock(&gated->mutex);
    drop(gated, now_ms);
    for (size_t i = 0; i < gated->count && count < API_GATED_SWEEPS_MAX; i++) {
        if (strcmp(gated->rows[i].name, name) == 0)
            ids[count++] = gated->rows[i].sweep_id;
    }
    pthread_mutex_unlock(&gated->mutex);
    return count;
}
