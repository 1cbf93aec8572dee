#include "daemon/watch/duty.h"

#include "daemon/base/log.h"
#include "daemon/base/pause.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define WAIT_LONGEST_MS 2000 /* the wall clock may be set meanwhile */
#define LOOK_SHORTEST_MS 200 /* a busy store changes a hundred times a second */
#define FAULT_PAUSE_MS 2000
#define FAULT_PAUSE_LONGEST_MS 60000

struct duty {
    struct store *store;
    const char *complaint;
    duty_work *work;
    void *context;
    pthread_t thread;
    struct pause *pause;
    atomic_bool is_stopping;
};

static void *run(void *context)
{
    struct duty *duty = context;
    int64_t fault_ms = FAULT_PAUSE_MS;
    while (!atomic_load(&duty->is_stopping)) {
        struct err err = ERR_INIT;
        int64_t wait_ms = 0;
        uint64_t version = store_version(duty->store);
        int code = duty->work(duty->context, &duty->is_stopping, &wait_ms, &err);
        if (atomic_load(&duty->is_stopping))
            break;
        if (code) {
            log_error(duty->complaint, log_text("reason", err.message), log_int("again_after_ms", fault_ms),
                      log_end);
            (void)pause_wait(duty->pause, fault_ms);
            fault_ms = 2 * fault_ms < FAULT_PAUSE_LONGEST_MS ? 2 * fault_ms : FAULT_PAUSE_LONGEST_MS;
            continue;
        }
        fault_ms = FAULT_PAUSE_MS;
        if (wait_ms < 0 || wait_ms > WAIT_LONGEST_MS)
            wait_ms = WAIT_LONGEST_MS;
        if (wait_ms > 0) {
            (void)store_wait_change(duty->store, version, wait_ms, &duty->is_stopping);
            (void)pause_wait(duty->pause, wait_ms < LOOK_SHORTEST_MS ? wait_ms : LOOK_SHORTEST_MS);
        }
    }
    return NULL;
}

int duty_start(struct store *store, const char *complaint, duty_work *work, void *context,
               struct duty **ret_duty, struct err *err)
{
    struct duty *duty = calloc(1, sizeof *duty);
    if (!duty)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    *duty = (struct duty){.store = store, .complaint = complaint, .work = work, .context = context};
    int code = pause_new(&duty->pause, err);
    if (!code) {
        int failed = pthread_create(&duty->thread, NULL, run, duty);
        if (failed)
            code = err_set_errno(err, failed, "cannot start a thread");
    }
    if (code) {
        pause_free(duty->pause);
        free(duty);
        return code;
    }
    *ret_duty = duty;
    return 0;
}

void duty_ask_to_stop(struct duty *duty)
{
    if (!duty)
        return;
    atomic_store(&duty->is_stopping, true);
    pause_end(duty->pause);
    store_wake(duty->store);
}

void duty_stop(struct duty *duty)
{
    if (!duty)
        return;
    duty_ask_to_stop(duty);
    (void)pthread_join(duty->thread, NULL);
    pause_free(duty->pause);
    free(duty);
}
