#include "store/hopeless.h"

#include "store/moves.h"
#include "store/query.h"

#include <stdio.h>

/* What the request and the files say, today and tomorrow, on each machine. Not among these: a refusal
 * (ERR_GATED), which somebody may lift meanwhile and which costs no request; what memory, disks and devices
 * do. */
static int is_lasting(int code)
{
    return code == ERR_INVALID || code == ERR_NOT_FOUND || code == ERR_FORMAT || code == ERR_UNSUPPORTED ||
           code == ERR_LIMIT;
}

int hopeless_check(struct connection *connection, const struct task_row *failed, struct err *err)
{
    struct query query;
    int64_t found = 0;
    char why[TASKS_DETAIL_SIZE];
    if (!is_lasting(err_code_of(failed->error_code)))
        return 0;
    int code = query_begin(
        &query, connection,
        "SELECT 1 FROM sweeps s WHERE s.id = ?1 AND s.state = 'running' AND s.tasks_queued > 0 "
        "AND s.tasks_done = 0 AND s.tasks_failed >= ?2 "
        "AND NOT EXISTS (SELECT 1 FROM tasks k WHERE k.sweep_id = ?1 AND k.state = 'failed' "
        "AND NOT (k.error_code = ?3 AND k.error_message = ?4)) "
        "AND NOT EXISTS (SELECT 1 FROM tasks k JOIN task_events e ON e.task_id = k.id WHERE k.sweep_id = ?1 "
        "AND e.event = '" MOVES_PART "')",
        err);
    if (code)
        return code;
    query_bind_int(&query, failed->sweep_id);
    query_bind_int(&query, TASKS_ALIKE_MAX);
    query_bind_text(&query, failed->error_code);
    query_bind_text(&query, failed->error_message);
    if ((code = query_run_int(&query, &found, err)) < 0 || !found)
        return code < 0 ? code : 0;
    (void)snprintf(why, sizeof why, "not tried: %d others had failed alike", TASKS_ALIKE_MAX);
    code = moves_cancel_queued(connection, failed->sweep_id, why, err);
    return code ? code : moves_finish_sweep(connection, failed->sweep_id, err);
}
