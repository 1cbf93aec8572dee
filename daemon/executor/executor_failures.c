#include "daemon/executor/executor_failures.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "store/sweeps.h"

#include <stdio.h>
#include <string.h>

void executor_note_failure(struct executor_round *round, const struct err *reason)
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

void executor_note_success(struct executor_round *round)
{
    round->failures = 0;
    round->delays = 0;
    round->not_before_ms = 0;
    round->is_blind = 0;
    round->error[0] = '\0';
}

int executor_give_up(struct executor_round *round, int64_t sweep_id, const struct err *reason,
                     struct err *err)
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
