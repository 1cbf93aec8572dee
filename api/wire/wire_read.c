/*
 * Reading an offer, a result and a task. See wire_tensor.c for what they consist of mostly.
 */
#include "api/form/json_load.h"
#include "api/wire/wire_reader.h"
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PERPLEXITIES_MAX 4

/* Parses one line or text of JSON that must be an object. */
static int load(const char *text, size_t size, json_t **ret_root, struct err *err)
{
    if (size > LIMIT_CLAIM_HEAD_BYTES)
        return err_set(err, ERR_LIMIT, "the JSON is larger than %zu bytes", LIMIT_CLAIM_HEAD_BYTES);
    *ret_root = api_json_load(text, size, err);
    if (!*ret_root && err->code == ERR_INVALID)
        err->code = ERR_FORMAT;
    return *ret_root ? 0 : err->code;
}

/* Whether both sides read and write the same. */
static int64_t read_protocol(struct wire_reader *reader, const json_t *root)
{
    int64_t protocol = wire_int(reader, root, "protocol", 1, INT32_MAX);
    if (!reader->code && protocol != WIRE_PROTOCOL)
        wire_refuse(reader, "protocol", ERR_UNSUPPORTED, "another version of the program wrote this");
    return protocol;
}

/* -- Offer -- */

#define SWEEP_ID_MAX 9007199254740991 /* 2^53 - 1: what every reader of JSON keeps as it is */

/* Words that go into logs and labels as they are. */
static void read_plain(struct wire_reader *reader, const json_t *root, const char *key, char *text,
                       size_t size)
{
    wire_text_needed(reader, root, key, text, size);
    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at > '~')
            wire_refuse(reader, key, ERR_INVALID, "holds characters beyond ASCII");
    }
}

static void read_offer(struct wire_reader *reader, const json_t *root, struct wire_offer *offer)
{
    wire_check_members(
        reader, root,
        " protocol definition scoring version worker key device backend sweep wait_s again leaving except "
        "hub_problem new_token ");
    offer->definition = wire_int(reader, root, "definition", 1, INT32_MAX);
    offer->scoring = wire_int(reader, root, "scoring", 1, INT32_MAX);
    wire_text_needed(reader, root, "worker", offer->worker, sizeof offer->worker);
    wire_text_needed(reader, root, "key", offer->key, sizeof offer->key);
    if (!digest_is_hex(offer->key, WIRE_KEY_SIZE - 1))
        wire_refuse(reader, "key", ERR_INVALID, "not 32 lower-case hexadecimal digits");
    read_plain(reader, root, "device", offer->device, sizeof offer->device);
    read_plain(reader, root, "backend", offer->backend, sizeof offer->backend);
    if (json_object_get(root, "sweep"))
        offer->sweep_id = wire_int(reader, root, "sweep", 1, SWEEP_ID_MAX);
    offer->wait_s = wire_int(reader, root, "wait_s", 0, LIMIT_CLAIM_WAIT_S);
    if (json_object_get(root, "again"))
        offer->is_again = wire_bool(reader, root, "again");
    if (json_object_get(root, "leaving"))
        offer->is_leaving = wire_bool(reader, root, "leaving");
    if (json_object_get(root, "new_token"))
        offer->has_new_token = wire_bool(reader, root, "new_token");
    if (json_object_get(root, "hub_problem"))
        wire_text_needed(reader, root, "hub_problem", offer->hub_problem, sizeof offer->hub_problem);
    const json_t *except = wire_list(reader, root, "except", WIRE_EXCEPT_MAX);
    offer->except_count = json_array_size(except);
    for (size_t i = 0; i < offer->except_count; i++) {
        const json_t *one = json_array_get(except, i);
        offer->except[i] = json_integer_value(one);
        if (!json_is_integer(one) || offer->except[i] < 1 || offer->except[i] > SWEEP_ID_MAX)
            wire_refuse(reader, "except", ERR_INVALID, "holds something that is not the number of a sweep");
    }
}

int wire_offer_parse(const char *text, size_t size, struct wire_offer *offer, struct err *err)
{
    json_t *root = NULL;
    *offer = (struct wire_offer){0};
    int code = load(text, size, &root, err);
    if (code)
        return code;
    struct wire_reader reader = {.err = err};
    offer->protocol = wire_int(&reader, root, "protocol", 1, INT32_MAX);
    read_plain(&reader, root, "version", offer->version, sizeof offer->version);
    if (!reader.code && offer->protocol == WIRE_PROTOCOL)
        read_offer(&reader, root, offer);
    json_decref(root);
    return reader.code;
}

/* -- Files -- */

/* *ret_files becomes the files of a list. */
static size_t read_files(struct wire_reader *reader, const json_t *object, const char *name,
                         struct revision_file_row **ret_files)
{
    const json_t *list = wire_list(reader, object, name, LIMIT_CLAIM_FILES);
    size_t count = json_array_size(list);
    struct revision_file_row *files = wire_new(reader, count, sizeof *files);
    for (size_t i = 0; i < count && !reader->code; i++) {
        const json_t *one = json_array_get(list, i);
        size_t before = wire_enter(reader, name, i);
        wire_check_members(reader, one, " path size_bytes digest is_git ");
        wire_text_needed(reader, one, "path", files[i].path, sizeof files[i].path);
        files[i].size_bytes = wire_int(reader, one, "size_bytes", 0, INT64_MAX);
        wire_digest(reader, one, "digest", files[i].digest, 1);
        files[i].digest_kind =
            wire_bool(reader, one, "is_git") ? REVISION_DIGEST_KIND_GIT : REVISION_DIGEST_KIND_SHA256;
        if (!reader->code && !file_is_safe_relative(files[i].path))
            wire_refuse(reader, "path", ERR_INVALID, "leaves its folder");
        wire_leave(reader, before);
    }
    *ret_files = files;
    return count;
}

/* -- Result -- */

static void read_model(struct wire_reader *reader, const json_t *object, struct model_row *model)
{
    wire_text(reader, object, "model_type", model->model_type, sizeof model->model_type);
    model->vocabulary_size = wire_int(reader, object, "vocabulary_size", 0, INT64_MAX);
    model->token_rows = wire_int(reader, object, "token_rows", 0, model->vocabulary_size);
    model->hidden_size = wire_int(reader, object, "hidden_size", 0, INT64_MAX);
    model->layers = wire_int(reader, object, "layers", 0, INT64_MAX);
    model->parameter_count = wire_int(reader, object, "parameter_count", 0, INT64_MAX);
    wire_text(reader, object, "tensor", model->tensor, sizeof model->tensor);
}

static void read_perplexity(struct wire_reader *reader, const json_t *object, const char *weights_digest,
                            struct perplexity_row *row)
{
    static const enum perplexity_mode modes[] = {PERPLEXITY_MODE_LAST_WORD, PERPLEXITY_MODE_TOKENS,
                                                 PERPLEXITY_MODE_TEXT_MEAN};
    const char *mode = json_string_value(json_object_get(object, "mode"));
    wire_check_members(reader, object,
                       " dataset_digest tokenizer_digest mode parameters precision backend definition "
                       "documents tokens nll_sum perplexity perplexity_stderr accuracy accuracy_stderr "
                       "seconds ");
    (void)snprintf(row->weights_digest, sizeof row->weights_digest, "%s", weights_digest);
    wire_digest(reader, object, "dataset_digest", row->dataset_digest, 0);
    wire_digest(reader, object, "tokenizer_digest", row->tokenizer_digest, 0);
    row->mode = PERPLEXITY_MODE_COUNT;
    for (size_t i = 0; mode && i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(perplexity_mode_name(modes[i]), mode) == 0)
            row->mode = modes[i];
    }
    if (row->mode == PERPLEXITY_MODE_COUNT)
        wire_refuse(reader, "mode", ERR_INVALID, "no such mode");
    wire_text_needed(reader, object, "parameters", row->parameters, sizeof row->parameters);
    wire_text_needed(reader, object, "precision", row->precision, sizeof row->precision);
    wire_text_needed(reader, object, "backend", row->backend, sizeof row->backend);
    row->definition = wire_int(reader, object, "definition", 1, INT32_MAX);
    row->documents = wire_int(reader, object, "documents", 0, INT64_MAX);
    row->tokens = wire_int(reader, object, "tokens", 0, INT64_MAX);
    row->nll_sum = wire_real(reader, object, "nll_sum");
    row->perplexity = wire_real(reader, object, "perplexity");
    row->perplexity_stderr = wire_real(reader, object, "perplexity_stderr");
    row->accuracy = wire_real(reader, object, "accuracy");
    row->accuracy_stderr = wire_real(reader, object, "accuracy_stderr");
    row->seconds = wire_real(reader, object, "seconds");
    if (!(row->seconds >= 0))
        wire_refuse(reader, "seconds", ERR_INVALID, "not a time");
    if (row->accuracy < 0 || row->accuracy > 1)
        wire_refuse(reader, "accuracy", ERR_INVALID, "not a share");
    if (row->perplexity < 1)
        wire_refuse(reader, "perplexity", ERR_INVALID, "less than 1");
}

static void read_perplexities(struct wire_reader *reader, const json_t *root, struct task_result *result)
{
    const json_t *list = wire_list(reader, root, "perplexities", PERPLEXITIES_MAX);
    size_t count = json_array_size(list);
    struct perplexity_row *rows = wire_new(reader, count, sizeof *rows);
    if (json_object_get(root, "weights_digest"))
        wire_digest(reader, root, "weights_digest", result->weights_digest, 0);
    else if (count)
        wire_refuse(reader, "weights_digest", ERR_INVALID, "is missing");
    for (size_t i = 0; i < count && !reader->code; i++) {
        size_t before = wire_enter(reader, "perplexities", i);
        read_perplexity(reader, json_array_get(list, i), result->weights_digest, &rows[i]);
        wire_leave(reader, before);
    }
    result->perplexities = rows;
    result->perplexity_count = count;
}

static void read_result(struct wire_reader *reader, const json_t *root, struct wire_result *result)
{
    struct task_result *task = &result->result;
    const json_t *model = json_object_get(root, "model");
    wire_check_members(reader, root,
                       " protocol bytes_fetched weights_digest is_part caution model tensors perplexities "
                       "scored_files ");
    task->is_part = json_object_get(root, "is_part") && wire_bool(reader, root, "is_part");
    task->bytes_fetched = wire_int(reader, root, "bytes_fetched", 0, INT64_MAX);
    wire_text(reader, root, "caution", result->caution, sizeof result->caution);
    task->caution = result->caution;
    if (model) {
        size_t before = wire_enter(reader, "model", WIRE_NO_INDEX);
        wire_check_members(
            reader, model,
            " model_type vocabulary_size token_rows hidden_size layers parameter_count tensor ");
        read_model(reader, model, &result->model);
        if (!result->model.tensor[0])
            wire_refuse(reader, "tensor", ERR_INVALID, "is missing or empty");
        wire_leave(reader, before);
        result->has_model = 1;
    }
    task->tensors = wire_read_tensors(reader, root, "tensors", 0, &task->tensor_count);
    read_perplexities(reader, root, task);
    if (json_object_get(root, "scored_files")) {
        struct revision_file_row *files = NULL;
        task->scored_file_count = read_files(reader, root, "scored_files", &files);
        task->scored_files = files;
    }
    if (!reader->code && reader->rest_size)
        wire_refuse(reader, "", ERR_FORMAT, "more bytes follow than the line lists");
}

int wire_result_parse(const char *data, size_t size, struct wire_result *result, struct err *err)
{
    json_t *root = NULL;
    *result = (struct wire_result){0};
    const char *feed = size ? memchr(data, '\n', size) : NULL;
    if (!feed)
        return err_set(err, ERR_FORMAT,
                       "a result is a line of JSON, a line feed and its large values; "
                       "there is no line feed");
    size_t head = (size_t)(feed - data);
    int code = load(data, head, &root, err);
    if (code)
        return code;
    struct wire_reader reader = {
        .err = err, .memory = &result->memory, .rest = feed + 1, .rest_size = size - head - 1};
    (void)read_protocol(&reader, root);
    if (!reader.code)
        read_result(&reader, root, result);
    json_decref(root);
    return reader.code;
}

void wire_result_free(struct wire_result *result)
{
    wire_memory_free(&result->memory);
    *result = (struct wire_result){0};
}

/* -- Task -- */

static void read_revision(struct wire_reader *reader, const json_t *object, struct wire_revision *revision)
{
    struct revision_row *row = &revision->row;
    wire_check_members(reader, object, " name commit step stage ingredient tokens files known ");
    wire_text_needed(reader, object, "name", row->name, sizeof row->name);
    wire_digest(reader, object, "commit", row->commit, 1); /* it becomes part of paths */
    row->step = wire_int(reader, object, "step", REVISIONS_STEP_NONE, INT64_MAX);
    row->stage = wire_int(reader, object, "stage", 0, INT64_MAX);
    row->ingredient = wire_int(reader, object, "ingredient", 0, INT64_MAX);
    row->tokens = wire_int(reader, object, "tokens", 0, INT64_MAX);
    revision->file_count = read_files(reader, object, "files", &revision->files);
    revision->tensors = wire_read_tensors(reader, object, "known", 1, &revision->tensor_count);
}

static int read_index(struct wire_reader *reader, const json_t *root, const char *key, size_t count)
{
    if (!json_object_get(root, key))
        return -1;
    return (int)wire_int(reader, root, key, 0, (int64_t)count - 1);
}

static void read_task_model(struct wire_reader *reader, const json_t *root, struct model_row *model)
{
    const json_t *object = json_object_get(root, "model");
    const char *kind = json_string_value(json_object_get(object, "kind"));
    size_t before = wire_enter(reader, "model", WIRE_NO_INDEX);
    wire_check_members(
        reader, object,
        " name kind model_type vocabulary_size token_rows hidden_size layers parameter_count tensor ");
    wire_text_needed(reader, object, "name", model->name, sizeof model->name);
    if (!kind || (strcmp(kind, "hub") != 0 && strcmp(kind, "folder") != 0))
        wire_refuse(reader, "kind", ERR_INVALID, "neither hub nor folder");
    model->kind = kind && strcmp(kind, "folder") == 0 ? MODEL_KIND_FOLDER : MODEL_KIND_HUB;
    read_model(reader, object, model);
    wire_leave(reader, before);
}

static void read_task(struct wire_reader *reader, const json_t *root, struct wire_task *task)
{
    wire_check_members(reader, root,
                       " protocol id store sweep task attempt failures failures_max failure lease_ms model "
                       "request revisions reference previous ");
    wire_text_needed(reader, root, "id", task->id, sizeof task->id);
    wire_text_needed(reader, root, "store", task->store, sizeof task->store);
    task->sweep_id = wire_int(reader, root, "sweep", 1, INT64_MAX);
    task->task_id = wire_int(reader, root, "task", 1, INT64_MAX);
    task->attempt = wire_int(reader, root, "attempt", 1, INT64_MAX);
    task->failures = wire_int(reader, root, "failures", 0, INT32_MAX);
    task->failures_max = wire_int(reader, root, "failures_max", 1, INT32_MAX);
    wire_text(reader, root, "failure", task->failure, sizeof task->failure);
    task->lease_ms = wire_int(reader, root, "lease_ms", 1, INT64_C(86400000));
    read_task_model(reader, root, &task->model);
    const json_t *request = json_object_get(root, "request");
    if (!json_is_object(request))
        wire_refuse(reader, "request", ERR_INVALID, "not an object");
    const json_t *list = wire_list(reader, root, "revisions", WIRE_REVISIONS_MAX);
    task->revision_count = json_array_size(list);
    if (!task->revision_count)
        wire_refuse(reader, "revisions", ERR_INVALID, "is missing or empty");
    task->reference = read_index(reader, root, "reference", task->revision_count);
    task->previous = read_index(reader, root, "previous", task->revision_count);
    for (size_t i = 0; i < task->revision_count && !reader->code; i++) {
        size_t before = wire_enter(reader, "revisions", i);
        read_revision(reader, json_array_get(list, i), &task->revisions[i]);
        wire_leave(reader, before);
    }
    if (!reader->code)
        task->request = json_text_dump(request, JSON_COMPACT | JSON_SORT_KEYS);
    if (!task->request)
        wire_refuse(reader, "request", ERR_NO_MEMORY, "out of memory");
}

int wire_task_parse(const char *text, size_t size, struct wire_task *task, struct err *err)
{
    json_t *root = NULL;
    *task = (struct wire_task){.reference = -1, .previous = -1};
    int code = load(text, size, &root, err);
    if (code)
        return code;
    struct wire_reader reader = {.err = err, .memory = &task->memory};
    task->protocol = read_protocol(&reader, root);
    if (!reader.code)
        read_task(&reader, root, task);
    json_decref(root);
    return reader.code;
}

void wire_task_free(struct wire_task *task)
{
    free(task->request);
    wire_memory_free(&task->memory);
    *task = (struct wire_task){.reference = -1, .previous = -1};
}
