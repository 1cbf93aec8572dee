#include "store/parts.h"

#include "daemon/base/clock.h"
#include "daemon/base/pulse.h"
#include "store/sweeps.h"

#define PART_MS 20
#define PAUSE_MS 1 /* whoever waits is awake by then; a mutex alone would go back to whom it came from */

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

/* What is deleted from found->ids[*at] on within PART_MS, one at least: a slow disk makes parts small. */
static int delete_part(struct connection *connection, const struct parts_found *found, size_t *at,
                       int (*delete_one)(struct connection *connection, void *context, int64_t id,
                                         struct err *err),
                       void *context, struct err *err)
{
    int64_t until_ms = clock_monotonic_ms() + PART_MS;
    int rc = 0;
    do {
        rc = delete_one(connection, context, found->ids[(*at)++], err);
    } while (!rc && *at < found->count && clock_monotonic_ms() < until_ms);
    return rc;
}

void parts_pause(struct store *store)
{
    do {
        pulse_beat();
        clock_sleep_ms(PAUSE_MS);
    } while (store_log_is_behind(store));
}

int parts_delete(struct store *store, const struct parts_found *found, int is_shown,
                 int (*delete_one)(struct connection *connection, void *context, int64_t id, struct err *err),
                 void *context, struct err *err)
{
    int rc = 0;
    for (size_t at = 0; !rc && at < found->count;) {
        struct connection *connection = NULL;
        parts_pause(store);
        rc = store_write_begin(store, is_shown ? CONNECTION_DURABILITY_FULL : CONNECTION_DURABILITY_CRASH,
                               &connection, err);
        if (rc)
            return rc;
        rc = delete_part(connection, found, &at, delete_one, context, err);
        if (!is_shown)
            store_write_keep_version(connection);
        rc = store_write_end(store, rc, err);
    }
    return rc;
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
        parts_pause(store);
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
