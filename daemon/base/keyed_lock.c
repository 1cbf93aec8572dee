#include "daemon/base/keyed_lock.h"

#include "daemon/base/pulse.h"

#include <string.h>
#include <time.h>

#define LOOK_MS 100 /* how often who waits looks whether it was cancelled */

void keyed_locks_init(struct keyed_locks *locks)
{
    pthread_condattr_t attributes;
    *locks = (struct keyed_locks){0};
    (void)pthread_mutex_init(&locks->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&locks->given_back, &attributes);
    (void)pthread_condattr_destroy(&attributes);
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

static void wait_a_little(struct keyed_locks *locks)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_cond_timedwait(&locks->given_back, &locks->lock, &until);
}

int keyed_locks_take(struct keyed_locks *locks, struct keyed_lock *own, const atomic_bool *cancel,
                     struct err *err)
{
    int code = 0;
    (void)pthread_mutex_lock(&locks->lock);
    while (!code && is_held(locks, own)) {
        pulse_beat(); /* its holder may wait for minutes, for the hub */
        if (cancel && atomic_load(cancel))
            code = err_set(err, ERR_CANCELLED, "cancelled while waiting for another task that does the same");
        else
            wait_a_little(locks);
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
