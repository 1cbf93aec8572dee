/*
 * Retention: large values of contents that no current revision has, and sweeps of long ago.
 */
#include "store/distributions.h"
#include "store/parts.h"
#include "store/sweeps.h"

#define IS_STALE(id)                                                                                         \
    "NOT EXISTS (SELECT 1 FROM revision_tensors t JOIN revisions r ON r.id = t.revision_id "                 \
    "WHERE t.content_id = " id " AND r.is_current = 1)"

/* In order of id, so that all calls of a run together visit each content once; a window of them at a time,
 * since where little is stale a search for `limit` of them would look at all. */
#define WINDOW 5000
static const char FIND_STALE[] = "SELECT c.id, 1 FROM contents c WHERE c.id > ? AND c.id <= ? AND " IS_STALE(
    "c.id") " AND ("
            "EXISTS (SELECT 1 FROM distributions WHERE content_id = c.id) OR "
            "EXISTS (SELECT 1 FROM columns_statistics WHERE content_id = c.id) OR "
            "EXISTS (SELECT 1 FROM samples WHERE content_id = c.id)) ORDER BY c.id LIMIT ?";

/* What may be deleted once may always be deleted. */
static const char FIND_OVER[] =
    "SELECT s.id, s.tasks_done + s.tasks_failed + s.tasks_cancelled FROM sweeps s "
    "WHERE s.id > ? AND s.finished_ms < ? "
    "AND s.state IN ('done', 'failed', 'cancelled') AND NOT EXISTS (SELECT 1 FROM tasks k "
    "WHERE k.sweep_id = s.id AND NOT EXISTS (SELECT 1 FROM tasks n WHERE n.revision_id = k.revision_id "
    "AND n.id > k.id)) AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.sweep_id = s.id "
    "AND j.state IN ('submitting', 'pending', 'running')) ORDER BY s.id LIMIT ?";

/* Unless a revision that has it became current again since. */
static int delete_stale(struct connection *connection, void *context, int64_t content_id, struct err *err)
{
    static const char *const sql[] = {
        "DELETE FROM distributions WHERE content_id = ?1 AND " IS_STALE("?1"),
        "DELETE FROM columns_statistics WHERE content_id = ?1 AND " IS_STALE("?1"),
        "DELETE FROM samples WHERE content_id = ?1 AND " IS_STALE("?1"),
    };
    int code = 0;
    (void)context;
    for (size_t i = 0; !code && i < sizeof sql / sizeof sql[0]; i++)
        code = parts_run(connection, sql[i], content_id, err);
    return code;
}

struct search {
    const char *sql;
    int64_t after, to; /* the parameters of sql: an id, and its bound */
    int limit;
    int64_t rows_max; /* that go with the ids; 0: any number */
};

static int find(struct store *store, const struct search *search, struct parts_found *found, struct err *err)
{
    struct query query;
    if (search->limit < 1 || search->limit > PARTS_IDS_MAX)
        return err_set(err, ERR_INVALID, "prune: the limit is 1 to %d", PARTS_IDS_MAX);
    int code = query_open(&query, store, search->sql, err);
    if (code)
        return code;
    query_bind_int(&query, search->after);
    query_bind_int(&query, search->to);
    query_bind_int(&query, search->limit);
    return query_close(&query, parts_take(&query, search->rows_max, found, err));
}

static int read_last_content(struct store *store, int64_t *ret_id, struct err *err)
{
    struct query query;
    int code = query_open(&query, store, "SELECT coalesce(max(id), 0) FROM contents", err);
    if (code)
        return code;
    code = query_next(&query, err);
    if (code > 0)
        *ret_id = query_int(&query);
    return query_close(&query, code);
}

int distributions_prune(struct store *store, int64_t *after, int limit, int64_t *ret_count, int *ret_is_over,
                        struct err *err)
{
    struct parts_found found = {.count = 0};
    int64_t last = 0;
    const struct search stale = {.sql = FIND_STALE, .after = *after, .to = *after + WINDOW, .limit = limit};
    int code = find(store, &stale, &found, err);
    if (!code)
        code = parts_delete(store, &found, 1, delete_stale, NULL, err);
    if (!code)
        code = read_last_content(store, &last, err);
    if (code)
        return code;
    *ret_count = (int64_t)found.count;
    *after = found.count == (size_t)limit ? found.ids[found.count - 1] : *after + WINDOW;
    *ret_is_over = *after >= last;
    return 0;
}

int sweeps_prune(struct store *store, int64_t before_ms, int64_t *after, int limit, int64_t *ret_count,
                 int *ret_is_over, struct err *err)
{
    struct parts_found found = {.count = 0};
    int are_gone = 0;
    const struct search over = {
        .sql = FIND_OVER, .after = *after, .to = before_ms, .limit = limit, .rows_max = SWEEPS_PRUNE_TASKS};
    int code = find(store, &over, &found, err);
    if (!code && found.count)
        code = parts_delete_sweeps(store, &found, &are_gone, err);
    if (code)
        return code;
    *ret_is_over = found.count == 0;
    *ret_count = are_gone ? (int64_t)found.count : 0;
    if (are_gone)
        *after = found.ids[found.count - 1];
    return 0;
}
