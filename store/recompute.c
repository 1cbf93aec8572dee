#include "store/recompute.h"

#include "store/query.h"
#include "store/record.h"
#include "store/touch.h"

int recompute_list(struct store *store, int64_t model_id, int64_t after, int limit,
                   int (*row)(void *context, int64_t content_id), void *context, struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT DISTINCT d.content_id FROM distributions d WHERE d.content_id > ?1 "
                          "AND (?2 = 0 OR EXISTS (SELECT 1 FROM revision_tensors t JOIN revisions r "
                          "ON r.id = t.revision_id WHERE t.content_id = d.content_id AND r.model_id = ?2)) "
                          "ORDER BY d.content_id LIMIT ?3",
                          err);
    if (code)
        return code;
    query_bind_int(&query, after);
    query_bind_int(&query, model_id);
    query_bind_int(&query, limit);
    while ((code = query_next(&query, err)) > 0) {
        if (row(context, query_int(&query)))
            break;
    }
    return query_close(&query, code);
}

static int run(struct connection *connection, const char *sql, int64_t content_id, int64_t from, int64_t to,
               struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, sql, err);
    if (code)
        return code;
    query_bind_int(&query, content_id);
    query_bind_int(&query, from);
    query_bind_int(&query, to);
    return query_run(&query, err);
}

/* What was kept is the same under any definition of what is made from it. */
static int move_definition(struct connection *connection, int64_t content_id, int64_t from, int64_t to,
                           struct err *err)
{
    int code = run(connection,
                   "UPDATE OR REPLACE distributions SET definition = ?3 WHERE content_id = ?1 AND "
                   "definition = ?2",
                   content_id, from, to, err);
    if (!code)
        code = run(connection,
                   "UPDATE OR REPLACE columns_statistics SET definition = ?3 WHERE content_id = ?1 AND "
                   "definition = ?2",
                   content_id, from, to, err);
    if (!code)
        code = run(connection,
                   "UPDATE revision_tensors SET definition = ?3 WHERE content_id = ?1 AND definition = ?2",
                   content_id, from, to, err);
    return code;
}

int recompute_replace(struct store *store, int64_t content_id, int64_t definition,
                      const struct statistics_row *rows, size_t count, struct err *err)
{
    static const char replace[] = "INSERT OR REPLACE " RECORD_STATISTICS;
    struct connection *connection = NULL;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].definition != rows[0].definition)
            return err_set(err, ERR_INVALID, "statistics: rows of different definitions");
    }
    if (count == 0)
        return err_set(err, ERR_INVALID, "statistics: no rows");
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    for (size_t i = 0; i < count && !code; i++)
        code = record_statistics(connection, replace, content_id, &rows[i], err);
    if (!code && rows[0].definition != definition)
        code = move_definition(connection, content_id, definition, rows[0].definition, err);
    if (!code)
        code = touch_models_with(connection, content_id, 0, err);
    return store_write_end(store, code, err);
}
