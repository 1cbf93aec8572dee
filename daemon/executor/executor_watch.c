#include "daemon/executor/executor_watch.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/executor/executor_failures.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SUBMIT_GRACE_MS 30000 /* until a submission whose end was not seen may have come to the queue */

int executor_is_recent(int64_t at_ms, int64_t span_ms)
{
    int64_t age_ms = clock_wall_ms() - at_ms;
    return age_ms < span_ms && age_ms > -span_ms;
}

void executor_job_name(const struct executor_round *round, const struct job_row *job, char *name)
{
    (void)snprintf(name, SLURM_NAME_SIZE, "bifurcated-%.8s-%" PRId64, store_instance(round->store), job->id);
}

void executor_job_end(struct job_row *job, enum job_state state)
{
    job->state = state;
    job->pending = job->running = 0;
    job->ended_ms = clock_wall_ms();
}

/* An array has ended: was it of any use? */
static int judge(struct executor_round *round, const struct job_row *job, struct err *err)
{
    int64_t ended = 0;
    int code = jobs_count_ended_tasks(round->store, &ended, err);
    if (code || job->cancelled_ms)
        return code;
    if (ended != job->tasks_ended) {
        executor_note_success(round);
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
    executor_note_failure(round, &reason);
    return 0;
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

/* The queue does not have it (any more). */
static int miss_job(struct executor_round *round, struct job_row *job, struct slurm_array *array,
                    struct err *err)
{
    struct err reason = ERR_INIT;
    if (!job->job_id) {
        if (executor_is_recent(job->submitted_ms, SUBMIT_GRACE_MS))
            return 0;
        executor_job_end(job, JOB_STATE_ENDED);
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
    executor_job_end(job, JOB_STATE_ENDED);
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
        executor_note_failure(round, &reason);
    executor_job_end(job, JOB_STATE_ENDED);
    return judge(round, job, err);
}

int executor_watch(struct executor_round *round, struct job_row *jobs, struct slurm_array *arrays,
                   size_t count, struct err *err)
{
    struct err reason = ERR_INIT;
    for (size_t i = 0; i < count; i++)
        executor_job_name(round, &jobs[i], arrays[i].name);
    int code = slurm_find(&round->slurm, arrays, count, &reason);
    if (code == ERR_CANCELLED) {
        *err = reason;
        return code;
    }
    if (code) {
        executor_note_failure(round, &reason);
        round->is_blind = 1;
        return 0;
    }
    if (round->is_blind)
        executor_note_success(round);
    for (size_t i = 0; i < count && !code; i++) {
        struct job_row *job = &jobs[i];
        struct slurm_array *array = &arrays[i];
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
