/*
 * Errors: a negative code for the program and one sentence for the person.
 *
 * A function that can fail returns 0 or a negative code and fills the caller's `struct err`. While the stack
 * unwinds, each level may put its own context before the text, so that the whole reads as one chain:
 * "model EleutherAI/pythia-14m: revision step512: model.safetensors: header: truncated after 8 bytes".
 * The message is one line, impersonal, and says what to do where that is known. No allocation takes place,
 * so running out of memory can be reported too.
 */
#ifndef BIFURCATED_BASE_ERR_H
#define BIFURCATED_BASE_ERR_H

#include <stdarg.h>

#define ERR_MESSAGE_BYTES 512

/* code, name used in logs, the database and the API, what it means */
#define ERR_CODES(X)                                                                                         \
    X(ERR_INVALID, -1, "invalid", "the request or an option is wrong")                                       \
    X(ERR_NOT_FOUND, -2, "not_found", "no such model, revision, file, tensor or row")                        \
    X(ERR_IO, -3, "io", "reading or writing a local file failed")                                            \
    X(ERR_NO_SPACE, -4, "no_space", "the disk or a quota is full")                                           \
    X(ERR_NO_MEMORY, -5, "no_memory", "memory could not be had, or would exceed a limit")                    \
    X(ERR_NETWORK, -6, "network", "the connection failed or broke off")                                      \
    X(ERR_TIMEOUT, -7, "timeout", "no answer in time")                                                       \
    X(ERR_HTTP, -8, "http", "the server answered with an unexpected status")                                 \
    X(ERR_UNAUTHORIZED, -9, "unauthorized", "a token is missing or not accepted")                            \
    X(ERR_RATE_LIMITED, -10, "rate_limited", "the server asks for fewer requests")                           \
    X(ERR_FORMAT, -11, "format", "the bytes are not a well-formed file of their kind")                       \
    X(ERR_UNSUPPORTED, -12, "unsupported", "well-formed, but of a kind that is not handled")                 \
    X(ERR_LIMIT, -13, "limit", "a size or count exceeds a bound of this program")                            \
    X(ERR_MISMATCH, -14, "mismatch", "a digest, size or identity differs from what was promised")            \
    X(ERR_CONFLICT, -15, "conflict", "the state of the row or file does not allow this")                     \
    X(ERR_CANCELLED, -16, "cancelled", "the work was cancelled or the daemon is stopping")                   \
    X(ERR_DATABASE, -17, "database", "the database failed")                                                  \
    X(ERR_DEVICE, -18, "device", "a compute device refused the work")                                        \
    X(ERR_DEVICE_LOST, -19, "device_lost", "a compute device is unusable until the process restarts")        \
    X(ERR_INTERNAL, -20, "internal", "a defect of this program")                                             \
    X(ERR_UNREACHABLE, -21, "unreachable",                                                                   \
      "the hub, or a part of it, is down: what needs it waits, see daemon/hub/parts.h")                      \
    X(ERR_GATED, -22, "gated",                                                                               \
      "the hub keeps a repository from this token, or from whoever has none; another may do")                \
    X(ERR_NO_ROUTE, -23, "no_route", "the API has nothing at this path, whatever is known: see /openapi.json")

enum err_code {
    ERR_OK = 0,
#define X(symbol, value, name, meaning) symbol = (value),
    ERR_CODES(X)
#undef X
};

/* What an ERR_NOT_FOUND is about, for whoever gives advice by it; the names are the API's. */
#define ERR_ABSENTS(X)                                                                                       \
    X(ERR_ABSENT_MODEL, "model")                                                                             \
    X(ERR_ABSENT_REVISION, "revision")                                                                       \
    X(ERR_ABSENT_SWEEP, "sweep")                                                                             \
    X(ERR_ABSENT_TASK, "task")                                                                               \
    X(ERR_ABSENT_WATCH, "watch")                                                                             \
    X(ERR_ABSENT_TOKEN, "token")

enum err_absent {
    ERR_ABSENT_OTHER = 0,
#define X(symbol, name) symbol,
    ERR_ABSENTS(X)
#undef X
};

struct err {
    int code;                        /* ERR_OK or one of the negative codes */
    enum err_absent absent;          /* of ERR_NOT_FOUND */
    char message[ERR_MESSAGE_BYTES]; /* one line of UTF-8, always terminated, cut at the end if too long */
};

/* An err without an error; `struct err err = ERR_INIT;`. */
#define ERR_INIT                                                                                             \
    {                                                                                                        \
        .code = ERR_OK, .absent = ERR_ABSENT_OTHER, .message = ""                                            \
    }

/* Tells compilers and analysers what holds for every code that an error returns: it is negative. */
static inline int err_negative(int code)
{
    if (code >= 0)
        __builtin_unreachable();
    return code;
}

/* Sets code and message; returns the code, so that `return err_set(err, ERR_IO, "...")` reads well. */
#define err_set(...) err_negative(err_set_message(__VA_ARGS__))
int err_set_message(struct err *err, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ERR_NOT_FOUND of a thing. */
#define err_set_absent(...) err_negative(err_set_absent_message(__VA_ARGS__))
int err_set_absent_message(struct err *err, enum err_absent absent, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set for a failed system call: appends ": " and strerror(errno_value); ENOSPC and EDQUOT become
 * ERR_NO_SPACE, ENOMEM becomes ERR_NO_MEMORY, ENOENT becomes ERR_NOT_FOUND, the rest ERR_IO. */
#define err_set_errno(...) err_negative(err_set_errno_message(__VA_ARGS__))
int err_set_errno_message(struct err *err, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<context>: " before the message unless it begins so; returns the code that is already there. */
#define err_wrap(...) err_negative(err_wrap_message(__VA_ARGS__))
int err_wrap_message(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "network" for ERR_NETWORK, "ok" for 0, "internal" for an unknown code. */
const char *err_name(int code);

/* "model"; "" for ERR_ABSENT_OTHER. And back; ERR_ABSENT_OTHER for an unknown name. */
const char *err_absent_name(enum err_absent absent);
enum err_absent err_absent_of(const char *name);

/* The code whose name this is; ERR_INTERNAL for an unknown name. */
int err_code_of(const char *name);

/* Whether the same call may succeed later without anybody changing anything (network, timeout, rate limit,
 * hub that is down, full disk, lost device): the queue retries these. */
int err_is_transient(int code);

/* Whether a compute device, or memory that a neighbour held, may have caused it: not the network, a disk,
 * or the bytes that were read. */
int err_may_be_of_the_device(int code);

/* Whether the fault is that the daemon can store nothing now (database, disk, memory), whatever it was
 * doing. */
int err_is_of_the_store(int code);

#endif
