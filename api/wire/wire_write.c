/*
 * Writing what wire.h describes.
 */
#include "api/form/json.h"
#include "api/wire/wire_reader.h"
#include "store/blob.h"

#include <math.h>
#include <string.h>

static void append_real(struct api_json *json, const char *key, double value)
{
    if (isinf(value))
        api_json_text(json, key, value > 0 ? "inf" : "-inf");
    else
        api_json_real(json, key, value); /* null for NaN */
}

/* -- Offer -- */

int wire_offer_append(const struct wire_offer *offer, struct buf *buf, struct err *err)
{
    struct api_json json;
    api_json_init(&json, buf);
    api_json_open_object(&json, NULL);
    api_json_integer(&json, "protocol", offer->protocol);
    api_json_integer(&json, "definition", offer->definition);
    api_json_integer(&json, "scoring", offer->scoring);
    api_json_text(&json, "version", offer->version);
    api_json_text(&json, "worker", offer->worker);
    api_json_text(&json, "key", offer->key);
    api_json_text(&json, "device", offer->device);
    api_json_text(&json, "backend", offer->backend);
    if (offer->sweep_id)
        api_json_integer(&json, "sweep", offer->sweep_id);
    api_json_integer(&json, "wait_s", offer->wait_s);
    if (offer->is_again)
        api_json_boolean(&json, "again", 1);
    if (offer->is_leaving)
        api_json_boolean(&json, "leaving", 1);
    if (offer->has_new_token)
        api_json_boolean(&json, "new_token", 1);
    if (offer->hub_problem[0])
        api_json_text(&json, "hub_problem", offer->hub_problem);
    if (offer->except_count) {
        api_json_open_array(&json, "except");
        for (size_t i = 0; i < offer->except_count; i++)
            api_json_integer(&json, NULL, offer->except[i]);
        api_json_close_array(&json);
    }
    api_json_close_object(&json);
    return buf_check(buf, "offer", err);
}

/* -- Tensors -- */

static void append_content(const struct content_row *content, const char *key, struct api_json *json)
{
    api_json_open_object(json, key);
    api_json_text(json, "digest", content->digest);
    api_json_text(json, "dtype", content->dtype);
    api_json_integer(json, "rows", content->rows);
    api_json_integer(json, "columns", content->columns);
    api_json_integer(json, "size_bytes", content->size_bytes);
    api_json_close_object(json);
}

static void append_statistics(const struct task_tensor *tensor, struct api_json *json)
{
    api_json_open_array(json, "statistics");
    for (size_t i = 0; i < tensor->statistics_count; i++) {
        const struct statistics_row *row = &tensor->statistics[i];
        api_json_open_object(json, NULL);
        api_json_text(json, "row_set", row_set_name(row->row_set));
        api_json_integer(json, "token_rows", row->token_rows);
        api_json_boolean(json, "is_centred", row->is_centred);
        api_json_integer(json, "definition", row->definition);
        api_json_text(json, "backend", row->backend);
#define X(name) api_json_integer(json, #name, row->name);
        STATISTICS_COUNTS(X)
#undef X
#define X(name) append_real(json, #name, row->name);
        STATISTICS_REALS(X)
#undef X
        api_json_close_object(json);
    }
    api_json_close_array(json);
}

static void append_displacement_row(const struct displacement_row *row, struct api_json *json)
{
    api_json_open_object(json, NULL);
    api_json_text(json, "row_set", row_set_name(row->row_set));
    api_json_integer(json, "token_rows", row->token_rows);
    api_json_integer(json, "definition", row->definition);
    api_json_text(json, "backend", row->backend);
    api_json_integer(json, "elements", row->elements);
#define X(name) append_real(json, #name, row->name);
    DISPLACEMENT_REALS(X)
#undef X
    api_json_close_object(json);
}

static int append_displacements(const struct task_tensor *tensor, struct api_json *json, struct err *err)
{
    api_json_open_array(json, "displacements");
    for (size_t i = 0; i < tensor->displacement_count; i++) {
        const struct task_displacement *displacement = &tensor->displacements[i];
        if (!displacement->reference)
            return err_set(err, ERR_INTERNAL, "a displacement does not name the content of its reference");
        api_json_open_object(json, NULL);
        api_json_text(json, "link", displacement->link == TASK_LINK_FIRST ? "first" : "previous");
        append_content(displacement->reference, "reference", json);
        api_json_integer(json, "token_rows", displacement->token_rows);
        api_json_integer(json, "definition", displacement->definition);
        api_json_text(json, "backend", displacement->backend);
        api_json_open_array(json, "rows");
        for (size_t j = 0; j < displacement->count; j++)
            append_displacement_row(&displacement->rows[j], json);
        api_json_close_array(json);
        api_json_close_object(json);
    }
    api_json_close_array(json);
    return 0;
}

/* Adds a compressed value to `values` and says in the line how large it is; takes over `blob`. */
static int append_blob(struct blob *blob, int code, struct api_json *json, struct buf *values)
{
    if (!code) {
        api_json_integer(json, "size_raw", blob->size_raw);
        api_json_integer(json, "size", (int64_t)blob->data.size);
        buf_append(values, blob->data.data, blob->data.size);
    }
    blob_free(blob);
    return code;
}

/* What came compressed goes on as it is. */
static int take_packed(const struct packed_values *packed, struct blob *blob)
{
    blob->size_raw = packed->size_raw;
    return buf_append(&blob->data, packed->data, packed->size);
}

static int encode_counts(const struct distribution_row *row, struct blob *blob, struct err *err)
{
    return row->counts ? blob_encode_counts(row->counts, DISTRIBUTION_CODES, blob, err)
                       : take_packed(&row->packed, blob);
}

static int append_distributions(const struct task_tensor *tensor, struct api_json *json, struct buf *values,
                                struct err *err)
{
    int code = 0;
    api_json_open_array(json, "distributions");
    for (size_t i = 0; !code && i < tensor->distribution_count; i++) {
        const struct distribution_row *row = &tensor->distributions[i];
        struct blob blob;
        blob_init(&blob);
        api_json_open_object(json, NULL);
        api_json_text(json, "row_set", row_set_name(row->row_set));
        api_json_integer(json, "token_rows", row->token_rows);
        api_json_boolean(json, "is_centred", row->is_centred);
        api_json_integer(json, "definition", row->definition);
        api_json_text(json, "code", row->code);
        code = append_blob(&blob, encode_counts(row, &blob, err), json, values);
        api_json_close_object(json);
    }
    api_json_close_array(json);
    return code;
}

static int encode_columns(const struct columns_row *row, struct blob *blob, struct err *err)
{
    size_t count = (size_t)row->columns;
    struct wire_memory memory = {0};
    if (!row->mean)
        return take_packed(&row->packed, blob);
    double *both = wire_memory_new(&memory, count, 2 * sizeof *both);
    if (!both)
        return err_set(err, ERR_NO_MEMORY, "columns: out of memory");
    memcpy(both, row->mean, count * sizeof *both);
    memcpy(both + count, row->bimodality, count * sizeof *both);
    int code = blob_encode_reals(both, 2 * count, sizeof *both, blob, err);
    wire_memory_free(&memory);
    return code;
}

static int append_columns(const struct task_tensor *tensor, struct api_json *json, struct buf *values,
                          struct err *err)
{
    int code = 0;
    api_json_open_array(json, "columns");
    for (size_t i = 0; !code && i < tensor->columns_count; i++) {
        const struct columns_row *row = &tensor->columns[i];
        struct blob blob;
        blob_init(&blob);
        api_json_open_object(json, NULL);
        api_json_integer(json, "token_rows", row->token_rows);
        api_json_integer(json, "definition", row->definition);
        api_json_integer(json, "columns", row->columns);
        code = append_blob(&blob, encode_columns(row, &blob, err), json, values);
        api_json_close_object(json);
    }
    api_json_close_array(json);
    return code;
}

static int encode_sample(const struct sample_row *row, struct blob *blob, struct err *err)
{
    return row->values ? blob_encode_reals(row->values, (size_t)row->count, sizeof(float), blob, err)
                       : take_packed(&row->packed, blob);
}

static int append_samples(const struct task_tensor *tensor, struct api_json *json, struct buf *values,
                          struct err *err)
{
    int code = 0;
    api_json_open_array(json, "samples");
    for (size_t i = 0; !code && i < tensor->sample_count; i++) {
        const struct sample_row *row = &tensor->samples[i];
        struct blob blob;
        blob_init(&blob);
        api_json_open_object(json, NULL);
        api_json_integer(json, "definition", row->definition);
        api_json_integer(json, "seed", row->seed);
        api_json_integer(json, "count", row->count);
        code = append_blob(&blob, encode_sample(row, &blob, err), json, values);
        api_json_close_object(json);
    }
    api_json_close_array(json);
    return code;
}

/* Large values go to `values`, or are left out where that is NULL. */
static int append_tensors(const struct task_tensor *tensors, size_t count, const char *key,
                          struct api_json *json, struct buf *values, struct err *err)
{
    int code = 0;
    api_json_open_array(json, key);
    for (size_t i = 0; !code && i < count; i++) {
        const struct task_tensor *tensor = &tensors[i];
        api_json_open_object(json, NULL);
        api_json_text(json, "tensor", tensor->tensor);
        append_content(&tensor->content, "content", json);
        api_json_integer(json, "token_rows", tensor->token_rows);
        api_json_integer(json, "definition", tensor->definition);
        api_json_text(json, "backend", tensor->backend);
        api_json_text(json, "file", tensor->file_path);
        api_json_text(json, "file_digest", tensor->file_digest);
        api_json_integer(json, "bytes_fetched", tensor->fetched_bytes);
        append_statistics(tensor, json);
        code = append_displacements(tensor, json, err);
        if (!code && values)
            code = append_distributions(tensor, json, values, err);
        if (!code && values)
            code = append_columns(tensor, json, values, err);
        if (!code && values)
            code = append_samples(tensor, json, values, err);
        api_json_close_object(json);
    }
    api_json_close_array(json);
    return code;
}

/* The members of a model's description, without braces around them. */
static void append_model(const struct model_row *model, struct api_json *json)
{
    api_json_text(json, "model_type", model->model_type);
    api_json_integer(json, "vocabulary_size", model->vocabulary_size);
    api_json_integer(json, "token_rows", model->token_rows);
    api_json_integer(json, "hidden_size", model->hidden_size);
    api_json_integer(json, "layers", model->layers);
    api_json_integer(json, "parameter_count", model->parameter_count);
    api_json_text(json, "tensor", model->tensor);
}

/* -- Result -- */

static void append_perplexity(const struct perplexity_row *row, struct api_json *json)
{
    api_json_open_object(json, NULL);
    api_json_text(json, "dataset_digest", row->dataset_digest);
    api_json_text(json, "tokenizer_digest", row->tokenizer_digest);
    api_json_text(json, "mode", perplexity_mode_name(row->mode));
    api_json_text(json, "parameters", row->parameters);
    api_json_text(json, "precision", row->precision);
    api_json_text(json, "backend", row->backend);
    api_json_integer(json, "definition", row->definition);
    api_json_integer(json, "documents", row->documents);
    api_json_integer(json, "tokens", row->tokens);
    append_real(json, "nll_sum", row->nll_sum);
    append_real(json, "perplexity", row->perplexity);
    append_real(json, "perplexity_stderr", row->perplexity_stderr);
    append_real(json, "accuracy", row->accuracy);
    append_real(json, "accuracy_stderr", row->accuracy_stderr);
    append_real(json, "seconds", row->seconds);
    api_json_close_object(json);
}

static void append_files(const struct revision_file_row *files, size_t count, const char *name,
                         struct api_json *json)
{
    api_json_open_array(json, name);
    for (size_t i = 0; i < count; i++) {
        const struct revision_file_row *file = &files[i];
        api_json_open_object(json, NULL);
        api_json_text(json, "path", file->path);
        api_json_integer(json, "size_bytes", file->size_bytes);
        api_json_text(json, "digest", file->digest);
        api_json_boolean(json, "is_git", file->digest_kind == REVISION_DIGEST_KIND_GIT);
        api_json_close_object(json);
    }
    api_json_close_array(json);
}

/* A message that was cut inside of a character would become longer as JSON than the reader takes, and the
 * whole result be refused for it; as the text of an error it is whole characters. */
static void append_caution(const char *caution, struct api_json *json)
{
    struct err said = ERR_INIT;
    (void)err_set(&said, ERR_INTERNAL, "%s", caution);
    api_json_text(json, "caution", said.message);
}

int wire_result_append(const struct wire_result *result, struct buf *buf, struct err *err)
{
    const struct task_result *task = &result->result;
    struct api_json json;
    struct buf head, values;
    buf_init(&head, LIMIT_CLAIM_HEAD_BYTES);
    buf_init(&values, LIMIT_CLAIM_RESULT_BYTES);
    api_json_init(&json, &head);
    api_json_open_object(&json, NULL);
    api_json_integer(&json, "protocol", WIRE_PROTOCOL);
    api_json_integer(&json, "bytes_fetched", task->bytes_fetched);
    if (task->weights_digest[0])
        api_json_text(&json, "weights_digest", task->weights_digest);
    if (task->is_part)
        api_json_boolean(&json, "is_part", 1);
    if (task->caution && task->caution[0])
        append_caution(task->caution, &json);
    if (result->has_model) {
        api_json_open_object(&json, "model");
        append_model(&result->model, &json);
        api_json_close_object(&json);
    }
    int code = append_tensors(task->tensors, task->tensor_count, "tensors", &json, &values, err);
    api_json_open_array(&json, "perplexities");
    for (size_t i = 0; i < task->perplexity_count; i++)
        append_perplexity(&task->perplexities[i], &json);
    api_json_close_array(&json);
    if (task->scored_file_count)
        append_files(task->scored_files, task->scored_file_count, "scored_files", &json);
    api_json_close_object(&json);
    if (!code)
        code = buf_check(&head, "result", err);
    if (!code)
        code = buf_check(&values, "result", err);
    if (!code) {
        buf_append(buf, head.data, head.size);
        buf_append_char(buf, '\n');
        if (values.size)
            buf_append(buf, values.data, values.size);
        code = buf_check(buf, "result", err);
    }
    buf_free(&head);
    buf_free(&values);
    return code;
}

/* -- Task -- */

static int append_revision(const struct wire_revision *revision, struct api_json *json, struct err *err)
{
    const struct revision_row *row = &revision->row;
    api_json_open_object(json, NULL);
    api_json_text(json, "name", row->name);
    api_json_text(json, "commit", row->commit);
    api_json_integer(json, "step", row->step);
    api_json_integer(json, "stage", row->stage);
    api_json_integer(json, "ingredient", row->ingredient);
    api_json_integer(json, "tokens", row->tokens);
    append_files(revision->files, revision->file_count, "files", json);
    int code = append_tensors(revision->tensors, revision->tensor_count, "known", json, NULL, err);
    api_json_close_object(json);
    return code;
}

int wire_task_append(const struct wire_task *task, struct buf *buf, struct err *err)
{
    struct api_json json;
    int code = 0;
    api_json_init(&json, buf);
    api_json_open_object(&json, NULL);
    api_json_integer(&json, "protocol", WIRE_PROTOCOL);
    api_json_text(&json, "id", task->id);
    api_json_text(&json, "store", task->store);
    api_json_integer(&json, "sweep", task->sweep_id);
    api_json_integer(&json, "task", task->task_id);
    api_json_integer(&json, "attempt", task->attempt);
    api_json_integer(&json, "failures", task->failures);
    api_json_integer(&json, "failures_max", task->failures_max);
    if (task->failure[0])
        api_json_text(&json, "failure", task->failure);
    api_json_integer(&json, "lease_ms", task->lease_ms);
    api_json_open_object(&json, "model");
    api_json_text(&json, "name", task->model.name);
    api_json_text(&json, "kind", model_kind_name(task->model.kind));
    append_model(&task->model, &json);
    api_json_close_object(&json);
    api_json_raw(&json, "request", task->request, strlen(task->request));
    api_json_open_array(&json, "revisions");
    for (size_t i = 0; !code && i < task->revision_count; i++)
        code = append_revision(&task->revisions[i], &json, err);
    api_json_close_array(&json);
    if (task->reference >= 0)
        api_json_integer(&json, "reference", task->reference);
    if (task->previous >= 0)
        api_json_integer(&json, "previous", task->previous);
    api_json_close_object(&json);
    return code ? code : buf_check(buf, "task", err);
}
