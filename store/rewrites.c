#include "store/rewrites.h"

#include "store/blob.h"
#include "store/rows.h"

#include <stdlib.h>

/* What a name held last before is the newest of its earlier commits with another content; whatever commits
 * came after that held what is there now (a copy of the folder has new ones). */
static const char REWRITES[] =
    "SELECT " ROWS_REVISION ", o.id, (SELECT min(x.id) FROM revisions x WHERE x.model_id = r.model_id "
    "AND x.name = r.name AND x.id > o.id), iif(b.count IS NULL, 0, a.count), "
    "a.encoding, a.size_raw, a.data, b.encoding, b.size_raw, b.data FROM revisions r "
    "JOIN revision_tensors t ON t.revision_id = r.id "
    "JOIN revisions o ON o.id = (SELECT max(y.id) FROM revisions y JOIN revision_tensors u "
    "ON u.revision_id = y.id AND u.tensor = t.tensor WHERE y.model_id = r.model_id AND y.name = r.name "
    "AND y.id < r.id AND u.content_id <> t.content_id) "
    "JOIN revision_tensors p ON p.revision_id = o.id AND p.tensor = t.tensor "
    "LEFT JOIN samples a ON a.content_id = t.content_id AND a.token_rows = t.token_rows "
    "LEFT JOIN samples b ON b.content_id = p.content_id AND b.token_rows = a.token_rows "
    "AND b.definition = a.definition AND b.seed = a.seed AND b.count = a.count "
    "WHERE r.model_id = ? AND r.is_current = 1 ORDER BY " ROWS_ORDER;

/* What is damaged cannot be compared: *count becomes 0. */
static int read_values(struct query *query, size_t *count, float **ret_values, struct err *err)
{
    size_t size = 0;
    struct err damage = ERR_INIT;
    int64_t encoding = query_int(query), size_raw = query_int(query);
    const void *data = query_blob(query, &size);
    if (!*count)
        return 0;
    *ret_values = malloc(*count * sizeof **ret_values);
    if (!*ret_values)
        return err_set(err, ERR_NO_MEMORY, "samples: out of memory");
    if (blob_decode_reals(data, size, encoding, size_raw, *ret_values, *count, sizeof **ret_values, &damage))
        *count = 0;
    return 0;
}

int rewrites_list(struct store *store, int64_t model_id,
                  int (*row)(void *context, const struct rewrite_row *row), void *context, struct err *err)
{
    struct query query;
    int is_over = 0, code = query_open(&query, store, REWRITES, err);
    if (code)
        return code;
    query_bind_int(&query, model_id);
    while (!is_over && (code = query_next(&query, err)) > 0) {
        struct rewrite_row rewrite = {.since_id = 0};
        float *values = NULL, *before = NULL;
        rows_read_revision(&query, &rewrite.revision);
        rewrite.before_id = query_int(&query);
        rewrite.since_id = query_int(&query);
        int64_t count = query_int(&query);
        if (count > 0 && (uint64_t)count <= BLOB_RAW_BYTES_MAX / sizeof(float))
            rewrite.count = (size_t)count;
        code = read_values(&query, &rewrite.count, &values, err);
        if (!code)
            code = read_values(&query, &rewrite.count, &before, err);
        rewrite.values = values;
        rewrite.values_before = before;
        is_over = code || row(context, &rewrite);
        free(values);
        free(before);
    }
    return query_close(&query, code);
}
