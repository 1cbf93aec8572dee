/*
 * Retention: large values of contents that no current revision has, and sweeps of long ago.
 */
#include "store/distributions.h"
#include "store/query.h"
#include "store/sweeps.h"

#define IDS_MAX 1000

static int find_stale(struct connection *connection, int limit, int64_t *ids, size_t *ret_count,
                      struct err *err)
{
    struct query query;
    size_t count = 0;
    int rc = query_begin(
        &query, connection,
        "SELECT content_id FROM (SELECT content_id FROM distributions UNION "
        "SELECT content_id FROM columns_statistics UNION SELECT content_id FROM samples) d "
        "WHERE NOT EXISTS (SELECT 1 FROM revision_tensors t JOIN revisions r ON r.id = t.revision_id "
        "WHERE t.content_id = d.content_id AND r.is_current = 1) LIMIT ?",
        err);
    if (rc)
        return rc;
    query_bind_int(&query, limit);
    while ((rc = query_next(&query, err)) > 0 && count < IDS_MAX)
        ids[count++] = query_int(&query);
    query_end(&query);
    *ret_count = count;
    return rc < 0 ? rc : 0;
}

static int delete_of(struct connection *connection, const char *sql, int64_t content_id, struct err *err)
{
    struct query query;
    int rc = query_begin(&query, connection, sql, err);
    if (rc)
        return rc;
    query_bind_int(&query, content_id);
    return query_run(&query, err);
}

int distributions_prune(struct store *store, int limit, int64_t *ret_count, struct err *err)
{
    struct connection *connection = NULL;
    int64_t ids[IDS_MAX];
    size_t count = 0;
    if (limit < 1 || limit > IDS_MAX)
        return err_set(err, ERR_INVALID, "prune: the limit is 1 to %d", IDS_MAX);
    int rc = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (rc)
        return rc;
    rc = find_stale(connection, limit, ids, &count, err);
    for (size_t i = 0; !rc && i < count; i++) {
        if ((rc = delete_of(connection, "DELETE FROM distributions WHERE content_id = ?", ids[i], err)) ||
            (rc = delete_of(connection, "DELETE FROM columns_statistics WHERE content_id = ?", ids[i], err)))
            break;
        rc = delete_of(connection, "DELETE FROM samples WHERE content_id = ?", ids[i], err);
    }
    rc = store_write_end(store, rc, err);
    if (!rc)
        *ret_count = (int64_t)count;
    return rc;
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
