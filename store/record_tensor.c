/*
 * A measured tensor: its content, where it was found, and the numbers.
 */
#include "daemon/base/clock.h"
#include "store/record.h"
#include "store/rows.h"
#include "store/touch.h"

#include <string.h>

#define FILL_GAP(name) ", " #name " = coalesce(" #name ", excluded." #name ")"

/* *ret_is_new (may be NULL): whether there was none. */
static int ensure_content(struct connection *connection, const struct content_row *content, int64_t *ret_id,
                          int *ret_is_new, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection,
                           "INSERT INTO contents (id, digest, dtype, rows, columns, size_bytes) "
                           "VALUES (" ROWS_NEW_ID("contents") ", ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                           err);
    if (code)
        return code;
    query_bind_text(&query, content->digest);
    query_bind_text(&query, content->dtype);
    query_bind_int(&query, content->rows);
    query_bind_int(&query, content->columns);
    query_bind_int(&query, content->size_bytes);
    sqlite3_int64 before = sqlite3_total_changes64(connection->db);
    if ((code = query_run(&query, err)))
        return code;
    if (ret_is_new)
        *ret_is_new = sqlite3_total_changes64(connection->db) != before;
    code = query_begin(&query, connection,
                       "SELECT id FROM contents WHERE digest = ? AND dtype = ? AND rows = ? AND columns = ?",
                       err);
    if (code)
        return code;
    query_bind_text(&query, content->digest);
    query_bind_text(&query, content->dtype);
    query_bind_int(&query, content->rows);
    query_bind_int(&query, content->columns);
    code = query_run_int(&query, ret_id, err);
    return code < 0 ? code : 0;
}

int record_content(struct connection *connection, const struct content_row *content, int64_t *ret_id,
                   struct err *err)
{
    return ensure_content(connection, content, ret_id, NULL, err);
}

/* A result omits what the store has. If that was deleted since, with another model of the same content, a
 * further attempt measures it. */
static int refuse_left_out(struct err *err)
{
    return err_set(err, ERR_CANCELLED,
                   "what was known of its weights has just been removed with another model; it is measured "
                   "again");
}

/* The content that the revision's tensor had before: 1, or 0 if it was never measured. */
static int find_before(struct connection *connection, const struct task_row *task, const char *tensor,
                       int64_t *ret_content_id, struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, connection,
                    "SELECT content_id FROM revision_tensors WHERE revision_id = ? AND tensor = ?", err);
    if (code)
        return code;
    query_bind_int(&query, task->revision_id);
    query_bind_text(&query, tensor);
    return query_run_int(&query, ret_content_id, err);
}

static int count_measured(struct connection *connection, const struct task_row *task, const char *tensor,
                          struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, connection,
                    "UPDATE models SET measured_count = measured_count + 1 WHERE id = ?1 AND tensor = ?2 AND "
                    "EXISTS (SELECT 1 FROM revisions WHERE id = ?3 AND is_current = 1 AND is_stepless = 0)",
                    err);
    if (code)
        return code;
    query_bind_int(&query, task->model_id);
    query_bind_text(&query, tensor);
    query_bind_int(&query, task->revision_id);
    return query_run(&query, err);
}

static int place_content(struct connection *connection, const struct task_row *task,
                         const struct task_tensor *tensor, int64_t content_id, struct err *err)
{
    struct query query;
    int64_t before = 0;
    int had = find_before(connection, task, tensor->tensor, &before, err);
    if (had < 0)
        return had;
    /* What a second sweep did not fetch keeps the count of the bytes that the first fetched. */
    int code = query_begin(
        &query, connection,
        "INSERT INTO revision_tensors (revision_id, tensor, content_id, token_rows, definition, backend, "
        "file_path, file_digest, fetched_bytes, measured_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET "
        "fetched_bytes = CASE WHEN content_id = excluded.content_id AND excluded.fetched_bytes = 0 "
        "  THEN fetched_bytes ELSE excluded.fetched_bytes END, "
        "measured_ms = CASE WHEN content_id = excluded.content_id AND definition = excluded.definition "
        "  AND backend = excluded.backend THEN measured_ms ELSE excluded.measured_ms END, "
        "content_id = excluded.content_id, token_rows = excluded.token_rows, "
        "definition = excluded.definition, backend = excluded.backend, "
        "file_path = excluded.file_path, file_digest = excluded.file_digest",
        err);
    if (code)
        return code;
    query_bind_int(&query, task->revision_id);
    query_bind_text(&query, tensor->tensor);
    query_bind_int(&query, content_id);
    query_bind_int(&query, tensor->token_rows);
    query_bind_int(&query, tensor->definition);
    query_bind_text(&query, tensor->backend);
    query_bind_text(&query, tensor->file_path);
    query_bind_text(&query, tensor->file_digest);
    query_bind_int(&query, tensor->fetched_bytes);
    query_bind_int(&query, clock_wall_ms());
    if ((code = query_run(&query, err)))
        return code;
    if (!had)
        code = count_measured(connection, task, tensor->tensor, err);
    if (!code && had && before != content_id)
        code = touch_regroup(connection, task->model_id, tensor->tensor, before, err);
    if (!code && before != content_id)
        code = touch_same_as(connection, task->revision_id, tensor->tensor, content_id, err);
    return code;
}

/* -- Numbers -------------------------------------------------------------------------------------------- */

int record_statistics(struct connection *connection, const char *sql, int64_t content_id,
                      const struct statistics_row *row, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, sql, err);
    if (code)
        return code;
    query_bind_int(&query, content_id);
    query_bind_text(&query, row_set_name(row->row_set));
    query_bind_int(&query, row->token_rows);
    query_bind_int(&query, row->is_centred != 0);
    query_bind_int(&query, row->definition);
    query_bind_text(&query, row->backend);
#define X(name) query_bind_int(&query, row->name);
    STATISTICS_COUNTS(X)
#undef X
#define X(name) query_bind_real(&query, row->name);
    STATISTICS_REALS(X)
#undef X
    return query_run(&query, err);
}

static const char INSERT_DISPLACEMENT[] =
    "INSERT INTO displacements (content_id, reference_id, row_set, token_rows, definition, backend, "
    "elements" DISPLACEMENT_REALS(RECORD_NAME) ") VALUES (?, ?, ?, ?, ?, ?, ?" DISPLACEMENT_REALS(
        RECORD_QUESTION) ") ON CONFLICT DO UPDATE SET elements = elements" DISPLACEMENT_REALS(FILL_GAP);

static int insert_displacement(struct connection *connection, int64_t content_id, int64_t reference_id,
                               const struct displacement_row *row, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, INSERT_DISPLACEMENT, err);
    if (code)
        return code;
    query_bind_int(&query, content_id);
    query_bind_int(&query, reference_id);
    query_bind_text(&query, row_set_name(row->row_set));
    query_bind_int(&query, row->token_rows);
    query_bind_int(&query, row->definition);
    query_bind_text(&query, row->backend);
    query_bind_int(&query, row->elements);
#define X(name) query_bind_real(&query, row->name);
    DISPLACEMENT_REALS(X)
#undef X
    return query_run(&query, err);
}

/* A sweep that thins out is told the last of its own revisions, and what an earlier one has measured against
 * a nearer one stays. */
static const char LINK_DISPLACEMENT[] =
    "INSERT INTO series_links (revision_id, tensor, kind, reference_revision_id, reference_id, token_rows, "
    "definition, backend) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "reference_revision_id = excluded.reference_revision_id, reference_id = excluded.reference_id, "
    "token_rows = excluded.token_rows, definition = excluded.definition, backend = excluded.backend "
    "WHERE kind <> 'previous' OR token_rows <> excluded.token_rows OR definition < excluded.definition "
    "OR NOT EXISTS (SELECT 1 FROM revisions r JOIN revisions f ON f.id = excluded.reference_revision_id "
    "JOIN revisions s ON s.id = series_links.revision_id "
    "WHERE r.id = series_links.reference_revision_id AND r.is_current = 1 "
    "AND (" ROWS_ORDER ") > (f.is_stepless, f.stage, f.ingredient, f.step_key, f.tokens, f.name) "
    "AND (" ROWS_ORDER ") < (s.is_stepless, s.stage, s.ingredient, s.step_key, s.tokens, s.name)) "
    "OR NOT EXISTS (SELECT 1 FROM revision_tensors t JOIN displacements d ON d.content_id = t.content_id "
    "AND d.reference_id = series_links.reference_id AND d.definition = series_links.definition "
    "AND d.backend = series_links.backend "
    "WHERE t.revision_id = series_links.revision_id AND t.tensor = series_links.tensor)";

/* Which of the displacements the series shows. */
static int link_displacement(struct connection *connection, const struct task_row *task, const char *tensor,
                             const struct task_displacement *displacement, int64_t reference_id,
                             struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, LINK_DISPLACEMENT, err);
    if (code)
        return code;
    query_bind_int(&query, task->revision_id);
    query_bind_text(&query, tensor);
    query_bind_text(&query, displacement->link == TASK_LINK_FIRST ? "first" : "previous");
    query_bind_int(&query, displacement->reference_revision_id);
    query_bind_int(&query, reference_id);
    query_bind_int(&query, displacement->token_rows);
    query_bind_int(&query, displacement->definition);
    query_bind_text(&query, displacement->backend);
    return query_run(&query, err);
}

/* The rows against one reference, and that the series shows them. A number of the reference may be older than
 * its removal. */
static int record_displacement(struct connection *connection, const struct task_row *task, const char *tensor,
                               int64_t content_id, const struct task_displacement *displacement,
                               int *ret_is_reference_new, struct err *err)
{
    int64_t reference_id = displacement->reference_id;
    int code = displacement->reference ? ensure_content(connection, displacement->reference, &reference_id,
                                                        ret_is_reference_new, err)
                                       : 0;
    for (size_t i = 0; !code && i < displacement->count; i++)
        code = insert_displacement(connection, content_id, reference_id, &displacement->rows[i], err);
    return code ? code : link_displacement(connection, task, tensor, displacement, reference_id, err);
}

int record_tensor(struct connection *connection, const struct task_row *task,
                  const struct task_tensor *tensor, int is_hearsay, const struct record_blobs *blobs,
                  struct err *err)
{
    static const char insert[] = "INSERT " RECORD_STATISTICS
                                 " ON CONFLICT DO UPDATE SET elements = elements" STATISTICS_REALS(FILL_GAP);
    int64_t content_id = 0;
    int is_new = 0;
    int code = ensure_content(connection, &tensor->content, &content_id, &is_new, err);
    int lacks_known = is_new && !tensor->statistics_count;
    if (!code)
        code = place_content(connection, task, tensor, content_id, err);
    for (size_t i = 0; !code && i < tensor->statistics_count; i++)
        code = record_statistics(connection, insert, content_id, &tensor->statistics[i], err);
    for (size_t i = 0; !code && i < tensor->displacement_count; i++) {
        int is_reference_new = 0;
        code = record_displacement(connection, task, tensor->tensor, content_id, &tensor->displacements[i],
                                   &is_reference_new, err);
        lacks_known |= !tensor->displacements[i].count && (is_new || is_reference_new);
    }
    if (!code && lacks_known && !is_hearsay)
        code = refuse_left_out(err);
    if (!code)
        code = record_large(connection, content_id, tensor, blobs, err);
    int has_numbers = tensor->statistics_count || tensor->distribution_count || tensor->columns_count ||
                      tensor->sample_count;
    /* Where others have the content already, their gaps are filled, too. */
    return code || !has_numbers ? code : touch_models_with(connection, content_id, task->model_id, err);
}
