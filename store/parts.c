#include "store/parts.h"

#include "daemon/base/pulse.h"
#include "store/sweeps.h"

int parts_take(struct query *query, int64_t rows_max, struct parts_found *found, struct err *err)
{
    int64_t rows = 0;
    int rc = 0;
    while ((!rows_max || rows < rows_max) && found->count < PARTS_IDS_MAX &&
           (rc = query_next(query, err)) > 0) {
        int64_t id = query_int(query);
        rows += query_int(query);
        if (rows_max && rows > rows_max && found->count)
            break;
        found->ids[found->count++] = id;
    }
    return rc < 0 ? rc : 0;
}

int parts_delete(struct store *store, const struct parts_found *found, int is_shown,
                 int (*delete_one)(struct connection *connection, void *context, int64_t id, struct err *err),
                 void *context, struct err *err)
{
    struct connection *connection = NULL;
    if (!found->count)
        return 0;
    int rc = store_write_begin(store, is_shown ? CONNECTION_DURABILITY_FULL : CONNECTION_DURABILITY_CRASH,
                               &connection, err);
    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < found->count; i++)
        rc = delete_one(connection, context, found->ids[i], err);
    if (!is_shown)
        store_write_keep_version(connection);
    return store_write_end(store, rc, err);
}

int parts_run(struct connection *connection, const char *sql, int64_t id, struct err *err)
{
    struct query query;
    int rc = query_begin(&query, connection, sql, err);
    if (rc)
        return rc;
    query_bind_int(&query, id);
    return query_run(&query, err);
}

int parts_run_two(struct connection *connection, const char *sql, int64_t id, int64_t other, struct err *err)
{
    struct query query;
    int rc = query_begin(&query, connection, sql, err);
    if (rc)
        return rc;
    query_bind_int(&query, id);
    query_bind_int(&query, other);
    return query_run(&query, err);
}

/* -- Sweeps ---------------------------------------------------------------------------------------------- */

/* Deletes tasks of a sweep in transactions of their own, until the rest may go with the sweep. */
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
        if (rc > 0)
            rc = parts_run_two(connection, "DELETE FROM tasks WHERE sweep_id = ?1 AND ordinal < ?2", id, last,
                               err);
        rc = store_write_end(store, rc, err);
    }
    return rc;
}

static int delete_sweep(struct connection *connection, void *context, int64_t id, struct err *err)
{
    (void)context;
    return parts_run(connection, "DELETE FROM sweeps WHERE id = ?", id, err);
}

int parts_delete_sweeps(struct store *store, const struct parts_found *found, struct err *err)
{
    int rc = found->count == 1 ? shorten_sweep(store, found->ids[0], err) : 0;
    return rc ? rc : parts_delete(store, found, 1, delete_sweep, NULL, err);
}
