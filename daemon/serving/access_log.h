/*
 * The access log: a line for each answered request, in the form of the log (log-format), into the log itself
 * or a file of its own.
 *
 * A line has the request's id, the peer's address, the name of its token, method, target, status, bytes,
 * seconds, operation and agent, all escaped as the log escapes. The token itself is never there.
 */
#ifndef BIFURCATED_SERVING_ACCESS_LOG_H
#define BIFURCATED_SERVING_ACCESS_LOG_H

#include "api/server.h"
#include "daemon/base/err.h"

struct access_log;

/* `setting` is "off", "on" (into the log) or a file, which is made (mode 0640) or appended to. Off, requests
 * are lines of level debug. Nothing waits for a pipe: lines that do not fit are lost. ERR_IO and others of
 * opening a file. */
int access_log_new(const char *setting, struct access_log **ret_log, struct err *err);
void access_log_free(struct access_log *log);

/* Takes another setting, or opens the same file again after it was moved away. The old one stays if that
 * fails. Safe while others write. */
int access_log_set(struct access_log *log, const char *setting, struct err *err);

/* Whether a line written now would be kept anywhere: always, except with "off" and a log level above
 * debug. */
int access_log_is_on(struct access_log *log);

/* A request was answered with 500: a line in the log whatever the setting, one in ten seconds at most, since
 * a dashboard asks again. From any thread. */
void access_log_failure(struct access_log *log, const char *request_id, const char *target,
                        const char *reason);

/* From any thread. Says once in the log if a line could not be written. */
void access_log_write(struct access_log *log, const struct api_access *access);

#endif
