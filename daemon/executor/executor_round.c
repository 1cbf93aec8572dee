#include "daemon/executor/executor_round.h"

#include "daemon/base/clock.h"
#include "daemon/base/local_name.h"
#include "daemon/base/log.h"
#include "daemon/executor/executor_failures.h"
#include "daemon/executor/executor_watch.h"
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

static int take_job(void *context, const struct job_row *row)
{
    struct view *view = context;
    if (view->job_count == SLURM_ARRAYS_MAX)
        return 1;
    view->jobs[view->job_count++] = *row;
    return 0;
}

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
        int was_asked = job->cancelled_ms && executor_is_recent(job->cancelled_ms, CANCEL_AGAIN_MS);
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
    executor_job_name(round, &job, name);
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
        executor_job_end(&job, JOB_STATE_REFUSED);
    round->failures += failure != SLURM_FAILURE_BUSY && failure != SLURM_FAILURE_UNHEARD;
    executor_note_failure(round, &reason);
    code = jobs_update(round->store, &job, err);
    if (!code && failure == SLURM_FAILURE_REFUSED)
        code = executor_give_up(round, sweep_id, &reason, err);
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
        executor_note_failure(round, &reason);
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
           !local_name_is(sweep.model);
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
            code = executor_give_up(round, view->demands[i].sweep_id, &reason, err);
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
    int64_t now = clock_monotonic_ms();
    round->first_ms = round->first_ms ? round->first_ms : now;
    const struct jobs_question question = {
        .ours = EXECUTOR_WORKER_WORD,
        .pause_ms_max = tasks_policy_default.backoff_max_ms,
        .over_ms = now - round->first_ms >= EXECUTOR_SETTLE_MS ? clock_wall_ms() : 0,
        .tasks_max = round->slurm.workers_max,
        .limit = DEMANDS_MAX,
    };
    view->demand_count = 0;
    return jobs_demand(round->store, &question, take_demand, view, err);
}

int executor_round_run(struct executor_round *round, int watches, struct err *err)
{
    struct view *view = calloc(1, sizeof *view);
    if (!view)
        return err_set(err, ERR_NO_MEMORY, "executor: out of memory");
    int code = jobs_list_live(round->store, take_job, view, err);
    if (!code && watches && view->job_count)
        code = executor_watch(round, view->jobs, view->arrays, view->job_count, err);
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
