#include "daemon/watch/sweep_log.h"

#include "daemon/base/log.h"
#include "daemon/watch/duty.h"
#include "store/sweeps.h"

#include <stdlib.h>

#define AT_ONCE 100

struct sweep_log {
    struct store *store;
    struct duty *duty;
    int64_t told;  /* the end number up to which all is told */
    int64_t noted; /* the same, as the store has it */
};

static int tell(void *context, const struct sweep_row *sweep)
{
    struct sweep_log *log = context;
    int is_failed = sweep->state == SWEEP_STATE_FAILED;
    log->told = sweep->end_number;
    if (is_failed && !sweep->started_ms) /* the planner has told */
        return 0;
    int64_t since_ms = sweep->started_ms ? sweep->started_ms : sweep->created_ms;
    int64_t took_ms =
        sweep->finished_ms > since_ms ? sweep->finished_ms - since_ms : 0; /* a clock set back */
    log_event(is_failed ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "sweep ended", log_int("sweep", sweep->id),
              log_text("model", sweep->model), log_text("state", sweep_state_name(sweep->state)),
              log_int("measured", sweep->tasks[TASK_STATE_DONE]),
              log_int("failed", sweep->tasks[TASK_STATE_FAILED]),
              log_int("cancelled", sweep->tasks[TASK_STATE_CANCELLED]),
              log_int("bytes_fetched", sweep->bytes_fetched), log_real("seconds", (double)took_ms / 1000),
              is_failed ? log_text("reason", sweep->error_message) : log_end, log_end);
    return 0;
}

static int tell_all(void *context, const atomic_bool *is_stopping, int64_t *ret_wait_ms, struct err *err)
{
    struct sweep_log *log = context;
    int64_t before = log->told;
    (void)is_stopping;
    int code = sweeps_list_ended(log->store, log->told, AT_ONCE, tell, log, err);
    /* Told first: a daemon that is killed in between tells once more, which is better than never. */
    if (!code && log->noted != log->told && !(code = sweeps_note_logged(log->store, log->told, err)))
        log->noted = log->told;
    *ret_wait_ms = log->told == before ? -1 : 0;
    return code;
}

int sweep_log_start(struct store *store, struct sweep_log **ret_log, struct err *err)
{
    struct sweep_log *log = calloc(1, sizeof *log);
    if (!log)
        return err_set(err, ERR_NO_MEMORY, "log of sweeps: out of memory");
    log->store = store;
    int code = sweeps_read_logged(store, &log->told, err);
    log->noted = log->told;
    if (!code)
        code = duty_start(store, "the ends of sweeps cannot be told", tell_all, log, &log->duty, err);
    if (code) {
        free(log);
        return err_wrap(err, "log of sweeps");
    }
    *ret_log = log;
    return 0;
}

void sweep_log_stop(struct sweep_log *log)
{
    int64_t wait_ms = 0;
    struct err err = ERR_INIT;
    if (!log)
        return;
    duty_stop(log->duty);
    while (!tell_all(log, NULL, &wait_ms, &err) && !wait_ms)
        ;
    free(log);
}
