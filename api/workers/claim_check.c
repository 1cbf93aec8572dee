#include "api/workers/claim_check.h"

#include "api/workers/claim_task.h"
#include "daemon/analysis/sample.h"
#include "daemon/base/file.h"
#include "daemon/base/weight_layout.h"
#include "store/models.h"
#include "store/revisions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VARIANTS 4 /* row sets x raw and centred */

struct check {
    struct store *store;
    const struct task_row *task;
    struct wire_result *result;
    const struct api_claim_definitions *definitions;
    struct model_row model;
    json_t *request;
};

static int check_definition(const struct check *check, const struct task_tensor *tensor, int64_t definition,
                            const char *backend, struct err *err)
{
    if (definition != check->definitions->statistics)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: measured by definition %" PRId64 ", but the daemon stores %" PRId64
                       "; run the same version of bifurcated on both sides",
                       tensor->tensor, definition, check->definitions->statistics);
    if (backend && strcmp(backend, tensor->backend) != 0)
        return err_set(err, ERR_INVALID, "%s: rows of more than one backend", tensor->tensor);
    return 0;
}

/* The variant of a row, 0 to VARIANTS - 1, or -1 if it is none of this tensor's. */
static int variant_of(const struct task_tensor *tensor, enum row_set row_set, int64_t token_rows,
                      int is_centred)
{
    if (token_rows != (row_set == ROW_SET_TOKENS ? tensor->token_rows : 0))
        return -1;
    return 2 * (row_set == ROW_SET_TOKENS) + (is_centred != 0);
}

/* A bit for each variant, and one more for what is none. */
static unsigned bit_of(int variant)
{
    return 1U << (variant < 0 ? VARIANTS : variant);
}

/* Statistics and distributions by themselves; *ret_are_all: both are there in each variant. */
static int check_variants(const struct check *check, const struct task_tensor *tensor, int *ret_are_all,
                          struct err *err)
{
    const unsigned all = (1U << VARIANTS) - 1;
    unsigned with_statistics = 0, with_distribution = 0;
    int code = 0;
    for (size_t i = 0; !code && i < tensor->statistics_count; i++) {
        const struct statistics_row *row = &tensor->statistics[i];
        code = check_definition(check, tensor, row->definition, row->backend, err);
        with_statistics |= bit_of(variant_of(tensor, row->row_set, row->token_rows, row->is_centred));
    }
    for (size_t i = 0; !code && i < tensor->distribution_count; i++) {
        const struct distribution_row *row = &tensor->distributions[i];
        code = check_definition(check, tensor, row->definition, NULL, err);
        with_distribution |= bit_of(variant_of(tensor, row->row_set, row->token_rows, row->is_centred));
    }
    *ret_are_all = with_statistics == all && with_distribution == all &&
                   tensor->statistics_count == VARIANTS && tensor->distribution_count == VARIANTS;
    return code;
}

/* Columns and samples by themselves. */
static int check_parts(const struct check *check, const struct task_tensor *tensor, struct err *err)
{
    int code = 0;
    for (size_t i = 0; !code && i < tensor->columns_count; i++) {
        int64_t token_rows = tensor->columns[i].token_rows;
        code = check_definition(check, tensor, tensor->columns[i].definition, NULL, err);
        if (!code && token_rows != 0 && token_rows != tensor->token_rows)
            code = err_set(err, ERR_INVALID, "%s: columns of other rows", tensor->tensor);
    }
    size_t wanted = sample_count((uint64_t)tensor->token_rows, (uint64_t)tensor->content.columns);
    for (size_t i = 0; !code && i < tensor->sample_count; i++) {
        const struct sample_row *row = &tensor->samples[i];
        if (row->definition != SAMPLE_DEFINITION || row->seed != SAMPLE_SEED || row->count != (int64_t)wanted)
            code = err_set(err, ERR_INVALID, "%s: a sample of other entries", tensor->tensor);
    }
    return code;
}

/* All four variants with their distributions, columns and sample, or none of them. */
static int check_rows(const struct check *check, const struct task_tensor *tensor, struct err *err)
{
    int are_all = 0;
    int code = check_variants(check, tensor, &are_all, err);
    if (!code)
        code = check_parts(check, tensor, err);
    if (code || (are_all && tensor->columns_count == 2 && tensor->sample_count == 1))
        return code;
    if (!tensor->statistics_count && !tensor->distribution_count && !tensor->columns_count &&
        !tensor->sample_count)
        return 0;
    return err_set(
        err, ERR_INVALID,
        "%s: all four variants with distributions, columns and a sample are needed, or none of them",
        tensor->tensor);
}

/* The row of a content that the store has; ERR_NOT_FOUND otherwise. */
static int check_stored(const struct check *check, const struct task_tensor *tensor, struct err *err)
{
    struct content_row content;
    int is_stored = 0;
    int code = contents_find(check->store, &tensor->content, &content, err);
    if (!code)
        code = statistics_exists(check->store, content.id, tensor->token_rows, tensor->definition,
                                 tensor->backend, &is_stored, err);
    if (code == ERR_NOT_FOUND || (!code && !is_stored))
        return err_set(err, ERR_INVALID,
                       "%s: the result has no statistics, and the store has none of this content",
                       tensor->tensor);
    return code;
}

/* -- Where the tensor was found -- */

static int contradicts(const struct task_tensor *tensor, const char *what, struct err *err)
{
    return err_set(err, ERR_MISMATCH,
                   "%s: %s; the worker read other bytes than the daemon knows: its cache or its hub serves "
                   "damaged or other data",
                   tensor->tensor, what);
}

/* A file has one content, wherever and whenever it was read. */
static int check_file_content(const struct check *check, const struct task_tensor *tensor, struct err *err)
{
    struct content_row content;
    if (!tensor->file_digest[0])
        return 0;
    int code = contents_find_by_file(check->store, tensor->file_digest, tensor->tensor, &content, err);
    if (code)
        return code == ERR_NOT_FOUND ? 0 : code;
    if (strcmp(content.digest, tensor->content.digest) == 0)
        return 0;
    return contradicts(tensor, "the same file had another content before", err);
}

static int check_place(const struct check *check, const struct task_tensor *tensor, struct err *err)
{
    struct revision_file_row file;
    int are_known = 0;
    if (!file_is_safe_relative(tensor->file_path))
        return err_set(err, ERR_INVALID, "%s: \"%.100s\" is not a file of a revision", tensor->tensor,
                       tensor->file_path);
    int code = revisions_find_file(check->store, check->task->revision_id, tensor->file_path, &file,
                                   &are_known, err);
    if (code == ERR_NOT_FOUND && are_known)
        return err_set(err, ERR_INVALID, "%s: the revision has no file %.100s", tensor->tensor,
                       tensor->file_path);
    if (code && code != ERR_NOT_FOUND)
        return code;
    /* Of parts in several files the place is the one that names these, or the first, and no file's digest
     * is the tensor's. */
    if (!tensor->file_digest[0] && weight_layout_is_of_parts(tensor->file_path))
        return 0;
    if (are_known && strcmp(file.digest, tensor->file_digest) != 0)
        return contradicts(tensor, "its file has another digest in this revision", err);
    return check_file_content(check, tensor, err);
}

/* -- Displacements -- */

static int check_reference(const struct check *check, const struct task_tensor *tensor,
                           const struct task_displacement *displacement, struct err *err)
{
    struct revision_tensor_row known;
    const struct content_row *reference = displacement->reference;
    if (strcmp(reference->dtype, tensor->content.dtype) != 0 || reference->rows != tensor->content.rows ||
        reference->columns != tensor->content.columns)
        return err_set(err, ERR_INVALID, "%s: a displacement against another shape or dtype", tensor->tensor);
    int code = contents_find_by_revision(check->store, displacement->reference_revision_id, tensor->tensor,
                                         &known, err);
    if (code)
        return code == ERR_NOT_FOUND ? 0 : code;
    if (strcmp(known.content.digest, reference->digest) == 0)
        return 0;
    return contradicts(tensor, "the reference had another content when it was measured", err);
}

/* A displacement without rows must be in the store. */
static int check_displacement_stored(const struct check *check, const struct task_tensor *tensor,
                                     const struct task_displacement *displacement, struct err *err)
{
    struct content_row content, reference;
    int code = contents_find(check->store, &tensor->content, &content, err);
    if (!code)
        code = contents_find(check->store, displacement->reference, &reference, err);
    for (int set = 0; !code && set < 2; set++) {
        struct displacement_row key, found;
        displacement_row_init(&key);
        key.row_set = set ? ROW_SET_TOKENS : ROW_SET_ALL;
        key.token_rows = set ? displacement->token_rows : 0;
        key.definition = displacement->definition;
        memcpy(key.backend, displacement->backend, sizeof key.backend);
        code = displacements_find(check->store, content.id, reference.id, &key, &found, err);
    }
    if (code == ERR_NOT_FOUND)
        return err_set(err, ERR_INVALID,
                       "%s: the result does not have a displacement, and neither does the store",
                       tensor->tensor);
    return code;
}

static int check_displacement(const struct check *check, const struct task_tensor *tensor,
                              struct task_displacement *displacement, struct err *err)
{
    int is_first = displacement->link == TASK_LINK_FIRST;
    displacement->reference_revision_id =
        is_first ? check->task->reference_revision_id : check->task->previous_revision_id;
    if (!displacement->reference_revision_id)
        return err_set(err, ERR_INVALID, "%s: a displacement against a revision that the task does not name",
                       tensor->tensor);
    int code = check_definition(check, tensor, displacement->definition, displacement->backend, err);
    if (!code && displacement->token_rows != tensor->token_rows)
        code = err_set(err, ERR_INVALID, "%s: a displacement of other rows", tensor->tensor);
    if (!code)
        code = check_reference(check, tensor, displacement, err);
    if (code || displacement->count == 0)
        return code ? code : check_displacement_stored(check, tensor, displacement, err);
    unsigned seen = 0;
    for (size_t i = 0; !code && i < displacement->count; i++) {
        const struct displacement_row *row = &displacement->rows[i];
        code = check_definition(check, tensor, row->definition, row->backend, err);
        if (!code && variant_of(tensor, row->row_set, row->token_rows, 0) < 0)
            code = err_set(err, ERR_INVALID, "%s: a displacement of other rows", tensor->tensor);
        seen |= 1U << (row->row_set == ROW_SET_TOKENS);
    }
    if (!code && seen != 3)
        code = err_set(err, ERR_INVALID, "%s: a displacement of all rows and one of the tokens are needed",
                       tensor->tensor);
    return code;
}

static int check_tensor(const struct check *check, const struct task_tensor *tensor, struct err *err)
{
    struct task_displacement *displacements =
        (struct task_displacement *)(uintptr_t)tensor->displacements; /* ours: wire_result owns it */
    int code = check_definition(check, tensor, tensor->definition, NULL, err);
    if (!code && !api_claim_wants(check->request, check->model.tensor, tensor->tensor))
        code = err_set(err, ERR_INVALID, "%s: the sweep does not ask for this tensor", tensor->tensor);
    if (!code)
        code = check_rows(check, tensor, err);
    if (!code && !tensor->statistics_count)
        code = check_stored(check, tensor, err);
    if (!code)
        code = check_place(check, tensor, err);
    for (size_t i = 0; !code && i < tensor->displacement_count; i++)
        code = check_displacement(check, tensor, &displacements[i], err);
    return code;
}

/* -- All of it -- */

static int has_tensor(const struct task_result *result, const char *name)
{
    for (size_t i = 0; i < result->tensor_count; i++) {
        if (strcmp(result->tensors[i].tensor, name) == 0)
            return 1;
    }
    return 0;
}

/* Every tensor that is named must be there, once. */
static int check_complete(const struct check *check, struct err *err)
{
    const struct task_result *result = &check->result->result;
    const json_t *tensors = json_object_get(check->request, "tensors");
    int wants_statistics = api_claim_measures(check->request, "statistics");
    if (!wants_statistics && result->tensor_count)
        return err_set(err, ERR_INVALID, "the sweep does not ask for statistics");
    for (size_t i = 0; i < result->tensor_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(result->tensors[i].tensor, result->tensors[j].tensor) == 0)
                return err_set(err, ERR_INVALID, "%s: occurs twice", result->tensors[i].tensor);
        }
    }
    for (size_t i = 0; wants_statistics && i < json_array_size(tensors); i++) {
        const char *name = json_string_value(json_array_get(tensors, i));
        if (name && !strpbrk(name, "*?[") && !has_tensor(result, name))
            return err_set(err, ERR_INVALID, "%s: the sweep asks for it, and the result lacks it", name);
    }
    if (wants_statistics && result->tensor_count == 0)
        return err_set(err, ERR_INVALID, "the sweep asks for statistics, and the result has none");
    return 0;
}

static int check_perplexities(const struct check *check, struct err *err)
{
    const struct task_result *result = &check->result->result;
    const char *mode = json_string_value(json_object_get(check->request, "mode"));
    size_t wanted = api_claim_measures(check->request, "perplexity") ? 1 : 0;
    if (result->is_part && !wanted)
        return err_set(err, ERR_INVALID, "the sweep asks for statistics alone, of which there is no part");
    if (result->is_part)
        wanted = 0;
    if (result->perplexity_count != wanted || (!wanted && result->weights_digest[0]))
        return err_set(err, ERR_INVALID,
                       wanted ? "the sweep asks for one perplexity"
                              : "the sweep does not ask for a perplexity, or this is the part without it");
    if (!wanted)
        return 0;
    const struct perplexity_row *row = &result->perplexities[0];
    if (strcmp(perplexity_mode_name(row->mode), mode ? mode : "last_word") != 0)
        return err_set(err, ERR_INVALID, "the perplexity is of another mode than the sweep's");
    if (row->definition != check->definitions->scoring)
        return err_set(err, ERR_UNSUPPORTED,
                       "scored by definition %" PRId64 ", but the daemon stores %" PRId64
                       "; run the same version of bifurcated on both sides",
                       row->definition, check->definitions->scoring);
    return 0;
}

int api_claim_check(struct store *store, const struct task_row *task, struct wire_result *result,
                    const struct api_claim_definitions *definitions, struct err *err)
{
    struct check check = {.store = store, .task = task, .result = result, .definitions = definitions};
    int code = models_get(store, task->model_id, &check.model, err);
    if (!code && !check.model.tensor[0] && result->has_model)
        memcpy(check.model.tensor, result->model.tensor, sizeof check.model.tensor);
    if (!code)
        code = api_claim_request(store, task->sweep_id, &check.request, err);
    if (!code)
        code = check_complete(&check, err);
    for (size_t i = 0; !code && i < result->result.tensor_count; i++)
        code = check_tensor(&check, &result->result.tensors[i], err);
    if (!code)
        code = check_perplexities(&check, err);
    json_decref(check.request);
    if (!code)
        *err = (struct err)ERR_INIT; /* of look-ups that found nothing */
    return code;
}
