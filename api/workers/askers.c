#include "api/workers/askers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct api_askers {
    pthread_mutex_t mutex;
    struct api_asker *first;
};

struct api_askers *api_askers_new(void)
{
    struct api_askers *askers = calloc(1, sizeof *askers);
    if (askers)
        pthread_mutex_init(&askers->mutex, NULL);
    return askers;
}

void api_askers_free(struct api_askers *askers)
{
    if (!askers)
        return;
    pthread_mutex_destroy(&askers->mutex);
    free(askers);
}

void api_askers_enter(struct api_askers *askers, struct api_asker *asker, const char *worker)
{
    *asker = (struct api_asker){.is_over = 0};
    (void)snprintf(asker->worker, sizeof asker->worker, "%s", worker);
    pthread_mutex_lock(&askers->mutex);
    for (struct api_asker *one = askers->first; one; one = one->next)
        one->is_over |= strcmp(one->worker, worker) == 0;
    asker->next = askers->first;
    askers->first = asker;
    pthread_mutex_unlock(&askers->mutex);
}

void api_askers_leave(struct api_askers *askers, struct api_asker *asker)
{
    pthread_mutex_lock(&askers->mutex);
    struct api_asker **at = &askers->first;
    while (*at != asker)
        at = &(*at)->next;
    *at = asker->next;
    pthread_mutex_unlock(&askers->mutex);
}

int api_askers_is_over(struct api_askers *askers, const struct api_asker *asker)
{
    pthread_mutex_lock(&askers->mutex);
    int is_over = asker->is_over;
    pthread_mutex_unlock(&askers->mutex);
    return is_over;
}
