#include "store/distributions.h"

#include "store/blob.h"
#include "store/rows.h"

#include <stdlib.h>
#include <string.h>

/* Reads code, encoding, size_raw and data, next in the query, into counts. */
static int read_counts(struct query *query, const struct distribution_row *key, uint64_t *counts,
                       struct distribution_row *ret_row, struct err *err)
{
    struct distribution_row row = *key;
    size_t size = 0;
    row.definition = query_int(query);
    query_text(query, row.code, sizeof row.code);
    int64_t encoding = query_int(query);
    int64_t size_raw = query_int(query);
    const void *data = query_blob(query, &size);
    row.counts = counts;
    int rc = blob_decode_counts(data, size, encoding, size_raw, counts, DISTRIBUTION_CODES, err);
    if (!rc)
        *ret_row = row;
    return rc;
}

int distributions_find(struct store *store, int64_t content_id, const struct distribution_row *key,
                       uint64_t *counts, struct distribution_row *ret_row, struct err *err)
{
    struct query query;
    int rc = query_open(
        &query, store,
        "SELECT definition, code, encoding, size_raw, data FROM distributions WHERE content_id = ? "
        "AND definition = ? AND row_set = ? AND token_rows = ? AND is_centred = ?",
        err);
    if (rc)
        return rc;
    query_bind_int(&query, content_id);
    query_bind_int(&query, key->definition);
    query_bind_text(&query, row_set_name(key->row_set));
    query_bind_int(&query, key->token_rows);
    query_bind_int(&query, key->is_centred != 0);
    rc = query_next(&query, err);
    if (rc > 0)
        rc = read_counts(&query, key, counts, ret_row, err);
    else if (rc == 0)
        rc = err_set(err, ERR_NOT_FOUND, "this distribution was not computed or is not kept any more");
    return query_close(&query, rc);
}

int distributions_are_kept(struct store *store, int64_t content_id, int64_t token_rows, int64_t definition,
                           int *ret_are_kept, struct err *err)
{
    struct query query;
    int64_t are_kept = 0;
    int rc = query_open(
        &query, store,
        "SELECT (SELECT count(*) FROM distributions WHERE content_id = ?1 AND definition = ?3 "
        "AND (row_set = 'all' OR token_rows = ?2)) = 4 AND (SELECT count(*) FROM "
        "columns_statistics WHERE content_id = ?1 AND definition = ?3 AND token_rows IN (0, ?2)) = 2 "
        "AND EXISTS (SELECT 1 FROM samples WHERE content_id = ?1 AND token_rows = ?2)",
        err);
    if (rc)
        return rc;
    query_bind_int(&query, content_id);
    query_bind_int(&query, token_rows);
    query_bind_int(&query, definition);
    rc = query_run_int(&query, &are_kept, err);
    *ret_are_kept = are_kept != 0;
    return query_close(&query, rc);
}

/* Damage of one value is no failure of a list, which gives it without numbers. */
static int forgive_damage(int rc, struct err *err)
{
    if (rc != ERR_DATABASE)
        return rc;
    *err = (struct err)ERR_INIT;
    return 0;
}

/* -- Over a series -------------------------------------------------------------------------------------- */

/* Current revisions with the tensor, in step order; the first parameter is the tensor, the last are those of
 * bind_range(). */
#define SERIES_FROM                                                                                          \
    "FROM revisions r CROSS JOIN revision_tensors t ON t.revision_id = r.id AND t.tensor = ? CROSS JOIN "
#define SERIES_WHERE "WHERE r.model_id = ? AND r.is_current = 1 AND " ROWS_AFTER " "
#define SERIES_ORDER "ORDER BY " ROWS_ORDER " LIMIT ?"

/* The parameters of SERIES_WHERE and SERIES_ORDER. */
static void bind_range(struct query *query, const struct values_range *range)
{
    query_bind_int(query, range->model_id);
    rows_bind_key(query, range->after);
    query_bind_int(query, range->limit);
}

int distributions_list(struct store *store, const struct values_range *range,
                       const struct distribution_row *key,
                       int (*row)(void *context, const struct revision_row *revision,
                                  const struct distribution_row *row),
                       void *context, struct err *err)
{
    struct connection *connection = NULL;
    struct query query = {0};
    struct revision_row revision;
    struct distribution_row distribution;
    uint64_t *counts = malloc(DISTRIBUTION_CODES * sizeof *counts);
    if (!counts)
        return err_set(err, ERR_NO_MEMORY, "distributions: out of memory");
    int rc = store_read_begin(store, &connection, err);
    if (rc)
        goto out;
    rc = query_begin(
        &query, connection,
        "SELECT " ROWS_REVISION ", d.definition, d.code, d.encoding, d.size_raw, d.data " SERIES_FROM
        "distributions d ON d.content_id = t.content_id AND d.definition = t.definition AND d.row_set = ? "
        "AND d.token_rows = ? AND d.is_centred = ? " SERIES_WHERE SERIES_ORDER,
        err);
    if (rc)
        goto out;
    query_bind_text(&query, range->tensor);
    query_bind_text(&query, row_set_name(key->row_set));
    query_bind_int(&query, key->token_rows);
    query_bind_int(&query, key->is_centred != 0);
    bind_range(&query, range);
    while ((rc = query_next(&query, err)) > 0) {
        rows_read_revision(&query, &revision);
        distribution = (struct distribution_row){.counts = NULL};
        rc = forgive_damage(read_counts(&query, key, counts, &distribution, err), err);
        if (rc || row(context, &revision, &distribution))
            break;
    }
out:
    rc = query_end(&query, rc);
    store_read_end(store, connection);
    free(counts);
    return rc < 0 ? rc : 0;
}

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
    int rc = blob_decode_reals(data, size, encoding, size_raw, values, 2 * count, sizeof *values, err);
    if (rc) {
        free(values);
        return rc;
    }
    row.mean = values;
    row.bimodality = values + count;
    *ret_row = row;
    *ret_values = values;
    return 0;
}

int columns_list(struct store *store, const struct values_range *range, int64_t token_rows,
                 int (*row)(void *context, const struct revision_row *revision,
                            const struct columns_row *row),
                 void *context, struct err *err)
{
    struct connection *connection = NULL;
    struct query query;
    struct revision_row revision;
    struct columns_row columns;
    int rc = store_read_begin(store, &connection, err);
    if (rc)
        return rc;
    rc = query_begin(&query, connection,
                     "SELECT " ROWS_REVISION
                     ", d.definition, d.token_rows, d.columns, d.encoding, d.size_raw, d.data " SERIES_FROM
                     "columns_statistics d ON d.content_id = t.content_id AND d.definition = t.definition "
                     "AND d.token_rows = ? " SERIES_WHERE SERIES_ORDER,
                     err);
    if (rc)
        goto out;
    query_bind_text(&query, range->tensor);
    query_bind_int(&query, token_rows);
    bind_range(&query, range);
    while ((rc = query_next(&query, err)) > 0) {
        double *values = NULL;
        rows_read_revision(&query, &revision);
        columns = (struct columns_row){.mean = NULL};
        if ((rc = forgive_damage(read_columns(&query, &columns, &values, err), err)))
            break;
        int is_enough = row(context, &revision, &columns);
        free(values);
        if (is_enough)
            break;
    }
out:
    rc = query_end(&query, rc);
    store_read_end(store, connection);
    return rc < 0 ? rc : 0;
}

int samples_list(struct store *store, const struct values_range *range, int64_t token_rows,
                 const struct sample_row *key,
                 int (*row)(void *context, const struct revision_row *revision, const struct sample_row *row),
                 void *context, struct err *err)
{
    struct connection *connection = NULL;
    struct query query = {0};
    struct revision_row revision;
    if (key->count < 1 || (uint64_t)key->count > BLOB_RAW_BYTES_MAX / sizeof(float))
        return err_set(err, ERR_INVALID, "samples: the number of entries is out of bounds");
    const size_t count = (size_t)key->count;
    float *values = malloc(count * sizeof *values);
    if (!values)
        return err_set(err, ERR_NO_MEMORY, "samples: out of memory");
    struct sample_row sample = *key;
    sample.values = values;
    int rc = store_read_begin(store, &connection, err);
    if (rc)
        goto out;
    rc = query_begin(&query, connection,
                     "SELECT " ROWS_REVISION ", d.encoding, d.size_raw, d.data " SERIES_FROM
                     "samples d ON d.content_id = t.content_id AND d.token_rows = ? AND d.definition = ? "
                     "AND d.seed = ? AND d.count = ? " SERIES_WHERE SERIES_ORDER,
                     err);
    if (rc)
        goto out;
    query_bind_text(&query, range->tensor);
    query_bind_int(&query, token_rows);
    query_bind_int(&query, key->definition);
    query_bind_int(&query, key->seed);
    query_bind_int(&query, key->count);
    bind_range(&query, range);
    while ((rc = query_next(&query, err)) > 0) {
        size_t size = 0;
        rows_read_revision(&query, &revision);
        int64_t encoding = query_int(&query), size_raw = query_int(&query);
        const void *data = query_blob(&query, &size);
        rc = blob_decode_reals(data, size, encoding, size_raw, values, count, sizeof *values, err);
        sample.values = rc ? NULL : values;
        if ((rc = forgive_damage(rc, err)) || row(context, &revision, &sample))
            break;
    }
out:
    rc = query_end(&query, rc);
    store_read_end(store, connection);
    free(values);
    return rc < 0 ? rc : 0;
}
