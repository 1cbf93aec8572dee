#include "store/parts.h"

#include "daemon/base/clock.h"
#include "daemon/base/pulse.h"
#include "store/sweeps.h"

#define PART_MS 20
#define PAUSE_MS                                                                                             \
    1 /* gives waiting writers time to wake up; the mutex alone would be retaken at once by this thread */

int parts_take(struct query *query, int64_t rows_max, struct parts_found *found, struct err *err)
{
    int64_t rows = 0;
    int code = 0;
    while ((!rows_max || rows < rows_max) && found->count < PARTS_IDS_MAX &&
           (code = query_next(query, err)) > 0) {
        int64_t id = query_int(query);
        rows += query_int(query);
        if (rows_max && rows > rows_max && found->count)
            break;
        found->ids[found->count++] = id;
    }
    return code < 0 ? code : 0;
}

/* What is deleted from found->ids[*at] on within PART_MS, one at least: a slow disk makes parts small. */
static int delete_part(struct connection *connection, const struct parts_found *found, size_t *at,
                       int (*delete_one)(struct connection *connection, void *context, int64_t id,
                                         struct err *err),
                       void *context, struct err *err)
{
    int64_t until_ms = clock_monotonic_ms() + PART_MS;
    int code = 0;
    do {
        code = delete_one(connection, context, found->ids[(*at)++], err);
    } while (!code && *at < found->count && clock_monotonic_ms() < until_ms);
    return code;
}

/* Lets other writers in between two parts, and the log be moved, and tells the watchdog that there is work.
 */
static void pause_before_part(struct store *store)
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
    int code = 0;
    for (size_t at = 0; !code && at < found->count;) {
        struct connection *connection = NULL;
        pause_before_part(store);
        code = store_write_begin(store, is_shown ? CONNECTION_DURABILITY_FULL : CONNECTION_DURABILITY_CRASH,
                                 &connection, err);
        if (code)
            return code;
        code = delete_part(connection, found, &at, delete_one, context, err);
        if (!is_shown)
            store_write_keep_version(connection);
        code = store_write_end(store, code, err);
    }
    return code;
}

int parts_run(struct connection *connection, const char *sql, int64_t id, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, sql, err);
    if (code)
        return code;
    query_bind_int(&query, id);
    return query_run(&query, err);
}

int parts_run_two(struct connection *connection, const char *sql, int64_t id, int64_t other, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, sql, err);
    if (code)
        return code;
    query_bind_int(&query, id);
    query_bind_int(&query, other);
    return query_run(&query, err);
}

/* -- Sweeps ---------------------------------------------------------------------------------------------- */

/* Deletes the first tasks of a sweep in a transaction of their own, unless all may go with it. */
static int shorten_sweep(struct store *store, int64_t id, int *ret_is_short, struct err *err)
{
    struct connection *connection = NULL;
    struct query query;
    int64_t last = 0; /* the last ordinal of a part, if there are tasks beyond it */
    pause_before_part(store);
    int code = store_write_begin(store, CONNECTION_DURABILITY_CRASH, &connection, err);
    if (code)
        return code;
    code =
        query_begin(&query, connection,
                    "SELECT ordinal FROM tasks WHERE sweep_id = ?1 ORDER BY ordinal LIMIT 1 OFFSET ?2", err);
    if (!code) {
        query_bind_int(&query, id);
        query_bind_int(&query, SWEEPS_PRUNE_TASKS);
        code = query_run_int(&query, &last, err);
    }
    *ret_is_short = code == 0;
    if (code > 0)
        code = parts_run_two(connection, "DELETE FROM tasks WHERE sweep_id = ?1 AND ordinal < ?2", id, last,
                             err);
    return store_write_end(store, code, err);
}

static int delete_sweep(struct connection *connection, void *context, int64_t id, struct err *err)
{
    (void)context;
    return parts_run(connection, "DELETE FROM sweeps WHERE id = ?", id, err);
}

int parts_delete_sweeps(struct store *store, const struct parts_found *found, int *ret_are_gone,
                        struct err *err)
{
    *ret_are_gone = 1;
    int code = found->count == 1 ? shorten_sweep(store, found->ids[0], ret_are_gone, err) : 0;
    if (code || !*ret_are_gone)
        return code;
    return parts_delete(store, found, 1, delete_sweep, NULL, err);
}
