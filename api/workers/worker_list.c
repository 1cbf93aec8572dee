#include "api/workers/worker_list.h"

#include "daemon/base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct api_worker_list {
    pthread_mutex_t mutex;
    size_t count, capacity;
    struct api_worker *rows; /* by name */
};

struct api_worker_list *api_worker_list_new(void)
{
    struct api_worker_list *list = calloc(1, sizeof *list);
    if (list)
        pthread_mutex_init(&list->mutex, NULL);
    return list;
}

void api_worker_list_free(struct api_worker_list *list)
{
    if (!list)
        return;
    pthread_mutex_destroy(&list->mutex);
    free(list->rows);
    free(list);
}

void api_worker_name(const char *worker, char *name)
{
    const char *slash = strrchr(worker, '/');
    (void)snprintf(name, STORE_WORKER_SIZE, "%.*s", (int)(slash ? (size_t)(slash - worker) : strlen(worker)),
                   worker);
}

static void remove_at(struct api_worker_list *list, size_t at)
{
    list->count--;
    memmove(&list->rows[at], &list->rows[at + 1], (list->count - at) * sizeof *list->rows);
}

/* Forgets who has been silent for long, and makes room for one more. */
static int make_room(struct api_worker_list *list, int64_t now_ms)
{
    size_t oldest = 0;
    for (size_t i = list->count; i-- > 0;) {
        if (list->rows[i].heard_ms + API_WORKER_FORGET_MS < now_ms)
            remove_at(list, i);
    }
    for (size_t i = 1; i < list->count; i++)
        oldest = list->rows[i].heard_ms < list->rows[oldest].heard_ms ? i : oldest;
    if (list->count == API_WORKERS_MAX)
        remove_at(list, oldest);
    if (list->count < list->capacity)
        return 1;
    size_t capacity = list->capacity ? 2 * list->capacity : 16;
    struct api_worker *rows = realloc(list->rows, capacity * sizeof *rows);
    if (!rows)
        return 0;
    list->rows = rows;
    list->capacity = capacity;
    return 1;
}

static size_t place_of(const struct api_worker_list *list, const char *name)
{
    size_t at = 0;
    while (at < list->count && strcmp(list->rows[at].name, name) < 0)
        at++;
    return at;
}

static struct api_worker *ensure(struct api_worker_list *list, const char *name, int64_t now_ms)
{
    size_t at = place_of(list, name);
    if (at < list->count && strcmp(list->rows[at].name, name) == 0)
        return &list->rows[at];
    if (!make_room(list, now_ms))
        return NULL;
    at = place_of(list, name);
    memmove(&list->rows[at + 1], &list->rows[at], (list->count - at) * sizeof *list->rows);
    list->count++;
    list->rows[at] = (struct api_worker){.first_ms = clock_wall_ms()};
    (void)snprintf(list->rows[at].name, sizeof list->rows[at].name, "%s", name);
    return &list->rows[at];
}

void api_worker_list_note(struct api_worker_list *list, const char *worker, const struct wire_offer *offer,
                          int recorded, int failed)
{
    char name[STORE_WORKER_SIZE];
    int64_t now_ms = clock_monotonic_ms();
    api_worker_name(worker, name);
    pthread_mutex_lock(&list->mutex);
    struct api_worker *row = ensure(list, name, now_ms);
    if (row) {
        row->last_ms = clock_wall_ms();
        row->heard_ms = now_ms;
        row->recorded += recorded;
        row->failed += failed;
    }
    if (row && offer) {
        memcpy(row->version, offer->version, sizeof row->version);
        memcpy(row->device, offer->device, sizeof row->device);
        memcpy(row->backend, offer->backend, sizeof row->backend);
        memcpy(row->hub_problem, offer->hub_problem, sizeof row->hub_problem);
        row->sweep_id = offer->is_leaving ? -1 : offer->sweep_id;
    }
    pthread_mutex_unlock(&list->mutex);
}

static struct api_worker *find(struct api_worker_list *list, const char *worker)
{
    char name[STORE_WORKER_SIZE];
    api_worker_name(worker, name);
    size_t at = place_of(list, name);
    return at < list->count && strcmp(list->rows[at].name, name) == 0 ? &list->rows[at] : NULL;
}

void api_worker_list_note_claim(struct api_worker_list *list, const char *worker, int64_t revision_id)
{
    pthread_mutex_lock(&list->mutex);
    struct api_worker *row = find(list, worker);
    if (row) {
        memmove(row->near + 1, row->near, sizeof row->near - sizeof row->near[0]);
        row->near[0] = revision_id;
    }
    pthread_mutex_unlock(&list->mutex);
}

int api_worker_list_some_reach_hub(struct api_worker_list *list)
{
    int64_t now_ms = clock_monotonic_ms();
    int some_do = 0;
    pthread_mutex_lock(&list->mutex);
    for (size_t i = 0; i < list->count && !some_do; i++)
        some_do = list->rows[i].heard_ms + API_WORKER_SILENT_MS >= now_ms && !list->rows[i].hub_problem[0];
    pthread_mutex_unlock(&list->mutex);
    return some_do;
}

int api_worker_list_some_may_read(struct api_worker_list *list, struct api_gated *gated, const char *name,
                                  int64_t sweep_id, int64_t gated_id)
{
    int64_t now_ms = clock_monotonic_ms();
    int some_may = 0;
    pthread_mutex_lock(&list->mutex);
    for (size_t i = 0; i < list->count && !some_may; i++) {
        const struct api_worker *row = &list->rows[i];
        some_may = row->heard_ms + API_WORKER_SILENT_MS >= now_ms && strcmp(row->name, name) != 0 &&
                   (row->sweep_id == 0 || row->sweep_id == sweep_id) &&
                   !api_gated_is(gated, row->name, gated_id, now_ms);
    }
    pthread_mutex_unlock(&list->mutex);
    return some_may;
}

size_t api_worker_list_near(struct api_worker_list *list, const char *worker, int64_t *near)
{
    size_t count = 0;
    pthread_mutex_lock(&list->mutex);
    const struct api_worker *row = find(list, worker);
    while (row && count < API_WORKER_NEAR && row->near[count]) {
        near[count] = row->near[count];
        count++;
    }
    pthread_mutex_unlock(&list->mutex);
    return count;
}

size_t api_worker_list_copy(struct api_worker_list *list, struct api_worker *rows, size_t max)
{
    int64_t now_ms = clock_monotonic_ms();
    size_t count = 0;
    pthread_mutex_lock(&list->mutex);
    for (size_t i = 0; i < list->count && count < max; i++) {
        if (list->rows[i].heard_ms + API_WORKER_FORGET_MS >= now_ms)
            rows[count++] = list->rows[i];
    }
    pthread_mutex_unlock(&list->mutex);
    return count;
}

size_t api_worker_list_count(struct api_worker_list *list, int64_t within_ms)
{
    int64_t now_ms = clock_monotonic_ms();
    size_t count = 0;
    pthread_mutex_lock(&list->mutex);
    for (size_t i = 0; i < list->count; i++)
        count += list->rows[i].heard_ms + within_ms >= now_ms;
    pthread_mutex_unlock(&list->mutex);
    return count;
}
