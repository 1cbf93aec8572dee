#include "store/contents.h"

#include "store/record.h"
#include "store/rows.h"

/* Runs a bound statement for one content. */
static int find_content(struct query *query, struct content_row *ret_row, const char *what, struct err *err)
{
    int code = query_next(query, err);
    if (code > 0)
        rows_read_content(query, ret_row);
    else if (code == 0)
        code = err_set(err, ERR_NOT_FOUND, "no content is known of %s", what);
    code = query_end(query, code);
    return code < 0 ? code : 0;
}

int contents_ensure(struct store *store, const struct content_row *key, int64_t *ret_id, struct err *err)
{
    struct connection *connection = NULL;
    int64_t id = 0;
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    code = store_write_end(store, record_content(connection, key, &id, err), err);
    if (!code)
        *ret_id = id;
    return code;
}

int contents_find_by_file(struct store *store, const char *file_digest, const char *tensor,
                          struct content_row *ret_row, struct err *err)
{
    struct query query;
    if (!file_digest[0])
        return err_set(err, ERR_NOT_FOUND, "no content is known of a file without a digest");
    int code =
        query_open(&query, store,
                   "SELECT " ROWS_CONTENT " FROM revision_tensors t JOIN contents c ON c.id = t.content_id "
                   "WHERE t.file_digest = ?1 AND t.file_digest <> '' AND t.tensor = ?2 LIMIT 1",
                   err);
    if (code)
        return code;
    query_bind_text(&query, file_digest);
    query_bind_text(&query, tensor);
    code = find_content(&query, ret_row, tensor, err);
    return query_close(&query, code);
}

/* From each tensor of a file straight to the next name: of many branches with the same file, one row of each
 * tensor is read. */
static const char BY_FILES[] =
    "WITH RECURSIVE known (path, digest, tensor) AS (SELECT f.path, f.digest, "
    "(SELECT min(t.tensor) FROM revision_tensors t WHERE t.file_digest = f.digest AND t.file_digest <> '') "
    "FROM files f WHERE f.revision_id = ?1 AND f.digest_kind = 'sha256' "
    "UNION ALL SELECT k.path, k.digest, (SELECT min(t.tensor) FROM revision_tensors t "
    "WHERE t.file_digest = k.digest AND t.file_digest <> '' AND t.tensor > k.tensor) "
    "FROM known k WHERE k.tensor IS NOT NULL) "
    "SELECT k.path, k.digest, k.tensor, " ROWS_CONTENT " FROM known k CROSS JOIN contents c "
    "ON c.id = (SELECT t.content_id FROM revision_tensors t WHERE t.file_digest = k.digest "
    "AND t.file_digest <> '' AND t.tensor = k.tensor LIMIT 1) ORDER BY k.tensor, k.path";

int contents_list_by_files(struct store *store, int64_t revision_id,
                           int (*row)(void *context, const struct revision_tensor_row *row), void *context,
                           struct err *err)
{
    struct query query;
    struct revision_tensor_row tensor = {.revision_id = revision_id};
    int code = query_open(&query, store, BY_FILES, err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    while ((code = query_next(&query, err)) > 0) {
        query_text(&query, tensor.file_path, sizeof tensor.file_path);
        query_text(&query, tensor.file_digest, sizeof tensor.file_digest);
        query_text(&query, tensor.tensor, sizeof tensor.tensor);
        rows_read_content(&query, &tensor.content);
        if (row(context, &tensor))
            break;
    }
    return query_close(&query, code);
}

int contents_find_by_revision(struct store *store, int64_t revision_id, const char *tensor,
                              struct revision_tensor_row *ret_row, struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT " ROWS_TENSOR ", " ROWS_CONTENT " FROM revision_tensors t "
                          "JOIN contents c ON c.id = t.content_id WHERE t.revision_id = ? AND t.tensor = ?",
                          err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    query_bind_text(&query, tensor);
    code = query_next(&query, err);
    if (code > 0)
        rows_read_tensor(&query, ret_row);
    else if (code == 0)
        code = err_set(err, ERR_NOT_FOUND, "tensor %s of this revision was not measured", tensor);
    return query_close(&query, code);
}

int contents_find(struct store *store, const struct content_row *key, struct content_row *ret_row,
                  struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT " ROWS_CONTENT " FROM contents c "
                          "WHERE c.digest = ? AND c.dtype = ? AND c.rows = ? AND c.columns = ?",
                          err);
    if (code)
        return code;
    query_bind_text(&query, key->digest);
    query_bind_text(&query, key->dtype);
    query_bind_int(&query, key->rows);
    query_bind_int(&query, key->columns);
    code = find_content(&query, ret_row, key->digest, err);
    return query_close(&query, code);
}

int contents_list_of_revision(struct store *store, int64_t revision_id,
                              int (*row)(void *context, const struct revision_tensor_row *row), void *context,
                              struct err *err)
{
    struct query query;
    struct revision_tensor_row tensor;
    int code = query_open(&query, store,
                          "SELECT " ROWS_TENSOR ", " ROWS_CONTENT " FROM revision_tensors t "
                          "JOIN contents c ON c.id = t.content_id WHERE t.revision_id = ? ORDER BY t.tensor",
                          err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    while ((code = query_next(&query, err)) > 0) {
        rows_read_tensor(&query, &tensor);
        if (row(context, &tensor))
            break;
    }
    return query_close(&query, code);
}
