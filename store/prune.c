/*
 * Retention: large values of contents that no current revision has, and sweeps of long ago.
 */
#include "store/distributions.h"
#include "store/query.h"
#include "store/sweeps.h"

#define IDS_MAX 1000

#define IS_STALE(id)                                                                                         \
    "NOT EXISTS (SELECT 1 FROM revision_tensors t JOIN revisions r ON r.id = t.revision_id "                 \
    "WHERE t.content_id = " id " AND r.is_current = 1)"

/* By number, so that all calls of a run together look at each content once. */
static int find_stale(struct connection *connection, int64_t after, int limit, int64_t *ids,
                      size_t *ret_count, struct err *err)
{
    struct query query;
    int rc = query_begin(
        &query, connection,
        "SELECT c.id FROM contents c WHERE c.id > ? AND " IS_STALE(
            "c.id") " AND ("
                    "EXISTS (SELECT 1 FROM distributions WHERE content_id = c.id) OR "
                    "EXISTS (SELECT 1 FROM columns_statistics WHERE content_id = c.id) OR "
                    "EXISTS (SELECT 1 FROM samples WHERE content_id = c.id)) ORDER BY c.id LIMIT ?",
        err);
    if (rc)
        return rc;
    query_bind_int(&query, after);
    query_bind_int(&query, limit);
    while ((rc = query_next(&query, err)) > 0 && *ret_count < IDS_MAX)
        ids[(*ret_count)++] = query_int(&query);
    rc = query_end(&query, rc);
    return rc < 0 ? rc : 0;
}

/* Unless a revision with it became current again meanwhile. */
static int delete_stale(struct connection *connection, int64_t content_id, struct err *err)
{
    static const char *const sql[] = {
        "DELETE FROM distributions WHERE content_id = ?1 AND " IS_STALE("?1"),
        "DELETE FROM columns_statistics WHERE content_id = ?1 AND " IS_STALE("?1"),
        "DELETE FROM samples WHERE content_id = ?1 AND " IS_STALE("?1"),
    };
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof sql / sizeof sql[0]; i++) {
        struct query query;
        if ((rc = query_begin(&query, connection, sql[i], err)))
            break;
        query_bind_int(&query, content_id);
        rc = query_run(&query, err);
    }
    return rc;
}

int distributions_prune(struct store *store, int64_t *after, int limit, int64_t *ret_count, struct err *err)
{
    struct connection *connection = NULL;
    int64_t ids[IDS_MAX];
    size_t count = 0;
    if (limit < 1 || limit > IDS_MAX)
        return err_set(err, ERR_INVALID, "prune: the limit is 1 to %d", IDS_MAX);
    int rc =
        store_read_begin(store, &connection, err); /* the search is long and no reason for writers to wait */
    if (rc)
        return rc;
    rc = find_stale(connection, *after, limit, ids, &count, err);
    store_read_end(store, connection);
    if (!rc && count) {
        if ((rc = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err)))
            return rc;
        for (size_t i = 0; !rc && i < count; i++)
            rc = delete_stale(connection, ids[i], err);
        rc = store_write_end(store, rc, err);
    }
    if (rc)
        return rc;
    if (count)
        *after = ids[count - 1];
    *ret_count = (int64_t)count;
    return 0;
}

int sweeps_prune(struct store *store, int64_t before_ms, int limit, int64_t *ret_count, struct err *err)
{
    struct connection *connection = NULL;
    struct query query;
    if (limit < 1 || limit > IDS_MAX)
        return err_set(err, ERR_INVALID, "prune: the limit is 1 to %d", IDS_MAX);
    int rc = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (rc)
        return rc;
    int64_t count = 0;
    rc = query_begin(
        &query, connection,
        "DELETE FROM sweeps WHERE id IN (SELECT s.id FROM sweeps s WHERE s.finished_ms < ? "
        "AND s.state IN ('done', 'failed', 'cancelled') AND NOT EXISTS (SELECT 1 FROM tasks k "
        "WHERE k.sweep_id = s.id AND NOT EXISTS (SELECT 1 FROM tasks n WHERE n.revision_id = k.revision_id "
        "AND n.id > k.id)) AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.sweep_id = s.id "
        "AND j.state IN ('submitting', 'pending', 'running')) ORDER BY s.id LIMIT ?)",
        err);
    if (!rc) {
        query_bind_int(&query, before_ms);
        query_bind_int(&query, limit);
        rc = query_run(&query, err);
        count = sqlite3_changes64(connection->db);
    }
    rc = store_write_end(store, rc, err);
    if (!rc)
        *ret_count = count;
    return rc;
}
