#include "store/statistics.h"

#include "store/rows.h"

#include <math.h>

void statistics_row_init(struct statistics_row *row)
{
    *row = (struct statistics_row){0};
#define X(name) row->name = (double)NAN;
    STATISTICS_REALS(X)
#undef X
}

const char *row_set_name(enum row_set row_set)
{
    return row_set == ROW_SET_TOKENS ? "tokens" : "all";
}

int statistics_exists(struct store *store, int64_t content_id, int64_t token_rows, int64_t definition,
                      const char *backend, int *ret_exists, struct err *err)
{
    struct query query;
    /* The variants are separate keys, so as many rows as wanted means that all are there. */
    int code = query_open(&query, store,
                          "SELECT 1 FROM statistics WHERE content_id = ?1 AND definition = ?2 "
                          "AND (?3 = '' OR backend = ?3) AND (row_set = 'all' OR token_rows = ?4) "
                          "GROUP BY backend HAVING count(*) >= CASE WHEN ?4 > 0 THEN 4 ELSE 2 END LIMIT 1",
                          err);
    if (code)
        return code;
    query_bind_int(&query, content_id);
    query_bind_int(&query, definition);
    query_bind_text(&query, backend);
    query_bind_int(&query, token_rows);
    code = query_next(&query, err);
    *ret_exists = code > 0;
    return query_close(&query, code);
}

int statistics_list(struct store *store, int64_t content_id,
                    int (*row)(void *context, const struct statistics_row *row), void *context,
                    struct err *err)
{
    struct query query;
    struct statistics_row statistics;
    int code = query_open(&query, store,
                          "SELECT " ROWS_STATISTICS " FROM statistics WHERE content_id = ? "
                          "ORDER BY definition DESC, backend, row_set, token_rows, is_centred LIMIT ?",
                          err);
    if (code)
        return code;
    query_bind_int(&query, content_id);
    query_bind_int(&query, STATISTICS_LIST_MAX);
    while ((code = query_next(&query, err)) > 0) {
        rows_read_statistics(&query, &statistics);
        if (row(context, &statistics))
            break;
    }
    return query_close(&query, code);
}
