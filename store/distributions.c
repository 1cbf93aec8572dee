#include "store/distributions.h"

#include "store/blob.h"
#include "store/rows_values.h"

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
    int code = blob_decode_counts(data, size, encoding, size_raw, counts, DISTRIBUTION_CODES, err);
    if (!code)
        *ret_row = row;
    return code;
}

int distributions_find(struct store *store, int64_t content_id, const struct distribution_row *key,
                       uint64_t *counts, struct distribution_row *ret_row, struct err *err)
{
    struct query query;
    int code = query_open(
        &query, store,
        "SELECT definition, code, encoding, size_raw, data FROM distributions WHERE content_id = ? "
        "AND definition = ? AND row_set = ? AND token_rows = ? AND is_centred = ?",
        err);
    if (code)
        return code;
    query_bind_int(&query, content_id);
    query_bind_int(&query, key->definition);
    query_bind_text(&query, row_set_name(key->row_set));
    query_bind_int(&query, key->token_rows);
    query_bind_int(&query, key->is_centred != 0);
    code = query_next(&query, err);
    if (code > 0)
        code = read_counts(&query, key, counts, ret_row, err);
    else if (code == 0)
        code = err_set(err, ERR_NOT_FOUND, "this distribution was not computed or is not kept any more");
    return query_close(&query, code);
}

int distributions_are_kept(struct store *store, int64_t content_id, int64_t token_rows, int64_t definition,
                           int *ret_are_kept, struct err *err)
{
    struct query query;
    int64_t are_kept = 0;
    int code = query_open(
        &query, store,
        "SELECT (SELECT count(*) FROM distributions WHERE content_id = ?1 AND definition = ?3 "
        "AND (row_set = 'all' OR token_rows = ?2)) = 4 AND (SELECT count(*) FROM "
        "columns_statistics WHERE content_id = ?1 AND definition = ?3 AND token_rows IN (0, ?2)) = 2 "
        "AND EXISTS (SELECT 1 FROM samples WHERE content_id = ?1 AND token_rows = ?2)",
        err);
    if (code)
        return code;
    query_bind_int(&query, content_id);
    query_bind_int(&query, token_rows);
    query_bind_int(&query, definition);
    code = query_run_int(&query, &are_kept, err);
    *ret_are_kept = are_kept != 0;
    return query_close(&query, code);
}

/* -- Over a series -------------------------------------------------------------------------------------- */

int distributions_list(struct store *store, const struct values_range *range,
                       const struct distribution_row *key,
                       int (*row)(void *context, const struct revision_row *revision,
                                  const struct distribution_row *row),
                       void *context, struct err *err)
{
    struct query query;
    struct revision_row revision;
    struct distribution_row distribution;
    uint64_t *counts = malloc(DISTRIBUTION_CODES * sizeof *counts);
    if (!counts)
        return err_set(err, ERR_NO_MEMORY, "distributions: out of memory");
    int code = query_open(
        &query, store,
        "SELECT " ROWS_REVISION ", d.definition, d.code, d.encoding, d.size_raw, d.data " VALUES_FROM
        "distributions d ON d.content_id = t.content_id AND d.definition = t.definition AND d.row_set = ? "
        "AND d.token_rows = ? AND d.is_centred = ? " VALUES_WHERE VALUES_ORDER,
        err);
    if (code)
        goto out;
    query_bind_text(&query, range->tensor);
    query_bind_text(&query, row_set_name(key->row_set));
    query_bind_int(&query, key->token_rows);
    query_bind_int(&query, key->is_centred != 0);
    values_bind_range(&query, range);
    while ((code = query_next(&query, err)) > 0) {
        rows_read_revision(&query, &revision);
        distribution = (struct distribution_row){.counts = NULL};
        code = values_forgive_damage(read_counts(&query, key, counts, &distribution, err), err);
        if (code || row(context, &revision, &distribution))
            break;
    }
    code = query_close(&query, code);
out:
    free(counts);
    return code;
}

int samples_list(struct store *store, const struct values_range *range, int64_t token_rows,
                 const struct sample_row *key,
                 int (*row)(void *context, const struct revision_row *revision, const struct sample_row *row),
                 void *context, struct err *err)
{
    struct query query;
    struct revision_row revision;
    if (key->count < 1 || (uint64_t)key->count > BLOB_RAW_BYTES_MAX / sizeof(float))
        return err_set(err, ERR_INVALID, "samples: the number of entries is out of bounds");
    const size_t count = (size_t)key->count;
    float *values = malloc(count * sizeof *values);
    if (!values)
        return err_set(err, ERR_NO_MEMORY, "samples: out of memory");
    struct sample_row sample = *key;
    sample.values = values;
    int code =
        query_open(&query, store,
                   "SELECT " ROWS_REVISION ", d.encoding, d.size_raw, d.data " VALUES_FROM
                   "samples d ON d.content_id = t.content_id AND d.token_rows = ? AND d.definition = ? "
                   "AND d.seed = ? AND d.count = ? " VALUES_WHERE VALUES_ORDER,
                   err);
    if (code)
        goto out;
    query_bind_text(&query, range->tensor);
    query_bind_int(&query, token_rows);
    query_bind_int(&query, key->definition);
    query_bind_int(&query, key->seed);
    query_bind_int(&query, key->count);
    values_bind_range(&query, range);
    while ((code = query_next(&query, err)) > 0) {
        size_t size = 0;
        rows_read_revision(&query, &revision);
        int64_t encoding = query_int(&query), size_raw = query_int(&query);
        const void *data = query_blob(&query, &size);
        code = blob_decode_reals(data, size, encoding, size_raw, values, count, sizeof *values, err);
        sample.values = code ? NULL : values;
        if ((code = values_forgive_damage(code, err)) || row(context, &revision, &sample))
            break;
    }
    code = query_close(&query, code);
out:
    free(values);
    return code;
}
