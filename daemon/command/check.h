/*
 * The examination behind `bifurcated check`: everything that the daemon will need is tried, one by one, so
 * that faults are found before they hurt. Nothing is changed, and a daemon may be running meanwhile.
 */
#ifndef BIFURCATED_COMMAND_CHECK_H
#define BIFURCATED_COMMAND_CHECK_H

#include "daemon/base/err.h"
#include "daemon/hub/hub.h"
#include "daemon/options/options.h"

#include <stddef.h>

#define CHECK_FINDINGS_MAX 64
#define CHECK_TEXT_BYTES (2 * ERR_MESSAGE_BYTES)

enum check_level {
    CHECK_LEVEL_OK,
    CHECK_LEVEL_WARNING, /* it works, but look */
    CHECK_LEVEL_ERROR,   /* the daemon will not start, or cannot do its work */
};

struct check_finding {
    enum check_level level;
    const char *subject; /* "database", "hub": a string constant */
    char text[CHECK_TEXT_BYTES];
};

struct check_report {
    size_t count;
    struct check_finding findings[CHECK_FINDINGS_MAX];
};

/* Runs all examinations, and adds what they find; takes as long as reading the database and one answer of the
 * hub. */
void check_run(const struct options *options, struct check_report *report);

/* The worst level of the report. */
enum check_level check_worst(const struct check_report *report);

/* "ok", "warning", "error". */
const char *check_level_name(enum check_level level);

/* -- For the files check*.c -- */

void check_add(struct check_report *report, enum check_level level, const char *subject, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

/* The folder, or the nearest one above it that exists: there it will be made. The caller frees it; NULL
 * without memory. */
char *check_existing_folder(const char *wanted);

/* The folder of the database, the disk below it, and the database. */
void check_state(const struct options *options, struct check_report *report);

/* The hub, the token, its rate limit, and the cache. */
void check_hub(const struct options *options, struct check_report *report);

/* Offline: which checkpoints the cache holds. */
void check_cached(const struct hub_options *setup, struct check_report *report);

/* The compute device, the CUDA module, and memory. */
void check_device(const struct options *options, struct check_report *report);

/* The address to listen on. */
void check_address(const struct options *options, struct check_report *report);

/* What stands before the API: the certificate with its key. Nothing is said where none is set. */
void check_front(const struct options *options, struct check_report *report);

/* The cluster, if slurm-workers-max is set. */
void check_slurm(const struct options *options, struct check_report *report);

/* Whether a daemon has the state folder; its process id, or 0. Does not take the lock for longer than a
 * moment. */
long check_running_daemon(const struct options *options);

#endif
