/*
 * The rest of a result: large values and perplexities.
 */
#include "daemon/base/clock.h"
#include "store/query.h"
#include "store/record.h"
#include "store/scored_files.h"

static void bind_blob(struct query *query, const struct blob *blob)
{
    query_bind_int(query, BLOB_ENCODING);
    query_bind_int(query, blob->size_raw);
    query_bind_blob(query, blob->data.data, blob->data.size);
}

static int insert_distribution(struct connection *connection, int64_t content_id,
                               const struct distribution_row *row, const struct blob *blob, struct err *err)
{
    struct query query;
    int code = query_begin(
        &query, connection,
        "INSERT INTO distributions (content_id, row_set, token_rows, is_centred, definition, code, "
        "encoding, size_raw, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        err);
    if (code)
        return code;
    query_bind_int(&query, content_id);
    query_bind_text(&query, row_set_name(row->row_set));
    query_bind_int(&query, row->token_rows);
    query_bind_int(&query, row->is_centred != 0);
    query_bind_int(&query, row->definition);
    query_bind_text(&query, row->code);
    bind_blob(&query, blob);
    return query_run(&query, err);
}

static int insert_columns(struct connection *connection, int64_t content_id, const struct columns_row *row,
                          const struct blob *blob, struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, connection,
                    "INSERT INTO columns_statistics (content_id, token_rows, definition, columns, encoding, "
                    "size_raw, data) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    err);
    if (code)
        return code;
    query_bind_int(&query, content_id);
    query_bind_int(&query, row->token_rows);
    query_bind_int(&query, row->definition);
    query_bind_int(&query, row->columns);
    bind_blob(&query, blob);
    return query_run(&query, err);
}

static int insert_sample(struct connection *connection, int64_t content_id, int64_t token_rows,
                         const struct sample_row *row, const struct blob *blob, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection,
                           "INSERT INTO samples (content_id, token_rows, definition, seed, count, encoding, "
                           "size_raw, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                           err);
    if (code)
        return code;
    query_bind_int(&query, content_id);
    query_bind_int(&query, token_rows);
    query_bind_int(&query, row->definition);
    query_bind_int(&query, row->seed);
    query_bind_int(&query, row->count);
    bind_blob(&query, blob);
    return query_run(&query, err);
}

int record_large(struct connection *connection, int64_t content_id, const struct task_tensor *tensor,
                 const struct record_blobs *blobs, struct err *err)
{
    int code = 0;
    const struct blob *blob = blobs->blobs;
    for (size_t i = 0; !code && i < tensor->distribution_count; i++)
        code = insert_distribution(connection, content_id, &tensor->distributions[i], blob++, err);
    for (size_t i = 0; !code && i < tensor->columns_count; i++)
        code = insert_columns(connection, content_id, &tensor->columns[i], blob++, err);
    for (size_t i = 0; !code && i < tensor->sample_count; i++)
        code = insert_sample(connection, content_id, tensor->token_rows, &tensor->samples[i], blob++, err);
    return code;
}

/* -- Perplexities --------------------------------------------------------------------------------------- */

static void bind_identity(struct query *query, const struct perplexity_row *row)
{
    query_bind_text(query, row->weights_digest);
    query_bind_text(query, row->dataset_digest);
    query_bind_text(query, row->tokenizer_digest);
    query_bind_text(query, perplexity_mode_name(row->mode));
    query_bind_text(query, row->parameters);
    query_bind_text(query, row->precision);
    query_bind_text(query, row->backend);
    query_bind_int(query, row->definition);
}

static int ensure_perplexity(struct connection *connection, const struct perplexity_row *row, struct err *err)
{
    struct query query;
    int code = query_begin(
        &query, connection,
        "INSERT INTO perplexities (weights_digest, dataset_digest, tokenizer_digest, mode, parameters, "
        "precision, backend, definition, documents, tokens, nll_sum, perplexity, perplexity_stderr, "
        "accuracy, accuracy_stderr, seconds, measured_ms) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        err);
    if (code)
        return code;
    bind_identity(&query, row);
    query_bind_int(&query, row->documents);
    query_bind_int(&query, row->tokens);
    query_bind_real(&query, row->nll_sum);
    query_bind_real(&query, row->perplexity);
    query_bind_real(&query, row->perplexity_stderr);
    query_bind_real(&query, row->accuracy);
    query_bind_real(&query, row->accuracy_stderr);
    query_bind_real(&query, row->seconds);
    query_bind_int(&query, clock_wall_ms());
    return query_run(&query, err);
}

static int link_perplexity(struct connection *connection, int64_t revision_id,
                           const struct perplexity_row *row, struct err *err)
{
    struct query query;
    int64_t id = 0;
    int code = query_begin(
        &query, connection,
        "SELECT id FROM perplexities WHERE weights_digest = ? AND dataset_digest = ? "
        "AND tokenizer_digest = ? AND mode = ? AND parameters = ? AND precision = ? AND backend = ? "
        "AND definition = ?",
        err);
    if (code)
        return code;
    bind_identity(&query, row);
    if ((code = query_run_int(&query, &id, err)) < 0)
        return code;
    /* Not an upsert: with the row that is replaced go the scored_files of what it linked. */
    code = query_begin(
        &query, connection,
        "INSERT OR REPLACE INTO revision_perplexities (revision_id, mode, perplexity_id) VALUES (?, ?, ?)",
        err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    query_bind_text(&query, perplexity_mode_name(row->mode));
    query_bind_int(&query, id);
    return query_run(&query, err);
}

int record_perplexities(struct connection *connection, const struct task_row *task,
                        const struct task_result *result, struct err *err)
{
    int code = 0;
    for (size_t i = 0; !code && i < result->perplexity_count; i++) {
        if (!(code = ensure_perplexity(connection, &result->perplexities[i], err)))
            code = link_perplexity(connection, task->revision_id, &result->perplexities[i], err);
        if (!code)
            code = scored_files_note(connection, task->revision_id,
                                     perplexity_mode_name(result->perplexities[i].mode), result->scored_files,
                                     result->scored_file_count, err);
    }
    return code;
}
