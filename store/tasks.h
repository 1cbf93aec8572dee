/*
 * Tasks: one revision of a sweep each. A queue with leases.
 *
 * A worker claims the next task, sends heartbeats, and hands in the result, which is recorded with the task's
 * end in one transaction: there is no half-recorded task. A worker that falls silent loses its lease, others
 * take the task over, and what the silent one hands in later is refused. A lease is named by task, attempt
 * and worker.
 *
 * Order: sweeps by priority; among equals, the one with the fewest running tasks, then the one whose turn is
 * the longest ago; within a sweep by ordinal (step order). A revision that another task is measuring right
 * now is passed over, so that its result is shared and not measured twice.
 *
 * Of a sweep in which the first TASKS_ALIKE_MAX tasks fail for good, all for the same reason, the others are
 * not tried: the request is at fault, not the revisions.
 */
#ifndef BIFURCATED_STORE_TASKS_H
#define BIFURCATED_STORE_TASKS_H

#include "daemon/base/limits.h"
#include "store/contents.h"
#include "store/displacements.h"
#include "store/distributions.h"
#include "store/machine.h"
#include "store/perplexities.h"
#include "store/revisions.h"
#include "store/statistics.h"
#include "store/store.h"

#define TASKS_DETAIL_SIZE 512
#define TASKS_ALIKE_MAX 8
#define TASKS_REFUSED_MS 60000
#define TASKS_REFUSED ERR_MISMATCH /* the error of a task that tasks_refuse() has queued */

struct tasks_policy {
    int failures_max;       /* transient failures and lost leases until a task fails for good */
    int interruptions_max;  /* restarts of the worker under it until a task fails for good */
    int64_t backoff_ms;     /* pause after the first failure; doubles */
    int64_t backoff_max_ms; /* longest pause; at most a day */
    uint64_t seed; /* of the jitter: a pause is 50 to 100 % of the above, by seed, task and failure */
};

/* 5 failures, 50 interruptions, 2 s to 5 min. Used where a policy is NULL. */
extern const struct tasks_policy tasks_policy_default;

struct task_plan {
    int64_t revision_id;
    int64_t ordinal;               /* step order */
    int64_t reference_revision_id; /* 0: none */
    int64_t previous_revision_id;  /* 0: none */
    int64_t bytes_expected;
};

struct task_row {
    int64_t id;
    int64_t sweep_id;
    int64_t model_id;
    int64_t revision_id;
    char revision[LIMIT_REVISION_NAME_BYTES + 1];
    char commit[STORE_DIGEST_SIZE];
    int64_t ordinal;
    int64_t reference_revision_id, previous_revision_id; /* 0: none */
    enum task_state state;
    int64_t attempts; /* claims so far */
    int64_t failures, interruptions;
    int64_t not_before_ms;                           /* 0, or when the pause ends */
    char worker[STORE_WORKER_SIZE];                  /* of the last claim */
    int64_t lease_until_ms, claimed_ms, finished_ms; /* 0: none */
    char error_code[STORE_ERROR_NAME_SIZE];          /* of the last failure */
    char error_message[STORE_ERROR_MESSAGE_SIZE];
    char suspect[STORE_ERROR_NAME_SIZE]; /* of the last failure that may have been the device's; "": none */
    int64_t bytes_fetched, bytes_expected;
    int64_t lease_ms; /* length of the last lease */
};

struct task_lease {
    int64_t task_id;
    int64_t attempt; /* task_row.attempts at the claim */
    char worker[STORE_WORKER_SIZE];
};

/* What was measured of one tensor. Content that is in the store already needs no rows of statistics,
 * displacements or others: what is there is kept, and what is missing is added (also single columns that are
 * NaN so far). */
struct task_tensor {
    char tensor[LIMIT_TENSOR_NAME_BYTES + 1];
    struct content_row content;       /* id ignored */
    int64_t token_rows;               /* the series shows the statistics with this, ... */
    int64_t definition;               /* this, */
    char backend[STORE_BACKEND_SIZE]; /* and this */
    char file_path[LIMIT_FILE_NAME_BYTES + 1];
    char file_digest[STORE_DIGEST_SIZE]; /* "" if unknown */
    int64_t fetched_bytes;
    /* all borrowed */
    const struct statistics_row *statistics;
    size_t statistics_count;
    const struct task_displacement *displacements;
    size_t displacement_count;
    const struct distribution_row *distributions;
    size_t distribution_count;
    const struct columns_row *columns;
    size_t columns_count;
    const struct sample_row *samples;
    size_t sample_count;
};

enum task_link { TASK_LINK_FIRST, TASK_LINK_PREVIOUS };

/* Against one reference; the series shows it as its msd (FIRST) or lag1_msd (PREVIOUS). */
struct task_displacement {
    enum task_link link;
    int64_t reference_revision_id;
    int64_t reference_id;                /* content of the reference; 0: it is named by `reference` */
    const struct content_row *reference; /* borrowed, its id ignored; made if the store has none; or NULL */
    int64_t token_rows;                  /* as in task_tensor, of the rows shown */
    int64_t definition;
    char backend[STORE_BACKEND_SIZE];
    const struct displacement_row *rows; /* borrowed; none if they are in the store already */
    size_t count;
};

struct task_result {
    const struct task_tensor *tensors; /* borrowed */
    size_t tensor_count;
    char weights_digest[STORE_DIGEST_SIZE];    /* "" without a perplexity */
    const struct perplexity_row *perplexities; /* borrowed; weights_digest must be the one above */
    size_t perplexity_count;
    const struct revision_file_row *scored_files; /* borrowed; that gave the perplexities, as far as digests
                                                     are known; revision_id and size ignored */
    size_t scored_file_count;
    int64_t bytes_fetched; /* whole task */
    int is_part; /* the rest failed: these rows are kept, and the task ends as the caller says afterwards */
    int is_hearsay;      /* of what another store knows: numbers that are missing are there */
    const char *caution; /* borrowed; what was left out though the task succeeded: told with its record. NULL
                            or "": nothing */
};

/* Gives a sweep that is planning (else ERR_CONFLICT) its tasks, all or none: they take the place of those
 * that a planning before left which was cut off before sweeps_start(). At most LIMIT_HUB_REFS per sweep. */
int tasks_plan(struct store *store, int64_t sweep_id, const struct task_plan *plans, size_t count,
               struct err *err);

#define TASKS_SPREAD_MAX 4096

struct tasks_claimant {
    const char *worker;
    int64_t lease_ms;
    const struct tasks_policy *policy; /* or NULL; of the tasks whose lease it finds expired */
};

/* What a worker may take, if not any task, and what it likes best. */
struct tasks_choice {
    int64_t sweep_id;      /* 0: of any sweep */
    const int64_t *except; /* sweeps that it cannot work on; borrowed */
    size_t except_count;
    int only_folders;    /* it has no hub: of models that are folders ("file:") */
    const int64_t *near; /* revisions that it has, the newest first; borrowed */
    size_t near_count;
    int does_spread; /* it shares sweeps with others, who each have a memory of their own */
};

/*
 * Claims the next task until now + lease_ms. Expired leases are given up first. ERR_NOT_FOUND if nothing is
 * runnable now; *ret_wait_ms (may be NULL) then becomes the time until something may be (the end of a pause
 * or a lease), or -1 if only a change of the store can help. A lease that ends later than lease_ms from now
 * was given before the clock was set back; it is cut to that.
 *
 * `choice` NULL: any task. A task measures against the revision before its own; a worker that does not have
 * that one must fetch both. So of a sweep's tasks
 *   1. the one behind a revision in `near` comes first;
 *   2. where there is none and the worker does spread, the middle of the longest run of tasks that nobody
 *      has, since that is farthest from the others (of TASKS_SPREAD_MAX, from the first that is left);
 *   3. else the first in step order.
 */
int tasks_claim(struct store *store, const struct tasks_claimant *claimant, const struct tasks_choice *choice,
                struct task_row *ret_row, int64_t *ret_wait_ms, struct err *err);

/* The lease of a task that was just claimed. */
void task_lease_of(const struct task_row *row, struct task_lease *lease);

/* Lengthens the lease and notes progress. Nothing is written if there was no progress and less than a 16th of
 * the lease is over. ERR_CANCELLED if the task was cancelled or is gone, ERR_CONFLICT if the lease was lost
 * otherwise: in both cases the worker drops the task. */
int tasks_heartbeat(struct store *store, const struct task_lease *lease, int64_t lease_ms,
                    int64_t bytes_fetched, struct err *err);

/*
 * Records a result and ends the task (unless it is a part), all or nothing. ERR_CONFLICT if the lease was
 * lost (nothing is recorded), ERR_CANCELLED if the task was cancelled or is gone, or if what it leaves out,
 * since the store had it, was removed: then the task is to be given back. A lease that is over but that
 * nobody else has taken still counts; handing in again what was recorded under the same lease (the answer was
 * lost) succeeds and records nothing. ERR_INVALID, ERR_LIMIT: the result is not well-formed. ERR_NOT_FOUND:
 * it refers to a content or revision that does not exist.
 */
int tasks_record(struct store *store, const struct task_lease *lease, const struct task_result *result,
                 struct err *err);

/* The attempt failed with `reason`: a transient one (err_is_transient) is queued again after a pause until
 * policy->failures_max, any other fails the task, and cancels those of its sweep that nobody has begun where
 * none can do better (see above). ERR_CONFLICT, ERR_CANCELLED as above. *ret_state (may be
 * NULL) becomes queued or failed. A message is kept without "revision NAME: " of the task's own before it. */
int tasks_fail(struct store *store, const struct task_lease *lease, const struct err *reason,
               const struct tasks_policy *policy, enum task_state *ret_state, struct err *err);

/* The attempt ended with a result that the store refuses, or in what may be the worker's own fault: queued
 * again after a pause until policy->failures_max, whatever the reason's code, since another worker may read
 * what this one read wrongly. For TASKS_REFUSED_MS beyond the pause the task is for other workers than this
 * one and its neighbours (equal up to the last '/'). The rest as tasks_fail(). */
int tasks_refuse(struct store *store, const struct task_lease *lease, const struct err *reason,
                 const struct tasks_policy *policy, enum task_state *ret_state, struct err *err);

/* The worker stops and gives the task back: queued at once. ERR_CONFLICT, ERR_CANCELLED as above. */
int tasks_release(struct store *store, const struct task_lease *lease, const struct tasks_policy *policy,
                  struct err *err);

/* The worker cannot do this task, but another may: queued at once, and nothing is counted against the task.
 * ERR_CONFLICT, ERR_CANCELLED as above. */
int tasks_decline(struct store *store, const struct task_lease *lease, const char *why, struct err *err);

#define TASKS_LEFT_MS 600000 /* so long a sweep is none for who left it; then it may ask again */

/* As tasks_decline(), because of a repository that another worker's token may read: the reason is kept with
 * the task, as that of a failure is. */
int tasks_leave(struct store *store, const struct task_lease *lease, const struct err *reason,
                struct err *err);

/* Gives back all tasks of the worker with this name, or, if it ends with '/', of all whose names begin with
 * it: at daemon start, since its own workers died with it, and where a remote one does not know that it has
 * any. `why` is told in their history. *ret_count may be NULL. */
int tasks_requeue_of_worker(struct store *store, const char *worker, const char *why,
                            const struct tasks_policy *policy, int64_t *ret_count, struct err *err);

/* ERR_NOT_FOUND. */
int tasks_get(struct store *store, int64_t id, struct task_row *ret_row, struct err *err);

struct tasks_query {
    int64_t sweep_id;
    const enum task_state *state; /* NULL: in any */
    int64_t after_ordinal;        /* -1: from the start */
    int limit;
};

/* By ordinal. */
int tasks_list(struct store *store, const struct tasks_query *wanted,
               int (*row)(void *context, const struct task_row *row), void *context, struct err *err);

/* The tasks that workers have now, by worker, at most `limit`. */
int tasks_list_claimed(struct store *store, int limit, int (*row)(void *context, const struct task_row *row),
                       void *context, struct err *err);

/* Whether a task of the sweep was last claimed before `before_ms` (wall clock), by a worker with another name
 * than `name` (without its slot). */
int tasks_were_with_others(struct store *store, int64_t sweep_id, const char *name, int64_t before_ms,
                           int *ret_were, struct err *err);

/* The first queued task of a sweep that tasks_leave() left to others. ERR_NOT_FOUND. */
int tasks_find_left(struct store *store, int64_t sweep_id, struct task_row *ret_row, struct err *err);

/* How many tasks of unfinished sweeps are queued and claimed. */
int tasks_depth(struct store *store, int64_t *ret_queued, int64_t *ret_claimed, struct err *err);

struct task_event_row {
    int64_t id;
    int64_t task_id;
    int64_t at_ms;
    char event[16]; /* "plan", "part" or a name of enum task_event; heartbeats are not kept */
    char worker[STORE_WORKER_SIZE];
    char detail[TASKS_DETAIL_SIZE];
};

/* What happened to a task, oldest first, after the event `after` (0: from the start), at most `limit`. */
int tasks_list_events(struct store *store, int64_t task_id, int64_t after, int limit,
                      int (*row)(void *context, const struct task_event_row *row), void *context,
                      struct err *err);

#endif
