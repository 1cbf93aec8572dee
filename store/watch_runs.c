/*
 * The runs of watches: what is left to measure, and how a run ends.
 */
#include "daemon/base/clock.h"
#include "store/query.h"
#include "store/rows.h"
#include "store/sweeps.h"
#include "store/watches.h"

#include <string.h>

/* Those of err_is_transient; tests/unit/store/test_watches.c compares. */
#define PASSING "'network', 'timeout', 'rate_limited', 'no_space', 'device_lost', 'http', 'unreachable'"
#define REFUSED "'gated', 'unauthorized'" /* a user can resolve it */

/* Of a sweep s in which nothing could succeed, this program would find the same; another may not. */
#define HOPELESS "s.hopeless_version = '" BIFURCATED_VERSION "'"

/* Of a task k of a sweep s: what it was to measure is as due as before. Nobody has cancelled what is
 * cancelled in a sweep that failed: it was not tried. */
#define IN_VAIN                                                                                              \
    "((k.state = 'failed' AND (k.error_code IN (" PASSING ", " REFUSED ") "                                  \
    "OR NOT (s.hopeless_version = '' OR " HOPELESS "))) "                                                    \
    "OR (k.state = 'cancelled' AND s.state = 'failed' AND NOT " HOPELESS "))"

static const char LIST_DUE[] =
    "SELECT " ROWS_REVISION ", (SELECT count(*) FROM tasks k JOIN sweeps s ON s.id = k.sweep_id "
    "WHERE k.revision_id = r.id AND s.watch_id = ?5 AND s.watch_request = ?6 AND k.state = 'failed' "
    "AND k.error_code IN (" REFUSED ")) FROM revisions r JOIN models m ON m.id = r.model_id "
    "WHERE r.model_id = ?1 AND r.is_current = 1 AND "
    "(?2 = 2 OR ?3 = 2 OR "
    "(?2 = 1 AND NOT EXISTS (SELECT 1 FROM revision_tensors t WHERE t.revision_id = r.id AND t.tensor = "
    "m.tensor)) "
    "OR (?3 = 1 AND NOT EXISTS "
    "(SELECT 1 FROM revision_perplexities p WHERE p.revision_id = r.id AND p.mode = ?4))) "
    "AND NOT EXISTS (SELECT 1 FROM tasks k JOIN sweeps s ON s.id = k.sweep_id WHERE k.revision_id = r.id "
    "AND (k.state IN ('queued', 'claimed') OR (s.watch_id = ?5 AND s.watch_request = ?6 "
    "AND NOT " IN_VAIN "))) "
    "ORDER BY " ROWS_ORDER;

int watches_list_due_revisions(struct store *store, const struct watch_row *watch,
                               const struct watch_query *wanted,
                               int (*row)(void *context, const struct revision_row *row, int refusals),
                               void *context, struct err *err)
{
    struct query query;
    struct revision_row revision;
    int code = query_open(&query, store, LIST_DUE, err);
    if (code)
        return code;
    query_bind_int(&query, watch->model_id);
    query_bind_int(&query, (int64_t)wanted->statistics);
    query_bind_int(&query, (int64_t)wanted->perplexity);
    query_bind_text(&query, perplexity_mode_name(wanted->mode));
    query_bind_int(&query, watch->id);
    query_bind_int(&query, watch->request_number);
    while ((code = query_next(&query, err)) > 0) {
        rows_read_revision(&query, &revision);
        if (row(context, &revision, (int)query_int(&query)))
            break;
    }
    return query_close(&query, code);
}

int watches_count_untried(struct store *store, const struct watch_row *watch, struct watch_untried *ret,
                          struct err *err)
{
    struct query query;
    *ret = (struct watch_untried){0};
    int code =
        query_open(&query, store,
                   "SELECT count, sweep, (SELECT error_message FROM sweeps WHERE id = sweep) FROM "
                   "(SELECT count(*) AS count, max(s.id) AS sweep FROM sweeps s INDEXED BY sweeps_watch "
                   "JOIN tasks k ON k.sweep_id = s.id JOIN revisions r ON r.id = k.revision_id "
                   "WHERE s.watch_id = ?1 AND s.watch_request = ?2 "
                   "AND s.state = 'failed' AND " HOPELESS " AND k.state = 'cancelled' AND r.is_current = 1 "
                   "AND NOT EXISTS (SELECT 1 FROM tasks d WHERE d.revision_id = r.id AND d.id > k.id "
                   "AND d.state <> 'cancelled'))",
                   err);
    if (code)
        return code;
    query_bind_int(&query, watch->id);
    query_bind_int(&query, watch->request_number);
    if ((code = query_next(&query, err)) > 0) {
        ret->count = query_int(&query);
        ret->sweep_id = query_int(&query);
        query_text(&query, ret->reason, sizeof ret->reason);
    }
    return query_close(&query, code);
}

int watches_list_links(struct store *store, int64_t model_id,
                       int (*row)(void *context, const struct watch_link *link), void *context,
                       struct err *err)
{
    struct query query;
    struct watch_link link;
    int code = query_open(&query, store,
                          "SELECT l.revision_id, l.kind = 'first', l.reference_revision_id, f.is_current "
                          "FROM revisions r JOIN models m ON m.id = r.model_id "
                          "JOIN series_links l ON l.revision_id = r.id AND l.tensor = m.tensor "
                          "JOIN revisions f ON f.id = l.reference_revision_id "
                          "WHERE r.model_id = ? AND r.is_current = 1",
                          err);
    if (code)
        return code;
    query_bind_int(&query, model_id);
    while ((code = query_next(&query, err)) > 0) {
        link.revision_id = query_int(&query);
        link.is_first = (int)query_int(&query);
        link.reference_id = query_int(&query);
        link.is_reference_current = (int)query_int(&query);
        if (row(context, &link))
            break;
    }
    return query_close(&query, code);
}

int watches_has_swept(struct store *store, const struct watch_row *watch,
                      const struct watch_compared *compared, int *ret_has_swept, int *ret_refusals,
                      struct err *err)
{
    struct query query;
    int code =
        query_open(&query, store,
                   "SELECT count(*) FILTER (WHERE NOT " IN_VAIN "), "
                   "count(*) FILTER (WHERE k.state = 'failed' AND k.error_code IN (" REFUSED ")) "
                   "FROM tasks k JOIN sweeps s ON s.id = k.sweep_id WHERE k.revision_id = ?1 "
                   "AND (k.state IN ('queued', 'claimed') OR (s.watch_id = ?2 AND s.watch_request = ?3 "
                   "AND k.reference_revision_id IS ?4 AND k.previous_revision_id IS ?5))",
                   err);
    if (code)
        return code;
    query_bind_int(&query, compared->revision_id);
    query_bind_int(&query, watch->id);
    query_bind_int(&query, watch->request_number);
    query_bind_id(&query, compared->reference_id);
    query_bind_id(&query, compared->previous_id);
    if ((code = query_next(&query, err)) > 0) {
        *ret_has_swept = query_int(&query) > 0;
        *ret_refusals = (int)query_int(&query);
    }
    return query_close(&query, code);
}

static int insert_sweep(struct connection *connection, const struct watch_row *watch, const char *request,
                        int64_t *ret_id, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection,
                           "INSERT INTO sweeps (model_id, state, request, priority, created_ms, watch_id, "
                           "watch_request) VALUES (?, 'planning', ?, ?, ?, ?, ?) RETURNING id",
                           err);
    if (code)
        return code;
    query_bind_int(&query, watch->model_id);
    query_bind_text(&query, request);
    query_bind_int(&query, watch->priority);
    query_bind_int(&query, clock_wall_ms());
    query_bind_int(&query, watch->id);
    query_bind_int(&query, watch->request_number);
    code = query_run_int(&query, ret_id, err);
    return code < 0 ? code : 0;
}

int watches_record_run(struct store *store, const struct watch_row *watch, const struct watch_run *run,
                       int64_t *ret_sweep_id, struct err *err)
{
    struct connection *connection = NULL;
    struct query query;
    int64_t sweep_id = 0, id = 0;
    if (strlen(run->report) > LIMIT_API_BODY_BYTES ||
        (run->sweep_request && strlen(run->sweep_request) > LIMIT_API_BODY_BYTES))
        return err_set(err, ERR_LIMIT, "watch: report or request is longer than %zu bytes",
                       (size_t)LIMIT_API_BODY_BYTES);
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    code = query_begin(&query, connection,
                       "UPDATE watches SET run_ms = ?, run_report = ?, run_sweep_id = NULL, failures = ?, "
                       "retry_ms = ?, is_asked = (asks <> ?), changes = CASE WHEN ? THEN '' ELSE changes END "
                       "WHERE id = ? AND request_number = ? RETURNING id",
                       err);
    if (code)
        goto out;
    query_bind_int(&query, run->started_ms);
    query_bind_text(&query, run->report);
    query_bind_int(&query, run->failures);
    query_bind_id(&query, run->retry_ms);
    query_bind_int(&query, watch->asks);
    query_bind_int(&query, run->has_changes);
    query_bind_int(&query, watch->id);
    query_bind_int(&query, watch->request_number); /* what another request found is no result of this one */
    code = query_run_int(&query, &id, err);
    if (code == 0)
        code = err_set(err, ERR_NOT_FOUND, "%s: the watch was deleted or changed meanwhile", watch->model);
    if (code < 0 || !run->sweep_request)
        goto out;
    if ((code = insert_sweep(connection, watch, run->sweep_request, &sweep_id, err)) ||
        (code = query_begin(&query, connection, "UPDATE watches SET run_sweep_id = ? WHERE id = ?", err)))
        goto out;
    query_bind_int(&query, sweep_id);
    query_bind_int(&query, watch->id);
    code = query_run(&query, err);
out:
    code = store_write_end(store, code < 0 ? code : 0, err);
    if (!code)
        *ret_sweep_id = sweep_id;
    return code;
}

int watches_find_unfinished(struct store *store, int64_t id, int64_t *ret_sweep_id, struct err *err)
{
    struct query query;
    *ret_sweep_id = 0;
    int code = query_open(&query, store,
                          "SELECT id FROM sweeps INDEXED BY sweeps_state WHERE watch_id = ? "
                          "AND state IN ('planning', 'running') ORDER BY id DESC LIMIT 1",
                          err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = query_run_int(&query, ret_sweep_id, err);
    return query_close(&query, code);
}
