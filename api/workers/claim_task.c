#include "api/workers/claim_task.h"

#include "daemon/base/digest.h"
#include "daemon/base/json_text.h"
#include "daemon/base/weight_layout.h"
#include "store/distributions.h"
#include "store/revisions.h"
#include "store/sweeps.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATISTICS_VARIANTS 16
#define SECRET_DIGITS 24

/* -- Names of claims -- */

/* The id of a claim, which only its worker is told: task, attempt, and digits that nobody can guess. */
static int format_id(struct store *store, const struct task_row *task, char id[WIRE_ID_SIZE], struct err *err)
{
    char text[STORE_INSTANCE_SIZE + STORE_WORKER_SIZE + 64], hex[DIGEST_SHA256_HEX_SIZE];
    int length = snprintf(text, sizeof text, "claim %s %" PRId64 " %" PRId64 " %s", store_instance(store),
                          task->id, task->attempts, task->worker);
    int code = digest_sha256_hex(text, (size_t)length, hex, err);
    if (!code)
        (void)snprintf(id, WIRE_ID_SIZE, "%" PRId64 ".%" PRId64 ".%.*s", task->id, task->attempts,
                       SECRET_DIGITS, hex);
    return code;
}

static int no_claim(const char *id, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "claim %.60s: no such claim", id);
}

int api_claim_find(struct store *store, const char *id, struct task_row *ret_task, struct err *err)
{
    char wanted[WIRE_ID_SIZE];
    char *end = NULL;
    int64_t task_id = strtoll(id, &end, 10), attempt = 0;
    if (id[0] < '1' || id[0] > '9' || *end != '.')
        return no_claim(id, err);
    attempt = strtoll(end + 1, NULL, 10);
    int code = tasks_get(store, task_id, ret_task, err);
    if (!code)
        code = format_id(store, ret_task, wanted, err);
    if (code)
        return code == ERR_NOT_FOUND ? no_claim(id, err) : code;
    size_t size = strlen(wanted);
    if (strlen(id) == size && digest_is_equal((const unsigned char *)wanted, (const unsigned char *)id, size))
        return 0;
    if (attempt > 0 && attempt < ret_task->attempts)
        return err_set(err, ERR_CONFLICT,
                       "task %" PRId64 ": the lease of attempt %" PRId64
                       " was lost: the worker was silent for too long, and the task was given to another",
                       task_id, attempt);
    return no_claim(id, err);
}

/* -- What the sweep asks for -- */

int api_claim_request(struct store *store, int64_t sweep_id, json_t **ret_request, struct err *err)
{
    struct buf text;
    json_error_t fault;
    buf_init(&text, LIMIT_API_BODY_BYTES);
    int code = sweeps_get_request(store, sweep_id, &text, err);
    if (!code) {
        *ret_request = json_text_load(buf_text(&text), text.size, 0, &fault);
        if (!*ret_request && json_text_lacked_memory(&fault))
            code = err_set(err, ERR_NO_MEMORY, "sweep %" PRId64 ": out of memory", sweep_id);
        else if (!*ret_request)
            code = err_set(err, ERR_DATABASE, "sweep %" PRId64 ": its request is not JSON", sweep_id);
    }
    buf_free(&text);
    return code;
}

int api_claim_wants(const json_t *request, const char *standard, const char *tensor)
{
    const json_t *tensors = json_object_get(request, "tensors");
    if (json_array_size(tensors) == 0)
        return strcmp(standard, tensor) == 0;
    for (size_t i = 0; i < json_array_size(tensors); i++) {
        const char *wanted = json_string_value(json_array_get(tensors, i));
        if (wanted && (strcmp(wanted, tensor) == 0 || fnmatch(wanted, tensor, 0) == 0))
            return 1;
    }
    return 0;
}

int api_claim_measures(const json_t *request, const char *metric)
{
    const json_t *metrics = json_object_get(request, "metrics");
    if (json_array_size(metrics) == 0)
        return strcmp(metric, "statistics") == 0;
    for (size_t i = 0; i < json_array_size(metrics); i++) {
        const char *name = json_string_value(json_array_get(metrics, i));
        if (name && strcmp(name, metric) == 0)
            return 1;
    }
    return 0;
}

/* -- What is known -- */

struct gatherer {
    struct store *store;
    struct wire_task *task;
    const json_t *request;
    const char *backend;
    int64_t definition;
    struct wire_revision *revision;     /* at hand */
    const struct weight_layout *layout; /* of it */
    struct task_tensor *tensor;         /* at hand */
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "claim: out of memory");
}

static int add_file(void *context, const struct revision_file_row *file)
{
    struct gatherer *gatherer = context;
    struct wire_revision *revision = gatherer->revision;
    if (revision->file_count == LIMIT_CLAIM_FILES) {
        revision->file_count = 0; /* more than a claim may hold: the worker lists them itself */
        return 1;
    }
    revision->files[revision->file_count++] = *file;
    return 0;
}

static int add_tensor(void *context, const struct revision_tensor_row *row)
{
    struct gatherer *gatherer = context;
    struct wire_revision *revision = gatherer->revision;
    if (revision->tensor_count == LIMIT_CLAIM_TENSORS)
        return 1;
    if (!api_claim_wants(gatherer->request, gatherer->task->model.tensor, row->tensor))
        return 0;
    struct task_tensor *tensor = &revision->tensors[revision->tensor_count++];
    tensor->content = row->content;
    tensor->token_rows = row->token_rows;
    tensor->definition = row->definition;
    memcpy(tensor->tensor, row->tensor, sizeof tensor->tensor);
    memcpy(tensor->backend, row->backend, sizeof tensor->backend);
    memcpy(tensor->file_path, row->file_path, sizeof tensor->file_path);
    memcpy(tensor->file_digest, row->file_digest, sizeof tensor->file_digest);
    return 0;
}

static int has_file(void *context, const char *name)
{
    const struct wire_revision *revision = context;
    for (size_t i = 0; i < revision->file_count; i++) {
        if (strcmp(revision->files[i].path, name) == 0)
            return 1;
    }
    return 0;
}

static const char *name_at(void *context, size_t index)
{
    return ((const struct wire_revision *)context)->files[index].path;
}

/* Whether the sweep asks for a tensor by its whole name. Which tensors a pattern names only the files tell.
 */
static int is_named(const struct gatherer *gatherer, const char *tensor)
{
    const json_t *tensors = json_object_get(gatherer->request, "tensors");
    if (json_array_size(tensors) == 0)
        return strcmp(gatherer->task->model.tensor, tensor) == 0;
    for (size_t i = 0; i < json_array_size(tensors); i++) {
        const char *name = json_string_value(json_array_get(tensors, i));
        if (name && !strpbrk(name, "*?[") && strcmp(name, tensor) == 0)
            return 1;
    }
    return 0;
}

static int add_by_file(void *context, const struct revision_tensor_row *known)
{
    struct gatherer *gatherer = context;
    const struct wire_revision *revision = gatherer->revision;
    if (!weight_layout_has(gatherer->layout, known->file_path) || !is_named(gatherer, known->tensor))
        return 0;
    for (size_t i = 0; i < revision->tensor_count; i++) {
        if (strcmp(revision->tensors[i].tensor, known->tensor) == 0)
            return 0;
    }
    struct revision_tensor_row row = *known;
    row.definition = gatherer->definition;
    row.token_rows = row.content.rows;
    (void)snprintf(row.backend, sizeof row.backend, "%s", gatherer->backend);
    return add_tensor(gatherer, &row);
}

/* A weight file whose digest was seen elsewhere tells the content of tensors that were not measured here. */
static int add_by_files(struct gatherer *gatherer, struct err *err)
{
    struct wire_revision *revision = gatherer->revision;
    gatherer->layout = weight_layout_choose(has_file, revision);
    if (!weight_layout_is_told(gatherer->layout, name_at, revision->file_count, revision))
        return 0;
    return contents_list_by_files(gatherer->store, revision->row.id, add_by_file, gatherer, err);
}

static int add_statistics(void *context, const struct statistics_row *row)
{
    struct gatherer *gatherer = context;
    struct task_tensor *tensor = gatherer->tensor;
    struct statistics_row *rows = (struct statistics_row *)(uintptr_t)tensor->statistics;
    if (row->definition != gatherer->definition || strcmp(row->backend, gatherer->backend) != 0)
        return 0;
    if (tensor->statistics_count == STATISTICS_VARIANTS)
        return 1;
    rows[tensor->statistics_count++] = *row;
    return 0;
}

/* What retention has deleted while no revision had the content is measured again. That of all rows may be
 * back already, with another number of token rows. */
static int drop_without_distribution(struct gatherer *gatherer, struct task_tensor *tensor, struct err *err)
{
    int are_kept = 0;
    int code = distributions_are_kept(gatherer->store, tensor->content.id, tensor->token_rows,
                                      gatherer->definition, &are_kept, err);
    if (!code && !are_kept)
        tensor->statistics_count = 0;
    return code;
}

static int gather_statistics(struct gatherer *gatherer, struct task_tensor *tensor, struct err *err)
{
    gatherer->tensor = tensor;
    tensor->statistics =
        wire_memory_new(&gatherer->task->memory, STATISTICS_VARIANTS, sizeof *tensor->statistics);
    if (!tensor->statistics)
        return no_memory(err);
    int code = statistics_list(gatherer->store, tensor->content.id, add_statistics, gatherer, err);
    /* The number of token rows under which they are stored, where the revision itself does not say. */
    for (size_t i = 0; i < tensor->statistics_count; i++) {
        if (tensor->statistics[i].row_set == ROW_SET_TOKENS && gatherer->task->model.token_rows > 0 &&
            tensor->statistics[i].token_rows == gatherer->task->model.token_rows)
            tensor->token_rows = tensor->statistics[i].token_rows;
    }
    return code ? code : drop_without_distribution(gatherer, tensor, err);
}

/* One revision: its files, and its known tensors; of the task's own, which is the first, with their
 * statistics: those of a reference would be two thirds of an answer that is bounded, and nobody needs them.
 */
static int gather_revision(struct gatherer *gatherer, int64_t id, struct err *err)
{
    struct wire_task *task = gatherer->task;
    struct wire_revision *revision = &task->revisions[task->revision_count++];
    gatherer->revision = revision;
    revision->files = wire_memory_new(&task->memory, LIMIT_CLAIM_FILES, sizeof *revision->files);
    revision->tensors = wire_memory_new(&task->memory, LIMIT_CLAIM_TENSORS, sizeof *revision->tensors);
    if (!revision->files || !revision->tensors)
        return no_memory(err);
    int code = revisions_get(gatherer->store, id, &revision->row, err);
    if (!code)
        code = revisions_get_files(gatherer->store, id, add_file, gatherer, err);
    if (!code)
        code = contents_list_of_revision(gatherer->store, id, add_tensor, gatherer, err);
    if (!code)
        code = add_by_files(gatherer, err);
    const int is_own = revision == task->revisions;
    for (size_t i = 0; !code && is_own && i < revision->tensor_count; i++)
        code = gather_statistics(gatherer, &revision->tensors[i], err);
    return code;
}

/* The displacement of a known tensor against the same of a reference, if it is stored. */
static int gather_displacement(struct gatherer *gatherer, struct task_tensor *tensor,
                               const struct task_tensor *other, enum task_link link, struct err *err)
{
    struct task_displacement *all = (struct task_displacement *)(uintptr_t)tensor->displacements;
    struct displacement_row *rows = wire_memory_new(&gatherer->task->memory, 2, sizeof *rows);
    if (!rows)
        return no_memory(err);
    for (int set = 0; set < 2; set++) {
        struct displacement_row key;
        displacement_row_init(&key);
        key.row_set = set ? ROW_SET_TOKENS : ROW_SET_ALL;
        key.token_rows = set ? tensor->token_rows : 0;
        key.definition = gatherer->definition;
        (void)snprintf(key.backend, sizeof key.backend, "%s", gatherer->backend);
        int code =
            displacements_find(gatherer->store, tensor->content.id, other->content.id, &key, &rows[set], err);
        if (code == ERR_NOT_FOUND)
            return 0;
        if (code)
            return code;
    }
    all[tensor->displacement_count] = (struct task_displacement){.link = link,
                                                                 .reference = &other->content,
                                                                 .token_rows = tensor->token_rows,
                                                                 .definition = gatherer->definition,
                                                                 .rows = rows,
                                                                 .count = 2};
    (void)snprintf(all[tensor->displacement_count++].backend, STORE_BACKEND_SIZE, "%s", gatherer->backend);
    return 0;
}

static int gather_displacements(struct gatherer *gatherer, int index, enum task_link link, struct err *err)
{
    const struct wire_task *task = gatherer->task;
    const struct wire_revision *self = &task->revisions[0];
    int code = 0;
    if (index < 0)
        return 0;
    const struct wire_revision *reference = &task->revisions[index];
    for (size_t i = 0; !code && i < self->tensor_count; i++) {
        struct task_tensor *tensor = &self->tensors[i];
        if (!tensor->displacements)
            tensor->displacements =
                wire_memory_new(&gatherer->task->memory, 2, sizeof *tensor->displacements);
        if (!tensor->displacements)
            return no_memory(err);
        for (size_t j = 0; !code && j < reference->tensor_count; j++) {
            if (strcmp(reference->tensors[j].tensor, tensor->tensor) == 0)
                code = gather_displacement(gatherer, tensor, &reference->tensors[j], link, err);
        }
    }
    return code;
}

/* The index of a revision among those of the task; it is added if it is not there. -1 for none. */
static int gather_reference(struct gatherer *gatherer, int64_t id, int *ret_index, struct err *err)
{
    struct wire_task *task = gatherer->task;
    *ret_index = -1;
    if (!id)
        return 0;
    for (size_t i = 0; i < task->revision_count && *ret_index < 0; i++)
        *ret_index = task->revisions[i].row.id == id ? (int)i : -1;
    if (*ret_index >= 0)
        return 0;
    *ret_index = (int)task->revision_count;
    return gather_revision(gatherer, id, err);
}

int api_claim_task(struct store *store, const struct task_row *row, const char *backend, int64_t definition,
                   struct wire_task *task, struct err *err)
{
    char text[STORE_INSTANCE_SIZE + 16], hex[DIGEST_SHA256_HEX_SIZE];
    json_t *request = NULL;
    struct gatherer gatherer = {.store = store, .task = task, .backend = backend, .definition = definition};
    *task = (struct wire_task){.protocol = WIRE_PROTOCOL,
                               .sweep_id = row->sweep_id,
                               .task_id = row->id,
                               .attempt = row->attempts,
                               .failures = row->failures,
                               .reference = -1,
                               .previous = -1};
    (void)snprintf(text, sizeof text, "store %s", store_instance(store));
    if (row->failures)
        memcpy(task->failure, row->suspect[0] ? row->suspect : row->error_code, sizeof task->failure);
    int code = digest_sha256_hex(text, strlen(text), hex, err);
    if (!code) {
        (void)snprintf(task->store, sizeof task->store, "%.32s", hex);
        code = format_id(store, row, task->id, err);
    }
    if (!code)
        code = models_get(store, row->model_id, &task->model, err);
    if (!code)
        code = api_claim_request(store, row->sweep_id, &request, err);
    gatherer.request = request;
    if (!code && !(task->request = json_text_dump(request, JSON_COMPACT | JSON_SORT_KEYS)))
        code = no_memory(err);
    if (!code)
        code = gather_revision(&gatherer, row->revision_id, err);
    if (!code)
        code = gather_reference(&gatherer, row->reference_revision_id, &task->reference, err);
    if (!code)
        code = gather_reference(&gatherer, row->previous_revision_id, &task->previous, err);
    if (!code)
        code = gather_displacements(&gatherer, task->reference, TASK_LINK_FIRST, err);
    if (!code)
        code = gather_displacements(&gatherer, task->previous, TASK_LINK_PREVIOUS, err);
    json_decref(request);
    return code;
}
