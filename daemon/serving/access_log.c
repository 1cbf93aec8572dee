#include "daemon/serving/access_log.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAILURE_PERIOD_MS 10000

enum target { TARGET_OFF, TARGET_LOG, TARGET_FILE };

struct access_log {
    pthread_rwlock_t lock; /* of the next two: written by access_log_set alone */
    enum target target;
    int fd;                         /* of the file, or -1 */
    atomic_int is_on;               /* target is not TARGET_OFF, for who does not take the lock */
    atomic_int is_broken;           /* a line was lost, and that was said */
    _Atomic int64_t failure_due_ms; /* when the next failure is told, monotonic */
    _Atomic int64_t failures_untold;
};

static int open_file(const char *path, int *ret_fd, struct err *err)
{
    /* A pipe that nobody reads must hold up neither the start nor, once it is full, an answer. */
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0 && errno == ENXIO)
        return err_set(err, ERR_IO, "access-log: %s: is a pipe without a reader: start that first", path);
    if (fd < 0)
        return err_set_errno(err, errno, "access-log: %s", path);
    *ret_fd = fd;
    return 0;
}

int access_log_set(struct access_log *log, const char *setting, struct err *err)
{
    enum target target = TARGET_FILE;
    int fd = -1;
    if (strcmp(setting, "off") == 0)
        target = TARGET_OFF;
    else if (strcmp(setting, "on") == 0)
        target = TARGET_LOG;
    else if (setting[0] != '/')
        return err_set(err, ERR_INVALID, "access-log: %.200s: neither off, on nor the whole path of a file",
                       setting);
    int code = target == TARGET_FILE ? open_file(setting, &fd, err) : 0;
    if (code)
        return code;
    (void)pthread_rwlock_wrlock(&log->lock);
    int old = log->fd;
    log->target = target;
    log->fd = fd;
    (void)pthread_rwlock_unlock(&log->lock);
    atomic_store(&log->is_on, target != TARGET_OFF);
    atomic_store(&log->is_broken, 0);
    if (old >= 0)
        (void)close(old);
    return 0;
}

int access_log_new(const char *setting, struct access_log **ret_log, struct err *err)
{
    struct access_log *log = calloc(1, sizeof *log);
    if (!log)
        return err_set(err, ERR_NO_MEMORY, "access-log: out of memory");
    (void)pthread_rwlock_init(&log->lock, NULL);
    log->fd = -1;
    int code = access_log_set(log, setting, err);
    if (code) {
        access_log_free(log);
        return code;
    }
    *ret_log = log;
    return 0;
}

void access_log_free(struct access_log *log)
{
    if (!log)
        return;
    if (log->fd >= 0)
        (void)close(log->fd);
    (void)pthread_rwlock_destroy(&log->lock);
    free(log);
}

int access_log_is_on(struct access_log *log)
{
    return atomic_load(&log->is_on) || log_is_on(LOG_LEVEL_DEBUG);
}

void access_log_failure(struct access_log *log, const char *request_id, const char *target,
                        const char *reason)
{
    int64_t now = clock_monotonic_ms(), due = atomic_load(&log->failure_due_ms);
    if (now < due || !atomic_compare_exchange_strong(&log->failure_due_ms, &due, now + FAILURE_PERIOD_MS)) {
        (void)atomic_fetch_add(&log->failures_untold, 1);
        return;
    }
    log_error("a request failed", log_text("id", request_id), log_text("target", target),
              log_text("reason", reason), log_int("others", atomic_exchange(&log->failures_untold, 0)),
              log_end);
}

void access_log_write(struct access_log *log, const struct api_access *access)
{
    const struct log_field fields[] = {log_text("id", access->request_id),
                                       log_text("address", access->address),
                                       log_text("token", access->token),
                                       log_text("method", access->method),
                                       log_text("target", access->target),
                                       log_int("status", access->status),
                                       log_int("bytes", (int64_t)access->body_bytes),
                                       log_real("seconds", access->seconds),
                                       log_text("operation", access->operation),
                                       log_text("agent", access->agent),
                                       log_end};
    int fault = 0;
    (void)pthread_rwlock_rdlock(&log->lock);
    if (log->target == TARGET_OFF)
        log_write(LOG_LEVEL_DEBUG, "request", fields);
    else
        fault = log_write_to(log->target == TARGET_LOG ? STDERR_FILENO : log->fd, "request", fields);
    (void)pthread_rwlock_unlock(&log->lock);
    if (fault && !atomic_exchange(&log->is_broken, 1))
        log_error("the access log cannot be written; lines are lost", log_text("reason", strerror(fault)),
                  log_end);
}
