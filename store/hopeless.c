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

/* Whether a task has failed for good, for what lasts. Of a sweep that fails for what passes, nothing else
 * need be read: it may have 100,000 tasks, and is asked about before each claim. */
static int fails_for_good(struct connection *connection, int64_t sweep_id, int *ret_does, struct err *err)
{
    struct query query;
    char error_code[STORE_ERROR_NAME_SIZE];
    int code =
        query_begin(&query, connection,
                    "SELECT error_code FROM tasks WHERE sweep_id = ? AND state = 'failed' LIMIT 1", err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    *ret_does = 0;
    if ((code = query_next(&query, err)) > 0) {
        query_text(&query, error_code, sizeof error_code);
        *ret_does = is_lasting(err_code_of(error_code));
    }
    code = query_end(&query, code);
    return code < 0 ? code : 0;
}

/* More than can be at work when the eighth fails. Of a sweep that went on beyond them something differs, or
 * was recorded, and will have to the end: its failures need not be read again before each claim. */
#define TASKS_BEGUN_MAX 5000

/* Whether TASKS_ALIKE_MAX tasks have failed for good, all with the same words, and nothing was recorded
 * (which is looked for first, since one part tells). *ret_is_begun: whether some were begun and have not
 * ended. */
static int is_in_vain(struct connection *connection, int64_t sweep_id, int *ret_is_in_vain, int *ret_is_begun,
                      struct err *err)
{
    struct query query;
    int code = fails_for_good(connection, sweep_id, ret_is_in_vain, err);
    if (code || !*ret_is_in_vain)
        return code;
    *ret_is_in_vain = 0;
    code = query_begin(
        &query, connection,
        "SELECT s.tasks_claimed > 0 OR EXISTS (SELECT 1 FROM tasks q WHERE q.sweep_id = ?1 AND q.state = "
        "'queued' AND q.attempts > 0) FROM sweeps s JOIN tasks f ON f.id = (SELECT k.id FROM tasks k "
        "WHERE k.sweep_id = ?1 AND k.state = 'failed' LIMIT 1) WHERE s.id = ?1 AND s.state = 'running' "
        "AND s.tasks_queued > 0 AND s.tasks_done = 0 AND s.tasks_failed BETWEEN ?2 AND ?2 + ?3 "
        "AND NOT EXISTS (SELECT 1 FROM tasks k JOIN task_events e ON e.task_id = k.id WHERE k.sweep_id = ?1 "
        "AND k.attempts > 0 AND e.event = '" MOVES_PART "') "
        "AND NOT EXISTS (SELECT 1 FROM tasks k WHERE k.sweep_id = ?1 AND k.state = 'failed' "
        "AND NOT (k.error_code = f.error_code AND k.error_message = f.error_message))",
        err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    query_bind_int(&query, TASKS_ALIKE_MAX);
    query_bind_int(&query, TASKS_BEGUN_MAX);
    if ((code = query_next(&query, err)) > 0) {
        *ret_is_in_vain = 1;
        *ret_is_begun = query_int(&query) != 0;
    }
    code = query_end(&query, code);
    return code < 0 ? code : 0;
}

static int note_version(struct connection *connection, int64_t sweep_id, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, "UPDATE sweeps SET hopeless_version = ? WHERE id = ?", err);
    if (code)
        return code;
    query_bind_text(&query, BIFURCATED_VERSION);
    query_bind_int(&query, sweep_id);
    return query_run(&query, err);
}

int hopeless_check(struct connection *connection, const struct task_row *failed, struct err *err)
{
    int is = 0, is_begun = 0;
    char why[TASKS_DETAIL_SIZE];
    if (!is_lasting(err_code_of(failed->error_code)))
        return 0;
    int code = is_in_vain(connection, failed->sweep_id, &is, &is_begun, err);
    if (code || !is || is_begun)
        return code;
    (void)snprintf(why, sizeof why, "not tried: %d others had failed alike", TASKS_ALIKE_MAX);
    if (!(code = note_version(connection, failed->sweep_id, err)))
        code = moves_cancel_queued(connection, failed->sweep_id, why, err);
    return code ? code : moves_finish_sweep(connection, failed->sweep_id, err);
}

int hopeless_is_awaited(struct connection *connection, int64_t sweep_id, int *ret_is_awaited, struct err *err)
{
    int is_begun = 0;
    int code = is_in_vain(connection, sweep_id, ret_is_awaited, &is_begun, err);
    *ret_is_awaited &= is_begun;
    return code;
}
