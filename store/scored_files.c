#include "store/scored_files.h"

#include "store/query.h"
#include "store/touch.h"

static int are_listed(struct connection *connection, int64_t revision_id, int *ret_are_listed,
                      struct err *err)
{
    struct query query;
    int64_t are = 0;
    int code =
        query_begin(&query, connection, "SELECT EXISTS (SELECT 1 FROM files WHERE revision_id = ?)", err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    code = query_run_int(&query, &are, err);
    *ret_are_listed = are != 0;
    return code < 0 ? code : 0;
}

static int check(struct connection *connection, int64_t revision_id, const struct revision_file_row *file,
                 struct err *err)
{
    struct query query;
    int64_t is_there = 0;
    int code = query_begin(
        &query, connection,
        "SELECT EXISTS (SELECT 1 FROM files WHERE revision_id = ? AND path = ? AND digest = ?)", err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    query_bind_text(&query, file->path);
    query_bind_text(&query, file->digest);
    if ((code = query_run_int(&query, &is_there, err)) < 0 || is_there)
        return code < 0 ? code : 0;
    return err_set(err, ERR_MISMATCH,
                   "perplexity: the revision has no %.200s of this digest; the worker read other bytes than "
                   "the daemon knows: its cache or its hub serves damaged or other data",
                   file->path);
}

static int keep(struct connection *connection, int64_t revision_id, const char *mode,
                const struct revision_file_row *file, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection,
                           "INSERT INTO scored_files (revision_id, mode, path, digest) VALUES (?, ?, ?, ?) "
                           "ON CONFLICT DO NOTHING",
                           err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    query_bind_text(&query, mode);
    query_bind_text(&query, file->path);
    query_bind_text(&query, file->digest);
    return query_run(&query, err);
}

int scored_files_note(struct connection *connection, int64_t revision_id, const char *mode,
                      const struct revision_file_row *files, size_t count, struct err *err)
{
    int is_known = 0;
    int code = are_listed(connection, revision_id, &is_known, err);
    for (size_t i = 0; !code && i < count; i++)
        code = is_known ? check(connection, revision_id, &files[i], err)
                        : keep(connection, revision_id, mode, &files[i], err);
    return code;
}

/* Unlinks one perplexity that other files gave: 1, or 0 if there is none. */
static int forget_one(struct connection *connection, int64_t revision_id, struct err *err)
{
    struct query query;
    int64_t model_id = 0;
    int code = query_begin(
        &query, connection,
        "DELETE FROM revision_perplexities WHERE revision_id = ?1 AND mode = (SELECT min(s.mode) FROM "
        "scored_files s WHERE s.revision_id = ?1 AND NOT EXISTS (SELECT 1 FROM files f WHERE "
        "f.revision_id = ?1 AND f.path = s.path AND f.digest = s.digest)) "
        "RETURNING (SELECT model_id FROM revisions WHERE id = ?1)",
        err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    if ((code = query_run_int(&query, &model_id, err)) <= 0)
        return code;
    code = touch_model(connection, model_id, err);
    return code ? code : 1;
}

int scored_files_confirm(struct connection *connection, int64_t revision_id, int *ret_forgotten,
                         struct err *err)
{
    struct query query;
    int code;
    while ((code = forget_one(connection, revision_id, err)) > 0)
        ++*ret_forgotten;
    if (!code)
        code = query_begin(&query, connection, "DELETE FROM scored_files WHERE revision_id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    return query_run(&query, err);
}
