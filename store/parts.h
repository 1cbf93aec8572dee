/*
 * For this folder only: deleting much in parts, each a transaction of its own, so that other writers get
 * their turn in between. What is to go is searched for beforehand by a reader: a search is long, and no
 * reason for writers to wait.
 *
 * Whoever deletes must be able to go on after a part, since the process may end there.
 */
#ifndef BIFURCATED_STORE_PARTS_H
#define BIFURCATED_STORE_PARTS_H

#include "store/connection.h"
#include "store/query.h"

#define PARTS_IDS_MAX 1000

/* What a search has found. */
struct parts_found {
    int64_t ids[PARTS_IDS_MAX];
    size_t count;
};

/* Takes what a bound query returns, an id and how many rows go with it, until there are `rows_max` together
 * (0: no bound); one that has more alone. */
int parts_take(struct query *query, int64_t rows_max, struct parts_found *found, struct err *err);

/* Deletes what was found, by `delete_one`, in transactions that are short enough for other writers to wait
 * a few dozen milliseconds at most. `is_shown`: reads show what goes. If they do not, a power cut may bring
 * some of it back, to be deleted again. */
int parts_delete(struct store *store, const struct parts_found *found, int is_shown,
                 int (*delete_one)(struct connection *connection, void *context, int64_t id, struct err *err),
                 void *context, struct err *err);

/* Runs a statement with one number, or with two. */
int parts_run(struct connection *connection, const char *sql, int64_t id, struct err *err);
int parts_run_two(struct connection *connection, const char *sql, int64_t id, int64_t other, struct err *err);

/* Deletes sweeps that are over. One that is alone in a part may be large: of its tasks each call deletes
 * SWEEPS_PRUNE_TASKS, and *ret_are_gone is 0, until the rest goes with it. What is left is still a sweep to
 * be deleted. */
int parts_delete_sweeps(struct store *store, const struct parts_found *found, int *ret_are_gone,
                        struct err *err);

#endif
