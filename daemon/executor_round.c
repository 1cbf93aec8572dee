#include "daemon/executor_round.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/slurm/sizing.h"
#include "store/jobs.h"
#include "store/sweeps.h"
#include "store/tasks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEMANDS_MAX 1000
#define ACTIONS_MAX (SLURM_ARRAYS_MAX + DEMANDS_MAX)
#define SUBMIT_GRACE_MS 30000 /* until a submission whose end was not seen may have come to the queue */
#define CANCEL_AGAIN_MS 30000

/* What a round knows. */
struct view {
    struct job_row jobs[SLURM_ARRAYS_MAX];
    struct slurm_array arrays[SLURM_ARRAYS_MAX]; /* of the same jobs */
    struct sizing_supply supplies[SLURM_ARRAYS_MAX];
    size_t supplied[SLURM_ARRAYS_MAX]; /* which job a supply is */
    struct sizing_demand demands[DEMANDS_MAX];
    struct sizing_action actions[ACTIONS_MAX];
    size_t job_count, supply_count, demand_count;
};

/* Whether it is less than so long ago. What lies far ahead is of a clock that was set back: long ago. */
static int is_recent(int64_t at_ms, int64_t span_ms)
{
    int64_t age_ms = clock_wall_ms() - at_ms;
    return age_ms < span_ms && age_ms > -span_ms;
}

/* -- Failures -------------------------------------------------------------------------------------------- */

/* Remembers what went wrong, and logs it unless it is what went wrong before. */
static void note_failure(struct executor_round *round, const struct err *reason)
{
    int64_t pause_ms = round->backoff_ms;
    for (int i = 0; i < round->delays && pause_ms < EXECUTOR_BACKOFF_MAX_MS; i++)
        pause_ms *= 2;
    if (pause_ms > EXECUTOR_BACKOFF_MAX_MS)
        pause_ms = EXECUTOR_BACKOFF_MAX_MS;
    round->delays++;
    round->failures_total++;
    round->not_before_ms = clock_monotonic_ms() + pause_ms;
    if (strcmp(round->error, reason->message) != 0)
        log_warning("slurm", log_text("reason", reason->message), log_int("again_in_ms", pause_ms), log_end);
    (void)snprintf(round->error, sizeof round->error, "%s", reason->message);
}

static void note_success(struct executor_round *round)
{
    round->failures = 0;
    round->delays = 0;
    round->not_before_ms = 0;
    round->is_blind = 0;
    round->error[0] = '\0';
}

static int give_up(struct executor_round *round, int64_t sweep_id, const struct err *reason, struct err *err)
{
    struct err why = *reason;
    struct err refusal = ERR_INIT;
    if (round->has_local_workers)
        return 0;
    (void)err_wrap(&why, "slurm");
    int code = sweeps_give_up(round->store, sweep_id, &why, &refusal);
    if (code == ERR_CONFLICT)
        return 0; /* it has ended, or somebody works at it */
    if (code) {
        *err = refusal;
        return code;
    }
    log_warning("sweep given up", log_int("sweep", sweep_id), log_text("reason", why.message), log_end);
    return 0;
}

/* An array has ended: was it of any use? */
static int judge(struct executor_round *round, const struct job_row *job, struct err *err)
{
    int64_t ended = 0;
    int code = jobs_count_ended_tasks(round->store, &ended, err);
    if (code || job->cancelled_ms)
        return code;
    if (ended != job->tasks_ended) {
        note_success(round);
        return 0;
    }
    if (!job->failed && !job->completed)
        return 0; /* taken away by somebody; that is no fault */
    if (round->is_hub_down)
        return 0; /* its workers waited for the hub, until their time was over */
    struct err reason = ERR_INIT;
    const char *output = round->slurm.output;
    (void)err_set(&reason, ERR_INTERNAL, "job %" PRId64 " ended without finishing a revision%s%s; %s%s",
                  job->job_id, job->reason[0] ? ": " : "", job->reason,
                  output[0] ? "its workers wrote to " : "set slurm-output to keep what its workers write",
                  output);
    round->failures++;
    note_failure(round, &reason);
    return 0;
}

/* -- Watching -------------------------------------------------------------------------------------------- */

static int take_job(void *context, const struct job_row *row)
{
    struct view *view = context;
    if (view->job_count == SLURM_ARRAYS_MAX)
        return 1;
    view->jobs[view->job_count++] = *row;
    return 0;
}

static void name_job(const struct executor_round *round, const struct job_row *job, char *name)
{
    (void)snprintf(name, SLURM_NAME_SIZE, "bifurcated-%.8s-%" PRId64, store_instance(round->store), job->id);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Slurm forgets ended elements one by one, so their numbers only grow here. */
static void take_elements(struct job_row *job, const struct slurm_array *array)
{
    job->pending = array->elements[SLURM_FATE_PENDING];
    job->running = array->elements[SLURM_FATE_RUNNING];
    job->completed = larger(job->completed, array->elements[SLURM_FATE_COMPLETED]);
    job->failed = larger(job->failed, array->elements[SLURM_FATE_FAILED] + array->elements[SLURM_FATE_HELD]);
    job->cancelled = larger(job->cancelled, array->elements[SLURM_FATE_CANCELLED]);
    (void)snprintf(job->reason, sizeof job->reason, "%s", array->reason);
    if (strcmp(job->reason, "None") == 0)
        job->reason[0] = '\0';
}

static void end_job(struct job_row *job, enum job_state state)
{
    job->state = state;
    job->pending = job->running = 0;
    job->ended_ms = clock_wall_ms();
}

/* The queue does not have it (any more). */
static int miss_job(struct executor_round *round, struct job_row *job, struct slurm_array *array,
                    struct err *err)
{
    struct err reason = ERR_INIT;
    if (!job->job_id) {
        if (is_recent(job->submitted_ms, SUBMIT_GRACE_MS))
            return 0;
        end_job(job, JOB_STATE_ENDED);
        (void)snprintf(job->reason, sizeof job->reason,
                       "the end of sbatch was not seen, and squeue does not list the job");
        return 0;
    }
    int code = slurm_account(&round->slurm, job->job_id, array, &reason);
    if (code == ERR_CANCELLED) {
        *err = reason;
        return code;
    }
    if (!code)
        take_elements(job, array);
    end_job(job, JOB_STATE_ENDED);
    return judge(round, job, err);
}

static int see_job(struct executor_round *round, struct job_row *job, const struct slurm_array *array,
                   struct err *err)
{
    struct err reason = ERR_INIT;
    int64_t held = array->elements[SLURM_FATE_HELD];
    job->job_id = array->job_id;
    take_elements(job, array);
    job->state = job->running ? JOB_STATE_RUNNING : JOB_STATE_PENDING;
    if (slurm_array_live(array))
        return 0;
    /* Held elements would wait for ever. */
    if (held && slurm_cancel(&round->slurm, job->job_id, 0, &reason))
        note_failure(round, &reason);
    end_job(job, JOB_STATE_ENDED);
    return judge(round, job, err);
}

static int watch(struct executor_round *round, struct view *view, struct err *err)
{
    struct err reason = ERR_INIT;
    for (size_t i = 0; i < view->job_count; i++)
        name_job(round, &view->jobs[i], view->arrays[i].name);
    int code = slurm_find(&round->slurm, view->arrays, view->job_count, &reason);
    if (code == ERR_CANCELLED) {
        *err = reason;
        return code;
    }
    if (code) {
        note_failure(round, &reason);
        round->is_blind = 1;
        return 0;
    }
    if (round->is_blind)
        note_success(round);
    for (size_t i = 0; i < view->job_count && !code; i++) {
        struct job_row *job = &view->jobs[i];
        struct slurm_array *array = &view->arrays[i];
        code = array->job_id ? see_job(round, job, array, err) : miss_job(round, job, array, err);
        if (!code)
            code = jobs_update(round->store, job, err);
        if (!code && !job_state_is_live(job->state))
            log_info("job array ended", log_int("job", job->job_id), log_int("sweep", job->sweep_id),
                     log_int("completed", job->completed), log_int("failed", job->failed),
                     log_int("cancelled", job->cancelled), log_text("reason", job->reason), log_end);
    }
    return code;
}

/* -- Acting ---------------------------------------------------------------------------------------------- */

static int take_demand(void *context, int64_t sweep_id, int64_t tasks)
{
    struct view *view = context;
    if (view->demand_count == DEMANDS_MAX)
        return 1;
    view->demands[view->demand_count++] = (struct sizing_demand){.sweep_id = sweep_id, .tasks = tasks};
    return 0;
}

static void count_supply(struct view *view)
{
    for (size_t i = 0; i < view->job_count; i++) {
        const struct job_row *job = &view->jobs[i];
        int is_cancelled = job->sweep_state == SWEEP_STATE_CANCELLED;
        int was_asked = job->cancelled_ms && is_recent(job->cancelled_ms, CANCEL_AGAIN_MS);
        if (!job_state_is_live(job->state) || was_asked || (is_cancelled && !job->job_id))
            continue;
        view->supplied[view->supply_count] = i;
        view->supplies[view->supply_count++] = (struct sizing_supply){
            .sweep_id = job->sweep_id,
            .pending = job->state == JOB_STATE_SUBMITTING ? job->size : job->pending,
            .running = job->running,
            .is_sweep_cancelled = is_cancelled || job->cancelled_ms,
        };
    }
}

static int take_newest(void *context, const struct job_row *row)
{
    *(struct job_row *)context = *row;
    return 1;
}

/* The row of a submission: a new one, or the sweep's newest if that was refused, so that trying again for
 * days makes one row. */
static int prepare_job(struct executor_round *round, int64_t sweep_id, int64_t size, struct job_row *job,
                       struct err *err)
{
    *job = (struct job_row){0};
    int code = jobs_list(round->store, sweep_id, 1, take_newest, job, err);
    if (code)
        return code;
    if (!job->id || job->state != JOB_STATE_REFUSED)
        return jobs_create(round->store, sweep_id, size, job, err);
    job->state = JOB_STATE_SUBMITTING;
    job->size = size;
    job->attempts++;
    job->submitted_ms = clock_wall_ms();
    job->ended_ms = 0;
    return jobs_update(round->store, job, err);
}

static int submit(struct executor_round *round, int64_t sweep_id, int64_t size, struct err *err)
{
    struct job_row job;
    struct err reason = ERR_INIT;
    enum slurm_failure failure = SLURM_FAILURE_UNKNOWN;
    char name[SLURM_NAME_SIZE];
    int code = prepare_job(round, sweep_id, size, &job, err);
    if (code)
        return code;
    name_job(round, &job, name);
    int result = slurm_submit(&round->slurm, name, size, &job.job_id, &failure, &reason);
    if (result == ERR_CANCELLED) { /* its name will tell whether it was submitted */
        *err = reason;
        return result;
    }
    job.submitted_ms = clock_wall_ms();
    if (!result) {
        job.state = JOB_STATE_PENDING;
        job.pending = size;
        job.reason[0] = '\0';
        if (!round->failures)
            round->error[0] = '\0';
        log_info("job array submitted", log_int("job", job.job_id), log_int("sweep", sweep_id),
                 log_int("workers", size), log_end);
        return jobs_update(round->store, &job, err);
    }
    (void)snprintf(job.reason, sizeof job.reason, "%s", reason.message);
    if (result != ERR_TIMEOUT &&
        result != ERR_FORMAT) /* else it may have been submitted: its name will tell */
        end_job(&job, JOB_STATE_REFUSED);
    round->failures += failure != SLURM_FAILURE_BUSY && failure != SLURM_FAILURE_UNHEARD;
    note_failure(round, &reason);
    code = jobs_update(round->store, &job, err);
    if (!code && failure == SLURM_FAILURE_REFUSED)
        code = give_up(round, sweep_id, &reason, err);
    return code;
}

static int cancel(struct executor_round *round, struct job_row *job, int only_pending, struct err *err)
{
    struct err reason = ERR_INIT;
    if (!job->job_id)
        return 0; /* not known yet whether there is anything to cancel */
    int code = slurm_cancel(&round->slurm, job->job_id, only_pending, &reason);
    if (code == ERR_CANCELLED) {
        *err = reason;
        return code;
    }
    if (code) {
        note_failure(round, &reason);
        return 0;
    }
    log_info(only_pending ? "waiting workers cancelled" : "job array cancelled", log_int("job", job->job_id),
             log_int("sweep", job->sweep_id), log_end);
    if (only_pending) {
        job->cancelled += job->pending;
        job->pending = 0;
    } else {
        job->cancelled_ms = clock_wall_ms();
    }
    return jobs_update(round->store, job, err);
}

static int act(struct executor_round *round, struct view *view, struct err *err)
{
    int code = 0;
    size_t arrays = view->job_count; /* to be looked for in the next round */
    size_t count = sizing_decide(view->demands, view->demand_count, view->supplies, view->supply_count,
                                 round->slurm.workers_max, view->actions, ACTIONS_MAX);
    for (size_t i = 0; i < count && !code; i++) {
        const struct sizing_action *action = &view->actions[i];
        if (action->kind != SIZING_SUBMIT) {
            code = cancel(round, &view->jobs[view->supplied[action->supply]],
                          action->kind == SIZING_CANCEL_PENDING, err);
        } else if (arrays < SLURM_ARRAYS_MAX && clock_monotonic_ms() >= round->not_before_ms) {
            arrays++;
            code = submit(round, action->sweep_id, action->size, err);
        }
    }
    return code;
}

/* A sweep whose workers could only wait for the hub. A store that cannot be read says so elsewhere. */
static int waits_for_hub(const struct executor_round *round, int64_t sweep_id)
{
    struct sweep_row sweep;
    struct err ignored = ERR_INIT;
    return round->is_hub_down && sweeps_get(round->store, sweep_id, &sweep, &ignored) == 0 &&
           strncmp(sweep.model, "file:", 5) != 0;
}

/* Too many failures in a row: what nobody works at has no future. */
static int give_up_all(struct executor_round *round, struct view *view, struct err *err)
{
    struct err reason = ERR_INIT;
    int code = 0;
    (void)err_set(&reason, ERR_INTERNAL, "given up after %d failures in a row; the last: %s", round->failures,
                  round->error);
    for (size_t i = 0; i < view->demand_count && !code; i++) {
        if (!waits_for_hub(round, view->demands[i].sweep_id))
            code = give_up(round, view->demands[i].sweep_id, &reason, err);
    }
    round->failures = 0;
    return code;
}

static int64_t live_of(const struct view *view, int64_t sweep_id)
{
    int64_t live = 0;
    for (size_t i = 0; i < view->supply_count; i++) {
        const struct sizing_supply *supply = &view->supplies[i];
        live += supply->sweep_id == sweep_id && !supply->is_sweep_cancelled
                    ? supply->pending + supply->running
                    : 0;
    }
    return live;
}

/* While the hub is down, further workers of a sweep that needs it would only wait, on nodes that others could
 * use; so would in time those that have a place in Slurm's queue, which a moment's outage must not cost. */
static void hold_waiting(struct executor_round *round, struct view *view)
{
    size_t count = 0;
    if (round->is_hub_down && !round->hub_down_ms)
        round->hub_down_ms = clock_monotonic_ms();
    if (!round->is_hub_down)
        round->hub_down_ms = 0;
    int is_long = round->is_hub_down && clock_monotonic_ms() - round->hub_down_ms >= EXECUTOR_PATIENCE_MS;
    for (size_t i = 0; i < view->demand_count; i++) {
        struct sizing_demand demand = view->demands[i];
        if (waits_for_hub(round, demand.sweep_id)) {
            int64_t live = is_long ? 0 : live_of(view, demand.sweep_id);
            demand.tasks = demand.tasks < live ? demand.tasks : live;
        }
        if (demand.tasks)
            view->demands[count++] = demand;
    }
    view->demand_count = count;
}

static int load_demands(struct executor_round *round, struct view *view, struct err *err)
{
    view->demand_count = 0;
    return jobs_demand(round->store, EXECUTOR_WORKER_WORD, tasks_policy_default.backoff_max_ms,
                       round->slurm.workers_max, DEMANDS_MAX, take_demand, view, err);
}

int executor_round_run(struct executor_round *round, int watches, struct err *err)
{
    struct view *view = calloc(1, sizeof *view);
    if (!view)
        return err_set(err, ERR_NO_MEMORY, "executor: out of memory");
    int code = jobs_list_live(round->store, take_job, view, err);
    if (!code && watches && view->job_count)
        code = watch(round, view, err);
    if (!code)
        code = load_demands(round, view, err);
    if (!code && round->failures >= EXECUTOR_FAILURES_MAX) {
        code = give_up_all(round, view, err);
        if (!code)
            code = load_demands(round, view, err);
    }
    if (!code) {
        count_supply(view);
        hold_waiting(round, view);
        code = act(round, view, err);
    }
    free(view);
    return code;
}
