/*
 * What a result must be before it may be written: it can come from a worker on another machine.
 */
#include "store/record.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 1000

/* Whether a text is in lower hexadecimal, of `min` to 64 digits. */
static int is_digest(const char *text, size_t min)
{
    size_t length = strspn(text, "0123456789abcdef");
    return !text[length] && length >= min && length <= 64;
}

static int check_row_set(enum row_set row_set, int64_t token_rows, int64_t definition, struct err *err)
{
    if (definition < 1 || token_rows < 0 || (row_set == ROW_SET_TOKENS) != (token_rows > 0))
        return err_set(err, ERR_INVALID,
                       "result: rows are `all` with 0 or `tokens` with their number, and a definition "
                       "is at least 1");
    return 0;
}

static int check_large(const struct task_tensor *tensor, struct err *err)
{
    int code = 0;
    for (size_t i = 0; !code && i < tensor->distribution_count; i++) {
        const struct distribution_row *row = &tensor->distributions[i];
        code = check_row_set(row->row_set, row->token_rows, row->definition, err);
        if (!code && (!row->code[0] || (!row->counts && !row->packed.data)))
            code = err_set(err, ERR_INVALID, "result: a distribution has no code or no counts");
    }
    for (size_t i = 0; !code && i < tensor->columns_count; i++) {
        const struct columns_row *row = &tensor->columns[i];
        int has_values = row->mean ? row->bimodality != NULL : row->packed.data != NULL;
        if (row->columns < 1 || row->token_rows < 0 || row->definition < 1 || !has_values)
            code = err_set(err, ERR_INVALID, "result: columns are not well-formed");
    }
    for (size_t i = 0; !code && i < tensor->sample_count; i++) {
        const struct sample_row *row = &tensor->samples[i];
        if (row->count < 1 || row->definition < 1 || (!row->values && !row->packed.data))
            code = err_set(err, ERR_INVALID, "result: a sample is not well-formed");
    }
    return code;
}

/* Digest, dtype, shape and size. */
static int check_content(const struct content_row *content, const char *tensor, struct err *err)
{
    int64_t elements = 0;
    if (!is_digest(content->digest, 64) || !content->dtype[0])
        return err_set(err, ERR_INVALID, "result: a tensor needs a name, a sha256 and a dtype");
    if (content->rows < 1 || content->columns < 1 || content->size_bytes < 1 ||
        __builtin_mul_overflow(content->rows, content->columns, &elements))
        return err_set(err, ERR_INVALID, "result: the shape of %s is not well-formed", tensor);
    return 0;
}

static int check_displacements(const struct task_tensor *tensor, struct err *err)
{
    int code = 0;
    for (size_t i = 0; !code && i < tensor->displacement_count; i++) {
        const struct task_displacement *displacement = &tensor->displacements[i];
        int has_reference = displacement->reference_id > 0 ||
                            (displacement->reference_id == 0 && displacement->reference != NULL);
        if (displacement->reference_revision_id < 1 || !has_reference || displacement->definition < 1 ||
            displacement->token_rows < 0 || !displacement->backend[0])
            return err_set(err, ERR_INVALID,
                           "result: a displacement does not name its reference and definition");
        if (displacement->reference_id == 0)
            code = check_content(displacement->reference, tensor->tensor, err);
        if (displacement->count > ROWS_MAX)
            return err_set(err, ERR_LIMIT, "result: too many displacements");
        for (size_t j = 0; !code && j < displacement->count; j++) {
            const struct displacement_row *row = &displacement->rows[j];
            code = check_row_set(row->row_set, row->token_rows, row->definition, err);
            if (!code && (row->elements < 0 || !row->backend[0]))
                code = err_set(err, ERR_INVALID, "result: a displacement is not well-formed");
        }
    }
    return code;
}

static int check_tensor(const struct task_tensor *tensor, struct err *err)
{
    const struct content_row *content = &tensor->content;
    if (!tensor->tensor[0])
        return err_set(err, ERR_INVALID, "result: a tensor needs a name, a sha256 and a dtype");
    int code = check_content(content, tensor->tensor, err);
    if (code)
        return code;
    if (!is_digest(tensor->file_digest, 0) || tensor->fetched_bytes < 0 || tensor->definition < 1 ||
        tensor->token_rows < 0 || tensor->token_rows > content->rows || !tensor->backend[0])
        return err_set(err, ERR_INVALID, "result: file, rows or definition of %s is not well-formed",
                       tensor->tensor);
    if (tensor->statistics_count > ROWS_MAX || tensor->displacement_count > ROWS_MAX ||
        tensor->distribution_count > ROWS_MAX || tensor->columns_count > ROWS_MAX ||
        tensor->sample_count > ROWS_MAX)
        return err_set(err, ERR_LIMIT, "result: too many rows of %s", tensor->tensor);
    for (size_t i = 0; !code && i < tensor->statistics_count; i++) {
        const struct statistics_row *row = &tensor->statistics[i];
        code = check_row_set(row->row_set, row->token_rows, row->definition, err);
        if (!code && (row->elements < 0 || row->nan_count < 0 || row->zero_count < 0 || !row->backend[0]))
            code = err_set(err, ERR_INVALID, "result: statistics of %s are not well-formed", tensor->tensor);
    }
    if (!code)
        code = check_displacements(tensor, err);
    return code ? code : check_large(tensor, err);
}

int record_check(const struct task_result *result, struct err *err)
{
    int code = 0;
    if (result->tensor_count > LIMIT_CLAIM_TENSORS || result->perplexity_count > ROWS_MAX ||
        result->scored_file_count > LIMIT_CLAIM_FILES)
        return err_set(err, ERR_LIMIT, "result: too many tensors, perplexities or files");
    if (result->bytes_fetched < 0 || result->bytes_fetched > LIMIT_TASK_BYTES ||
        !is_digest(result->weights_digest, 0))
        return err_set(err, ERR_INVALID, "result: bytes or digest of the weights are not well-formed");
    for (size_t i = 0; !code && i < result->tensor_count; i++)
        code = check_tensor(&result->tensors[i], err);
    for (size_t i = 0; !code && i < result->perplexity_count; i++) {
        const struct perplexity_row *row = &result->perplexities[i];
        if (!row->weights_digest[0] || strcmp(row->weights_digest, result->weights_digest) != 0 ||
            !row->dataset_digest[0] || !row->backend[0] || !row->precision[0] || row->definition < 1 ||
            (unsigned)row->mode >= PERPLEXITY_MODE_COUNT || row->documents < 0 || row->tokens < 0)
            code = err_set(err, ERR_INVALID, "result: a perplexity is not well-formed or of other weights");
    }
    for (size_t i = 0; !code && i < result->scored_file_count; i++) {
        const struct revision_file_row *file = &result->scored_files[i];
        if (!file->path[0] || !is_digest(file->digest, 1))
            code =
                err_set(err, ERR_INVALID, "result: a file of the scored weights needs a path and a digest");
    }
    return code;
}

/* -- Large values --------------------------------------------------------------------------------------- */

/* What came compressed is stored as it is. */
static int take_packed(const struct packed_values *packed, struct blob *blob, struct err *err)
{
    (void)buf_append(&blob->data, packed->data, packed->size);
    blob->size_raw = packed->size_raw;
    return buf_check(&blob->data, "result: compressed value", err);
}

static int encode_columns(const struct columns_row *row, struct blob *blob, struct err *err)
{
    if (!row->mean)
        return take_packed(&row->packed, blob, err);
    if (row->columns > LIMIT_RECORD_COLUMNS)
        return err_set(err, ERR_LIMIT, "result: more than %d columns", LIMIT_RECORD_COLUMNS);
    size_t count = (size_t)row->columns;
    double *values = malloc(2 * count * sizeof *values);
    if (!values)
        return err_set(err, ERR_NO_MEMORY, "result: out of memory");
    memcpy(values, row->mean, count * sizeof *values);
    memcpy(values + count, row->bimodality, count * sizeof *values);
    int code = blob_encode_reals(values, 2 * count, sizeof *values, blob, err);
    free(values);
    return code;
}

int record_encode(const struct task_tensor *tensor, struct record_blobs *blobs, struct err *err)
{
    int code = 0;
    size_t all = tensor->distribution_count + tensor->columns_count + tensor->sample_count;
    *blobs = (struct record_blobs){0};
    if (!all)
        return 0;
    blobs->blobs = calloc(all, sizeof *blobs->blobs);
    if (!blobs->blobs)
        return err_set(err, ERR_NO_MEMORY, "result: out of memory");
    blobs->count = all;
    for (size_t i = 0; i < all; i++)
        blob_init(&blobs->blobs[i]);
    struct blob *blob = blobs->blobs;
    for (size_t i = 0; !code && i < tensor->distribution_count; i++, blob++) {
        const struct distribution_row *row = &tensor->distributions[i];
        code = row->counts ? blob_encode_counts(row->counts, DISTRIBUTION_CODES, blob, err)
                           : take_packed(&row->packed, blob, err);
    }
    for (size_t i = 0; !code && i < tensor->columns_count; i++, blob++)
        code = encode_columns(&tensor->columns[i], blob, err);
    for (size_t i = 0; !code && i < tensor->sample_count; i++, blob++) {
        const struct sample_row *row = &tensor->samples[i];
        if (!row->values)
            code = take_packed(&row->packed, blob, err);
        else if ((uint64_t)row->count > BLOB_RAW_BYTES_MAX / 2 / sizeof(float))
            code = err_set(err, ERR_LIMIT, "result: a sample has too many values");
        else
            code = blob_encode_reals(row->values, (size_t)row->count, sizeof(float), blob, err);
    }
    return code;
}

void record_blobs_free(struct record_blobs *blobs)
{
    for (size_t i = 0; i < blobs->count; i++)
        blob_free(&blobs->blobs[i]);
    free(blobs->blobs);
    *blobs = (struct record_blobs){0};
}
