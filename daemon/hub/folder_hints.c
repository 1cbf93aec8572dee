#include "daemon/hub/folder_hints.h"

#include "daemon/base/clock.h"
#include "daemon/hub/repository.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 4096 /* three hexadecimal digits; 200 KB */

struct slot {
    char commit[REPOSITORY_COMMIT_SIZE];
    char *revision;  /* NULL: empty */
    int64_t seen_ms; /* first, monotonic */
};

struct folder_hints {
    pthread_mutex_t mutex;
    int owner_count;
    struct slot slots[SLOTS];
};

int folder_hints_new(struct folder_hints **ret_hints, struct err *err)
{
    struct folder_hints *hints = calloc(1, sizeof *hints);
    if (!hints)
        return err_set(err, ERR_NO_MEMORY, "folders: out of memory");
    (void)pthread_mutex_init(&hints->mutex, NULL);
    hints->owner_count = 1;
    *ret_hints = hints;
    return 0;
}

struct folder_hints *folder_hints_share(struct folder_hints *hints)
{
    (void)pthread_mutex_lock(&hints->mutex);
    hints->owner_count++;
    (void)pthread_mutex_unlock(&hints->mutex);
    return hints;
}

void folder_hints_free(struct folder_hints *hints)
{
    if (!hints)
        return;
    (void)pthread_mutex_lock(&hints->mutex);
    int is_last = --hints->owner_count == 0;
    (void)pthread_mutex_unlock(&hints->mutex);
    if (!is_last)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        free(hints->slots[i].revision);
    (void)pthread_mutex_destroy(&hints->mutex);
    free(hints);
}

/* Commits are digests, so their first digits spread evenly. */
static struct slot *slot_of(struct folder_hints *hints, const char *commit)
{
    char digits[4];
    (void)snprintf(digits, sizeof digits, "%s", commit);
    return &hints->slots[strtoul(digits, NULL, 16) % SLOTS];
}

void folder_hints_put(struct folder_hints *hints, const char *commit, const char *revision)
{
    char *copy = strdup(revision);
    (void)pthread_mutex_lock(&hints->mutex);
    struct slot *slot = slot_of(hints, commit);
    if (strcmp(slot->commit, commit) != 0)
        slot->seen_ms = clock_monotonic_ms();
    (void)snprintf(slot->commit, sizeof slot->commit, "%s", commit);
    free(slot->revision);
    slot->revision = copy;
    (void)pthread_mutex_unlock(&hints->mutex);
}

int folder_hints_get(struct folder_hints *hints, const char *commit, char *revision, size_t size)
{
    (void)pthread_mutex_lock(&hints->mutex);
    const struct slot *slot = slot_of(hints, commit);
    int has_one = slot->revision && strcmp(slot->commit, commit) == 0;
    if (has_one)
        (void)snprintf(revision, size, "%s", slot->revision);
    (void)pthread_mutex_unlock(&hints->mutex);
    return has_one;
}

int64_t folder_hints_age_ms(struct folder_hints *hints, const char *commit)
{
    (void)pthread_mutex_lock(&hints->mutex);
    const struct slot *slot = slot_of(hints, commit);
    int64_t age_ms = strcmp(slot->commit, commit) == 0 ? clock_monotonic_ms() - slot->seen_ms : 0;
    (void)pthread_mutex_unlock(&hints->mutex);
    return age_ms;
}
