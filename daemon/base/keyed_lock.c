#include "daemon/base/keyed_lock.h"

#include "daemon/base/pulse.h"

#include <string.h>

#define LOOK_MS 100 /* how often who waits looks whether it was cancelled */

void keyed_locks_init(struct keyed_locks *locks)
{
    *locks = (struct keyed_locks){0};
    (void)pthread_mutex_init(&locks->lock, NULL);
    (void)pthread_cond_init(&locks->given_back, NULL);
}

void keyed_locks_destroy(struct keyed_locks *locks)
{
    (void)pthread_cond_destroy(&locks->given_back);
    (void)pthread_mutex_destroy(&locks->lock);
}

static int is_held(const struct keyed_locks *locks, const struct keyed_lock *key)
{
    for (const struct keyed_lock *held = locks->held; held; held = held->next) {
        if (held->number == key->number && strcmp(held->name, key->name) == 0)
            return 1;
    }
    return 0;
}

int keyed_locks_take(struct keyed_locks *locks, struct keyed_lock *own, const atomic_bool *cancel,
                     struct err *err)
{
    int code = 0;
    (void)pthread_mutex_lock(&locks->lock);
    while (!code && is_held(locks, own)) {
        if (cancel && atomic_load(cancel))
            code = err_set(err, ERR_CANCELLED, "cancelled while waiting for another task that does the same");
        else
            pulse_wait(&locks->given_back, &locks->lock,
                       LOOK_MS); /* minutes, if its holder waits for the hub */
    }
    if (!code) {
        own->next = locks->held;
        locks->held = own;
    }
    (void)pthread_mutex_unlock(&locks->lock);
    return code;
}

void keyed_locks_give(struct keyed_locks *locks, struct keyed_lock *own)
{
    (void)pthread_mutex_lock(&locks->lock);
    struct keyed_lock **at = &locks->held;
    while (*at != own)
        at = &(*at)->next;
    *at = own->next;
    (void)pthread_cond_broadcast(&locks->given_back);
    (void)pthread_mutex_unlock(&locks->lock);
}
