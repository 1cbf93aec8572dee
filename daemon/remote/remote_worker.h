/*
 * A remote worker: claims tasks of a daemon over REST, fetches and measures them as a local worker would, and
 * hands in what it measured (`bifurcated worker`).
 *
 * It has several slots, so that fetching goes ahead of measuring; one of them at a time waits for work. A
 * thread beside each keeps its lease alive. While the daemon cannot be reached, slots go on with what they
 * have, keep their results and try again. A lost claim is dropped: the daemon records nothing twice.
 */
#ifndef BIFURCATED_REMOTE_REMOTE_WORKER_H
#define BIFURCATED_REMOTE_REMOTE_WORKER_H

#include "api/client/rest.h"
#include "daemon/base/err.h"
#include "daemon/measure/engine.h"
#include "daemon/remote/remote_store.h"

#include <stdint.h>

struct remote_worker;

enum remote_end {
    REMOTE_END_IDLE,    /* nothing to do for as long as was asked for */
    REMOTE_END_UNHEARD, /* nor has the daemon ever answered */
    REMOTE_END_REFUSED, /* the daemon does not accept this worker */
    REMOTE_END_RESTART, /* the daemon has another database: what this worker knows no longer holds */
    REMOTE_END_DEVICE,  /* the compute device is lost */
    REMOTE_END_HANG     /* a task hangs (daemon/measure/hang.h) */
};

struct remote_worker_options {
    struct engine *engine;
    struct remote_store *store;
    const char *server, *token, *token_path, *ca_file; /* as in struct rest_options */
    const char *name;    /* 1 to WIRE_NAME_BYTES_MAX visible ASCII characters; copied */
    int count;           /* slots, 1 to REMOTE_SLOTS_MAX */
    int64_t sweep_id;    /* 0: of any sweep */
    int64_t idle_exit_s; /* ends after so long without work; 0: never */
    int64_t hang_ms;     /* after which a task without progress hangs; 0: never */
    /* Called once, from a thread of the worker, when it ends by itself; the process should stop it then. */
    void (*ended)(void *context, enum remote_end end);
    void *context;
};

#define REMOTE_SLOTS_MAX 64

/* Says what the daemon will call it, and starts the threads. Strings and parts must outlive the worker. */
int remote_worker_start(const struct remote_worker_options *options, struct remote_worker **ret_worker,
                        struct err *err);

/* Stops claiming; running tasks may end within drain_ms and are given back otherwise. Waits, and frees.
 * NULL is allowed. 1 if a task hangs: then nothing was freed, and the process must end at once (_exit);
 * else 0. */
int remote_worker_stop(struct remote_worker *worker, int64_t drain_ms);

#endif
