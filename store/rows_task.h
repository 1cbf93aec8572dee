/*
 * For this folder only: the columns of a task k with its revision r and sweep s, and the function that reads
 * them.
 */
#ifndef BIFURCATED_STORE_ROWS_TASK_H
#define BIFURCATED_STORE_ROWS_TASK_H

#include "store/query.h"
#include "store/tasks.h"

#define ROWS_TASK                                                                                            \
    "k.id, k.sweep_id, r.model_id, k.revision_id, r.name, r.commit_sha, k.ordinal, "                         \
    "k.reference_revision_id, "                                                                              \
    "k.previous_revision_id, k.state, k.attempts, k.failures, k.interruptions, k.not_before_ms, k.worker, "  \
    "k.lease_until_ms, k.claimed_ms, k.finished_ms, k.error_code, k.error_message, k.bytes_fetched, "        \
    "k.bytes_expected, k.lease_ms, k.suspect"
#define ROWS_TASK_FROM " FROM tasks k JOIN revisions r ON r.id = k.revision_id "

/* Expects the columns next in the query. */
void rows_read_task(struct query *query, struct task_row *row);

#endif
