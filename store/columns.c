/*
 * Mean and bimodality of each column: over a series, or one revision's after the other.
 */
#include "store/blob.h"
#include "store/rows_values.h"

#include <stdlib.h>

/* Reads definition, token_rows, columns, encoding, size_raw and data, next in the query. The caller frees
 * *ret_values, which hold both arrays of *ret_row. */
static int read_columns(struct query *query, struct columns_row *ret_row, double **ret_values,
                        struct err *err)
{
    size_t size = 0;
    struct columns_row row = {.definition = query_int(query)};
    row.token_rows = query_int(query);
    row.columns = query_int(query);
    int64_t encoding = query_int(query);
    int64_t size_raw = query_int(query);
    const void *data = query_blob(query, &size);
    if (row.columns < 1 || (uint64_t)row.columns > BLOB_RAW_BYTES_MAX / sizeof(double))
        return err_set(err, ERR_DATABASE, "stored value is damaged: number of columns");
    size_t count = (size_t)row.columns;
    double *values = malloc(2 * count * sizeof *values);
    if (!values)
        return err_set(err, ERR_NO_MEMORY, "columns: out of memory");
    int code = blob_decode_reals(data, size, encoding, size_raw, values, 2 * count, sizeof *values, err);
    if (code) {
        free(values);
        return code;
    }
    row.mean = values;
    row.bimodality = values + count;
    *ret_row = row;
    *ret_values = values;
    return 0;
}

#define COLUMNS_FROM                                                                                         \
    VALUES_FROM                                                                                              \
    "columns_statistics d ON d.content_id = t.content_id AND d.definition = t.definition "                   \
    "AND d.token_rows = ? " VALUES_WHERE VALUES_ORDER

/* `sql` ends with COLUMNS_FROM. */
static int open_series(struct query *query, struct store *store, const char *sql,
                       const struct values_range *range, int64_t token_rows, struct err *err)
{
    int code = query_open(query, store, sql, err);
    if (code)
        return code;
    query_bind_text(query, range->tensor);
    query_bind_int(query, token_rows);
    values_bind_range(query, range);
    return 0;
}

int columns_list(struct store *store, const struct values_range *range, int64_t token_rows,
                 int (*row)(void *context, const struct revision_row *revision,
                            const struct columns_row *row),
                 void *context, struct err *err)
{
    struct query query;
    struct revision_row revision;
    int code =
        open_series(&query, store,
                    "SELECT " ROWS_REVISION
                    ", d.definition, d.token_rows, d.columns, d.encoding, d.size_raw, d.data " COLUMNS_FROM,
                    range, token_rows, err);
    if (code)
        return code;
    while ((code = query_next(&query, err)) > 0) {
        double *values = NULL;
        struct columns_row columns = {.mean = NULL};
        rows_read_revision(&query, &revision);
        if ((code = values_forgive_damage(read_columns(&query, &columns, &values, err), err)))
            break;
        int is_enough = row(context, &revision, &columns);
        free(values);
        if (is_enough)
            break;
    }
    return query_close(&query, code);
}

int columns_list_contents(struct store *store, const struct values_range *range, int64_t token_rows,
                          int (*row)(void *context, const struct revision_row *revision,
                                     const struct columns_content *content),
                          void *context, struct err *err)
{
    struct query query;
    struct revision_row revision;
    struct columns_content content;
    int code = open_series(&query, store,
                           "SELECT " ROWS_REVISION ", d.content_id, d.definition, d.token_rows " COLUMNS_FROM,
                           range, token_rows, err);
    if (code)
        return code;
    while ((code = query_next(&query, err)) > 0) {
        rows_read_revision(&query, &revision);
        content.id = query_int(&query);
        content.definition = query_int(&query);
        content.token_rows = query_int(&query);
        if (row(context, &revision, &content))
            break;
    }
    return query_close(&query, code);
}

int columns_get(struct store *store, const struct columns_content *content, struct columns_row *ret_row,
                double **ret_values, struct err *err)
{
    struct query query;
    *ret_row = (struct columns_row){.mean = NULL};
    *ret_values = NULL;
    int code = query_open(&query, store,
                          "SELECT definition, token_rows, columns, encoding, size_raw, data FROM "
                          "columns_statistics WHERE content_id = ? AND definition = ? AND token_rows = ?",
                          err);
    if (code)
        return code;
    query_bind_int(&query, content->id);
    query_bind_int(&query, content->definition);
    query_bind_int(&query, content->token_rows);
    code = query_next(&query, err);
    if (code > 0)
        code = values_forgive_damage(read_columns(&query, ret_row, ret_values, err), err);
    else if (code == 0)
        code = err_set(err, ERR_NOT_FOUND, "these columns were deleted meanwhile");
    return query_close(&query, code);
}
