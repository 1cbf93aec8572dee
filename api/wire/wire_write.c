/*
 * Writing what wire.h describes.
 */
#include "api/form/json.h"
#include "api/wire/wire_writer.h"

#include <string.h>

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
    wire_append_real(json, "nll_sum", row->nll_sum);
    wire_append_real(json, "perplexity", row->perplexity);
    wire_append_real(json, "perplexity_stderr", row->perplexity_stderr);
    wire_append_real(json, "accuracy", row->accuracy);
    wire_append_real(json, "accuracy_stderr", row->accuracy_stderr);
    wire_append_real(json, "seconds", row->seconds);
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
    int code = wire_append_tensors(task->tensors, task->tensor_count, "tensors", &json, &values, err);
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
    int code = wire_append_tensors(revision->tensors, revision->tensor_count, "known", json, NULL, err);
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
