#include "store/revisions.h"

#include "daemon/base/clock.h"
#include "store/rows.h"
#include "store/scored_files.h"
#include "store/touch.h"

#include <stdlib.h>
#include <string.h>

void revision_key_of(const struct revision_row *row, struct revision_key *key)
{
    *key = (struct revision_key){
        .is_stepless = row->step == REVISIONS_STEP_NONE,
        .stage = row->stage,
        .ingredient = row->ingredient,
        .step = row->step == REVISIONS_STEP_NONE ? 0 : row->step,
        .tokens = row->tokens,
    };
    memcpy(key->name, row->name, sizeof key->name);
}

static int find_one(struct query *query, struct revision_row *ret_row, const char *name, struct err *err)
{
    int code = query_next(query, err);
    if (code > 0)
        rows_read_revision(query, ret_row);
    else if (code == 0)
        code = err_set_absent(err, ERR_ABSENT_REVISION, "revision %s is not known", name);
    code = query_end(query, code);
    return code < 0 ? code : 0;
}

int revisions_find(struct store *store, int64_t model_id, const char *name, struct revision_row *ret_row,
                   struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT " ROWS_REVISION " FROM revisions r INDEXED BY sqlite_autoindex_revisions_1 "
                          "WHERE r.model_id = ? AND r.name = ? AND r.is_current = 1",
                          err);
    if (code)
        return code;
    query_bind_int(&query, model_id);
    query_bind_text(&query, name);
    code = find_one(&query, ret_row, name, err);
    return query_close(&query, code);
}

int revisions_get(struct store *store, int64_t id, struct revision_row *ret_row, struct err *err)
{
    struct query query;
    int code = query_open(&query, store, "SELECT " ROWS_REVISION " FROM revisions r WHERE r.id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = find_one(&query, ret_row, "with this id", err);
    return query_close(&query, code);
}

/* Runs a bound statement and hands its rows on. */
static int list_rows(struct query *query, int (*row)(void *context, const struct revision_row *row),
                     void *context, struct err *err)
{
    struct revision_row revision;
    int code;
    while ((code = query_next(query, err)) > 0) {
        rows_read_revision(query, &revision);
        if (row(context, &revision))
            break;
    }
    code = query_end(query, code);
    return code < 0 ? code : 0;
}

int revisions_list(struct store *store, int64_t model_id, const struct revision_key *after, int limit,
                   int (*row)(void *context, const struct revision_row *row), void *context, struct err *err)
{
    struct query query;
    int code =
        query_open(&query, store,
                   "SELECT " ROWS_REVISION " FROM revisions r WHERE r.model_id = ? AND r.is_current = 1 "
                   "AND " ROWS_AFTER " ORDER BY " ROWS_ORDER " LIMIT ?",
                   err);
    if (code)
        return code;
    query_bind_int(&query, model_id);
    rows_bind_key(&query, after);
    query_bind_int(&query, limit);
    code = list_rows(&query, row, context, err);
    return query_close(&query, code);
}

/* The last one is the commit of what is not there. */
#define PASSED_OVER                                                                                          \
    "r.model_id = ? AND r.is_current = 1 AND r.is_stepless = 1 AND r.name <> 'main' "                        \
    "AND r.name NOT GLOB 'refs/*' AND r.name <> r.commit_sha "                                               \
    "AND r.commit_sha <> '0000000000000000000000000000000000000000'"

int revisions_list_passed_over(struct store *store, int64_t model_id, int limit,
                               int (*row)(void *context, const struct revision_row *row), void *context,
                               struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT " ROWS_REVISION " FROM revisions r WHERE " PASSED_OVER
                          " ORDER BY " ROWS_ORDER " LIMIT ?",
                          err);
    if (code)
        return code;
    query_bind_int(&query, model_id);
    query_bind_int(&query, limit);
    code = list_rows(&query, row, context, err);
    return query_close(&query, code);
}

int revisions_count_passed_over(struct store *store, int64_t model_id, int64_t *ret_count, struct err *err)
{
    struct query query;
    int code = query_open(&query, store, "SELECT count(*) FROM revisions r WHERE " PASSED_OVER, err);
    if (code)
        return code;
    query_bind_int(&query, model_id);
    if ((code = query_next(&query, err)) > 0)
        *ret_count = query_int(&query);
    return query_close(&query, code);
}

int revisions_list_measured(struct store *store, int64_t model_id,
                            int (*row)(void *context, const struct revision_row *row), void *context,
                            struct err *err)
{
    struct query query;
    int code =
        query_open(&query, store,
                   "SELECT " ROWS_REVISION " FROM revisions r WHERE r.model_id = ? AND r.is_current = 1 "
                   "AND (EXISTS (SELECT 1 FROM revision_tensors t WHERE t.revision_id = r.id) OR "
                   "EXISTS (SELECT 1 FROM revision_perplexities p WHERE p.revision_id = r.id)) "
                   "ORDER BY " ROWS_ORDER,
                   err);
    if (code)
        return code;
    query_bind_int(&query, model_id);
    code = list_rows(&query, row, context, err);
    return query_close(&query, code);
}

/* -- Files ----------------------------------------------------------------------------------------------- */

static int insert_file(struct connection *connection, int64_t revision_id,
                       const struct revision_file_row *row, struct err *err)
{
    struct query query;
    if (!row->path[0] || !row->digest[0])
        return err_set(err, ERR_INVALID, "revision: a file needs a path and a digest");
    int code = query_begin(
        &query, connection,
        "INSERT INTO files (revision_id, path, size_bytes, digest, digest_kind) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET size_bytes = excluded.size_bytes, digest = excluded.digest, "
        "digest_kind = excluded.digest_kind",
        err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    query_bind_text(&query, row->path);
    query_bind_int(&query, row->size_bytes);
    query_bind_text(&query, row->digest);
    query_bind_text(&query, row->digest_kind == REVISION_DIGEST_KIND_GIT ? "git" : "sha256");
    return query_run(&query, err);
}

static int set_files(struct connection *connection, int64_t revision_id, const struct revision_file_row *rows,
                     size_t count, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, "DELETE FROM files WHERE revision_id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    code = query_run(&query, err);
    for (size_t i = 0; !code && i < count; i++)
        code = insert_file(connection, revision_id, &rows[i], err);
    return code;
}

/* Forgets one tensor that was read from no file of the list: 1, or 0 if there is none. */
static int forget_one(struct connection *connection, int64_t revision_id, struct err *err)
{
    struct query query;
    char tensor[LIMIT_TENSOR_NAME_BYTES + 1];
    int64_t content_id = 0, model_id = 0;
    int code =
        query_begin(&query, connection,
                    "DELETE FROM revision_tensors AS t WHERE t.revision_id = ?1 AND t.file_digest <> '' "
                    "AND t.tensor = (SELECT min(u.tensor) FROM revision_tensors u WHERE "
                    "u.revision_id = ?1 AND u.file_digest <> '' AND NOT EXISTS (SELECT 1 FROM files f "
                    "WHERE f.revision_id = ?1 AND f.path = u.file_path AND f.digest = u.file_digest)) "
                    "RETURNING tensor, content_id, (SELECT model_id FROM revisions WHERE id = ?1)",
                    err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    if ((code = query_next(&query, err)) > 0) {
        query_text(&query, tensor, sizeof tensor);
        content_id = query_int(&query);
        model_id = query_int(&query);
    }
    code = query_end(&query, code);
    if (code < 0 || !model_id)
        return code < 0 ? code : 0;
    code = touch_regroup(connection, model_id, tensor, content_id, err);
    if (!code)
        code = touch_recount_model(connection, model_id, err);
    return code ? code : 1;
}

static int write_files(struct store *store, int64_t revision_id, const struct revision_file_row *rows,
                       size_t count, int *ret_forgotten, struct err *err)
{
    struct connection *connection = NULL;
    if (count > LIMIT_HUB_TREE_FILES)
        return err_set(err, ERR_LIMIT, "revision: %zu files are more than %d", count, LIMIT_HUB_TREE_FILES);
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    code = set_files(connection, revision_id, rows, count, err);
    if (!code && ret_forgotten) {
        while ((code = forget_one(connection, revision_id, err)) > 0)
            ++*ret_forgotten;
        if (!code)
            code = scored_files_confirm(connection, revision_id, ret_forgotten, err);
    }
    return store_write_end(store, code, err);
}

int revisions_set_files(struct store *store, int64_t revision_id, const struct revision_file_row *rows,
                        size_t count, struct err *err)
{
    return write_files(store, revision_id, rows, count, NULL, err);
}

int revisions_set_listed_files(struct store *store, int64_t revision_id, const struct revision_file_row *rows,
                               size_t count, int *ret_forgotten, struct err *err)
{
    *ret_forgotten = 0;
    return write_files(store, revision_id, rows, count, ret_forgotten, err);
}

/* Reads path, size_bytes, digest and digest_kind. */
static void read_file(struct query *query, struct revision_file_row *file)
{
    char kind[8];
    query_text(query, file->path, sizeof file->path);
    file->size_bytes = query_int(query);
    query_text(query, file->digest, sizeof file->digest);
    query_text(query, kind, sizeof kind);
    file->digest_kind = strcmp(kind, "git") ? REVISION_DIGEST_KIND_SHA256 : REVISION_DIGEST_KIND_GIT;
}

int revisions_get_files(struct store *store, int64_t revision_id,
                        int (*row)(void *context, const struct revision_file_row *file), void *context,
                        struct err *err)
{
    struct query query;
    struct revision_file_row file = {.revision_id = revision_id};
    int code = query_open(&query, store,
                          "SELECT path, size_bytes, digest, digest_kind FROM files WHERE revision_id = ? "
                          "ORDER BY path",
                          err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    while ((code = query_next(&query, err)) > 0) {
        read_file(&query, &file);
        if (row(context, &file))
            break;
    }
    return query_close(&query, code);
}

int revisions_find_file(struct store *store, int64_t revision_id, const char *path,
                        struct revision_file_row *ret_file, int *ret_are_known, struct err *err)
{
    struct query query;
    int is_found = 0;
    int code = query_open(&query, store,
                          "SELECT EXISTS (SELECT 1 FROM files WHERE revision_id = ?1), f.path, f.size_bytes, "
                          "f.digest, f.digest_kind FROM (SELECT 1) LEFT JOIN files f ON f.revision_id = ?1 "
                          "AND f.path = ?2",
                          err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    query_bind_text(&query, path);
    if ((code = query_next(&query, err)) > 0) {
        *ret_are_known = query_int(&query) != 0;
        is_found = !query_is_null(&query);
        *ret_file = (struct revision_file_row){.revision_id = revision_id};
        read_file(&query, ret_file);
    }
    code = query_close(&query, code);
    return code || is_found ? code : err_set(err, ERR_NOT_FOUND, "the revision has no file %.100s", path);
}

int revisions_list_unlisted(struct store *store, int64_t sweep_id,
                            int (*row)(void *context, int64_t revision_id), void *context, struct err *err)
{
    struct query query;
    int code =
        query_open(&query, store,
                   "SELECT r.id FROM tasks t JOIN revisions r "
                   "ON r.id IN (t.revision_id, t.previous_revision_id, t.reference_revision_id) "
                   "WHERE t.sweep_id = ? AND NOT EXISTS (SELECT 1 FROM files f WHERE f.revision_id = r.id) "
                   "GROUP BY r.id ORDER BY min(t.ordinal), r.id",
                   err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    while ((code = query_next(&query, err)) > 0) {
        if (row(context, query_int(&query)))
            break;
    }
    return query_close(&query, code);
}

int revisions_list_files(struct store *store, int64_t model_id, const struct revision_key *after,
                         int revision_limit,
                         int (*row)(void *context, const struct revision_row *revision,
                                    const struct revision_file_row *file),
                         void *context, struct err *err)
{
    struct query query;
    struct revision_row revision;
    struct revision_file_row file;
    int code =
        query_open(&query, store,
                   "SELECT " ROWS_REVISION ", f.path, f.size_bytes, f.digest, f.digest_kind FROM "
                   "(SELECT * FROM revisions r WHERE r.model_id = ? AND r.is_current = 1 AND " ROWS_AFTER
                   " ORDER BY " ROWS_ORDER " LIMIT ?) r JOIN files f ON f.revision_id = r.id "
                   "ORDER BY " ROWS_ORDER ", f.path",
                   err);
    if (code)
        return code;
    query_bind_int(&query, model_id);
    rows_bind_key(&query, after);
    query_bind_int(&query, revision_limit);
    while ((code = query_next(&query, err)) > 0) {
        rows_read_revision(&query, &revision);
        file.revision_id = revision.id;
        read_file(&query, &file);
        if (row(context, &revision, &file))
            break;
    }
    return query_close(&query, code);
}
