/*
 * A lock per key, for work that takes long and that several threads want at once (a download): one does it,
 * those that want the same wait and find it done, and nobody else waits. A wait can be cancelled, and beats
 * (pulse.h).
 */
#ifndef BIFURCATED_BASE_KEYED_LOCK_H
#define BIFURCATED_BASE_KEYED_LOCK_H

#include "daemon/base/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* A key that a thread holds. It lives on that thread's stack, and its name for as long. */
struct keyed_lock {
    int64_t number;
    const char *name;
    struct keyed_lock *next;
};

struct keyed_locks {
    pthread_mutex_t lock;
    pthread_cond_t given_back;
    struct keyed_lock *held;
};

void keyed_locks_init(struct keyed_locks *locks);

/* Nobody may hold or want any. */
void keyed_locks_destroy(struct keyed_locks *locks);

/* Takes the key (number, name), which *own holds from then on. ERR_CANCELLED soon after *cancel, which may be
 * NULL, became true while another thread held it. */
int keyed_locks_take(struct keyed_locks *locks, struct keyed_lock *own, const atomic_bool *cancel,
                     struct err *err);

void keyed_locks_give(struct keyed_locks *locks, struct keyed_lock *own);

#endif
