/*
 * The progress of a sweep as a line for people.
 */
#ifndef BIFURCATED_API_CLIENT_PROGRESS_H
#define BIFURCATED_API_CLIENT_PROGRESS_H

#include "daemon/base/limits.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct client_progress {
    char model[LIMIT_MODEL_NAME_BYTES + 1]; /* plain, as the next (api/client/plain.h) */
    char state[16];
    int64_t id;
    int64_t total, done, failed, cancelled;
    int is_folder;                         /* the model lies in a folder of the daemon's machine */
    int64_t bytes_fetched, bytes_expected; /* 0 of a folder, unless its texts are fetched */
    double rate_bytes_per_s;               /* NaN: not known */
    double seconds_left;                   /* NaN: not known */
    char wait_reason[32];  /* what requests to the hub wait for: "request budget"; "": nothing; plain */
    char wait_detail[256]; /* of what of the hub is down: why; "": nothing is; plain */
    int is_plan_waiting;   /* these are why the plan waits, and not of the hub */
    double wait_seconds;   /* how much longer, as of the answer; NaN: not known */
};

/* Reads a sweep as the daemon gives it; what is missing is 0, "" or NaN. */
void client_progress_read(const json_t *sweep, struct client_progress *progress);

/* Whether no more will come. */
int client_progress_is_over(const struct client_progress *progress);

/* "850 kB", "3.4 MB"; powers of 1000. */
void client_progress_format_bytes(double bytes, char *text, size_t size);

/* One line of at most `width` columns, with a bar on a terminal (`has_bar`) where there is room for one, else
 * the words alone. */
void client_progress_format(const struct client_progress *progress, size_t width, int has_bar, char *text,
                            size_t size);

/* Several sweeps as one. */
struct client_progress_sum {
    struct client_progress whole; /* sums over all; the wait of the first that waits */
    size_t count, over, planning;
    double left, speed; /* what is still to come, and how much of it per second, where that is known */
};

/* Adds one to what was all zero at first. */
void client_progress_add(struct client_progress_sum *sum, const struct client_progress *part);

/* As client_progress_format: "3 of 16 sweeps ended, 2 being planned; [####....] 512/2464 revisions, …". The
 * time left is that of all together at the speeds that they have now. */
void client_progress_format_sum(const struct client_progress_sum *sum, size_t width, int has_bar, char *text,
                                size_t size);

#endif
