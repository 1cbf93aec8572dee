/*
 * Retention: large values of contents that no current revision has, and sweeps of long ago.
 */
#include "daemon/base/pulse.h"
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

/* What the searches below have found. */
struct found {
    int64_t ids[IDS_MAX];
    size_t count;
};

/* Deletes what was found, and moves on behind it. */
static int delete_found(struct store *store, const struct found *found,
                        int (*delete_one)(struct connection *, int64_t id, struct err *err), int64_t *after,
                        int64_t *ret_count, struct err *err)
{
    struct connection *connection = NULL;
    int rc = found->count ? store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err) : 0;
    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < found->count; i++)
        rc = delete_one(connection, found->ids[i], err);
    if (found->count)
        rc = store_write_end(store, rc, err);
    if (rc)
        return rc;
    if (found->count)
        *after = found->ids[found->count - 1];
    *ret_count = (int64_t)found->count;
    return 0;
}

/* The searches are long and no reason for writers to wait. */
static int begin_search(struct store *store, int limit, struct connection **ret_connection, struct err *err)
{
    if (limit < 1 || limit > IDS_MAX)
        return err_set(err, ERR_INVALID, "prune: the limit is 1 to %d", IDS_MAX);
    return store_read_begin(store, ret_connection, err);
}

int distributions_prune(struct store *store, int64_t *after, int limit, int64_t *ret_count, struct err *err)
{
    struct connection *connection = NULL;
    struct found found = {.count = 0};
    int rc = begin_search(store, limit, &connection, err);
    if (rc)
        return rc;
    rc = find_stale(connection, *after, limit, found.ids, &found.count, err);
    store_read_end(store, connection);
    return rc ? rc : delete_found(store, &found, delete_stale, after, ret_count, err);
}

/* Until they have SWEEPS_PRUNE_TASKS together; one that has more alone. What may go once may go for ever. */
static int find_over(struct connection *connection, int64_t before_ms, int64_t after, int limit, int64_t *ids,
                     size_t *ret_count, struct err *err)
{
    struct query query;
    int64_t tasks = 0;
    int rc = query_begin(
        &query, connection,
        "SELECT s.id, s.tasks_done + s.tasks_failed + s.tasks_cancelled FROM sweeps s "
        "WHERE s.id > ? AND s.finished_ms < ? "
        "AND s.state IN ('done', 'failed', 'cancelled') AND NOT EXISTS (SELECT 1 FROM tasks k "
        "WHERE k.sweep_id = s.id AND NOT EXISTS (SELECT 1 FROM tasks n WHERE n.revision_id = k.revision_id "
        "AND n.id > k.id)) AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.sweep_id = s.id "
        "AND j.state IN ('submitting', 'pending', 'running')) ORDER BY s.id LIMIT ?",
        err);
    if (rc)
        return rc;
    query_bind_int(&query, after);
    query_bind_int(&query, before_ms);
    query_bind_int(&query, limit);
    while (tasks < SWEEPS_PRUNE_TASKS && (rc = query_next(&query, err)) > 0 && *ret_count < IDS_MAX) {
        int64_t id = query_int(&query);
        tasks += query_int(&query);
        if (tasks > SWEEPS_PRUNE_TASKS && *ret_count)
            break;
        ids[(*ret_count)++] = id;
    }
    rc = query_end(&query, rc);
    return rc < 0 ? rc : 0;
}

static int delete_sweep(struct connection *connection, int64_t id, struct err *err)
{
    struct query query;
    int rc = query_begin(&query, connection, "DELETE FROM sweeps WHERE id = ?", err);
    if (rc)
        return rc;
    query_bind_int(&query, id);
    return query_run(&query, err);
}

/* Deletes tasks of a sweep in transactions of their own, until the rest may go with the sweep. One that is
 * broken off goes on with the next run, since what is left may go, too. */
static int shorten_sweep(struct store *store, int64_t id, struct err *err)
{
    int64_t last = 1;
    int rc = 0;
    while (!rc && last) {
        struct connection *connection = NULL;
        struct query query;
        pulse_beat();
        last = 0; /* the last ordinal of a part, if there are tasks beyond it */
        if ((rc = store_write_begin(store, CONNECTION_DURABILITY_CRASH, &connection, err)))
            return rc;
        rc = query_begin(&query, connection,
                         "SELECT ordinal FROM tasks WHERE sweep_id = ?1 ORDER BY ordinal LIMIT 1 OFFSET ?2",
                         err);
        if (!rc) {
            query_bind_int(&query, id);
            query_bind_int(&query, SWEEPS_PRUNE_TASKS);
            rc = query_run_int(&query, &last, err);
        }
        if (rc > 0 && !(rc = query_begin(&query, connection,
                                         "DELETE FROM tasks WHERE sweep_id = ?1 AND ordinal < ?2", err))) {
            query_bind_int(&query, id);
            query_bind_int(&query, last);
            rc = query_run(&query, err);
        }
        rc = store_write_end(store, rc, err);
    }
    return rc;
}

int sweeps_prune(struct store *store, int64_t before_ms, int64_t *after, int limit, int64_t *ret_count,
                 struct err *err)
{
    struct connection *connection = NULL;
    struct found found = {.count = 0};
    int rc = begin_search(store, limit, &connection, err);
    if (rc)
        return rc;
    rc = find_over(connection, before_ms, *after, limit, found.ids, &found.count, err);
    store_read_end(store, connection);
    if (!rc && found.count == 1) /* it may be large */
        rc = shorten_sweep(store, found.ids[0], err);
    return rc ? rc : delete_found(store, &found, delete_sweep, after, ret_count, err);
}
