/*
 * Reading tensors: the rows of statistics and displacements, and the large values behind the line of JSON.
 */
#include "api/wire/wire_reader.h"
#include "daemon/analysis/distribution.h"
#include "daemon/analysis/sample.h"
#include "store/blob.h"

#include <stdlib.h>
#include <string.h>

#define STATISTICS_MAX 16
#define DISPLACEMENTS_MAX 2
#define DISPLACEMENT_ROWS_MAX 2
#define DISTRIBUTIONS_MAX 8
#define COLUMNS_MAX 4
#define SAMPLES_MAX 2
#define ELEMENTS_MAX (INT64_C(1) << 50)

#define NAMES(name) #name " "

static enum row_set read_row_set(struct wire_reader *reader, const json_t *object)
{
    const char *text = json_string_value(json_object_get(object, "row_set"));
    if (text && strcmp(text, "tokens") == 0)
        return ROW_SET_TOKENS;
    if (!text || strcmp(text, "all") != 0)
        wire_refuse(reader, "row_set", ERR_INVALID, "neither all nor tokens");
    return ROW_SET_ALL;
}

/* 0 for all rows, else a number of rows that the content has. */
static int64_t read_token_rows(struct wire_reader *reader, const json_t *object, enum row_set row_set,
                               const struct content_row *content)
{
    int is_all = row_set == ROW_SET_ALL;
    return wire_int(reader, object, "token_rows", is_all ? 0 : 1, is_all ? 0 : content->rows);
}

static void read_content(struct wire_reader *reader, const json_t *object, struct content_row *content)
{
    int64_t elements = 0;
    wire_check_members(reader, object, " digest dtype rows columns size_bytes ");
    wire_digest(reader, object, "digest", content->digest, 0);
    wire_text_needed(reader, object, "dtype", content->dtype, sizeof content->dtype);
    content->rows = wire_int(reader, object, "rows", 1, ELEMENTS_MAX);
    content->columns = wire_int(reader, object, "columns", 1, ELEMENTS_MAX);
    content->size_bytes = wire_int(reader, object, "size_bytes", 1, 16 * ELEMENTS_MAX);
    if (__builtin_mul_overflow(content->rows, content->columns, &elements) || elements > ELEMENTS_MAX)
        wire_refuse(reader, "columns", ERR_LIMIT, "the tensor has too many elements");
}

static void read_statistics_row(struct wire_reader *reader, const json_t *object,
                                const struct content_row *content, struct statistics_row *row)
{
    wire_check_members(reader, object,
                       " row_set token_rows is_centred definition backend " STATISTICS_COUNTS(NAMES)
                           STATISTICS_REALS(NAMES));
    row->row_set = read_row_set(reader, object);
    row->token_rows = read_token_rows(reader, object, row->row_set, content);
    row->is_centred = wire_bool(reader, object, "is_centred");
    row->definition = wire_int(reader, object, "definition", 1, INT32_MAX);
    wire_text_needed(reader, object, "backend", row->backend, sizeof row->backend);
#define X(name) row->name = wire_int(reader, object, #name, 0, ELEMENTS_MAX);
    STATISTICS_COUNTS(X)
#undef X
#define X(name) row->name = wire_real(reader, object, #name);
    STATISTICS_REALS(X)
#undef X
    int64_t rows = row->row_set == ROW_SET_ALL ? content->rows : row->token_rows;
    if (row->elements != rows * content->columns)
        wire_refuse(reader, "elements", ERR_INVALID, "is not rows times columns");
    int64_t odd = row->nan_count + row->positive_inf_count + row->negative_inf_count;
    if (odd > row->elements || row->zero_count > row->elements - odd)
        wire_refuse(reader, "nan_count", ERR_INVALID, "more elements are counted than there are");
    else if (odd < row->elements && !(row->minimum <= row->maximum && row->variance >= 0))
        wire_refuse(reader, "minimum", ERR_INVALID,
                    "finite elements have a minimum, a maximum and a variance");
}

static void read_statistics(struct wire_reader *reader, const json_t *object, struct task_tensor *tensor)
{
    const json_t *list = wire_list(reader, object, "statistics", STATISTICS_MAX);
    size_t count = json_array_size(list);
    struct statistics_row *rows = wire_new(reader, count, sizeof *rows);
    for (size_t i = 0; i < count && !reader->code; i++) {
        size_t before = wire_enter(reader, "statistics", i);
        read_statistics_row(reader, json_array_get(list, i), &tensor->content, &rows[i]);
        wire_leave(reader, before);
    }
    tensor->statistics = rows;
    tensor->statistics_count = count;
}

static void read_displacement_row(struct wire_reader *reader, const json_t *object,
                                  const struct content_row *content, struct displacement_row *row)
{
    wire_check_members(reader, object,
                       " row_set token_rows definition backend elements " DISPLACEMENT_REALS(NAMES));
    row->row_set = read_row_set(reader, object);
    row->token_rows = read_token_rows(reader, object, row->row_set, content);
    row->definition = wire_int(reader, object, "definition", 1, INT32_MAX);
    wire_text_needed(reader, object, "backend", row->backend, sizeof row->backend);
    int64_t rows = row->row_set == ROW_SET_ALL ? content->rows : row->token_rows;
    row->elements = wire_int(reader, object, "elements", 0, rows * content->columns);
#define X(name) row->name = wire_real(reader, object, #name);
    DISPLACEMENT_REALS(X)
#undef X
    if (row->elements && !(row->msd >= 0 && row->norm >= 0 && row->reference_norm >= 0))
        wire_refuse(reader, "msd", ERR_INVALID, "pairs of finite elements have a displacement and norms");
}

static void read_displacement(struct wire_reader *reader, const json_t *object,
                              const struct task_tensor *tensor, struct task_displacement *displacement)
{
    const char *link = json_string_value(json_object_get(object, "link"));
    struct content_row *reference = wire_new(reader, 1, sizeof *reference);
    wire_check_members(reader, object, " link reference token_rows definition backend rows ");
    displacement->link = link && strcmp(link, "first") == 0 ? TASK_LINK_FIRST : TASK_LINK_PREVIOUS;
    if (!link || (displacement->link == TASK_LINK_PREVIOUS && strcmp(link, "previous") != 0))
        wire_refuse(reader, "link", ERR_INVALID, "neither first nor previous");
    if (reader->code)
        return;
    read_content(reader, json_object_get(object, "reference"), reference);
    displacement->reference = reference;
    displacement->token_rows = wire_int(reader, object, "token_rows", 0, tensor->content.rows);
    displacement->definition = wire_int(reader, object, "definition", 1, INT32_MAX);
    wire_text_needed(reader, object, "backend", displacement->backend, sizeof displacement->backend);
    const json_t *list = wire_list(reader, object, "rows", DISPLACEMENT_ROWS_MAX);
    size_t count = json_array_size(list);
    struct displacement_row *rows = wire_new(reader, count, sizeof *rows);
    for (size_t i = 0; i < count && !reader->code; i++) {
        size_t before = wire_enter(reader, "rows", i);
        read_displacement_row(reader, json_array_get(list, i), &tensor->content, &rows[i]);
        wire_leave(reader, before);
    }
    displacement->rows = rows;
    displacement->count = count;
}

static void read_displacements(struct wire_reader *reader, const json_t *object, struct task_tensor *tensor)
{
    const json_t *list = wire_list(reader, object, "displacements", DISPLACEMENTS_MAX);
    size_t count = json_array_size(list);
    struct task_displacement *displacements = wire_new(reader, count, sizeof *displacements);
    for (size_t i = 0; i < count && !reader->code; i++) {
        size_t before = wire_enter(reader, "displacements", i);
        read_displacement(reader, json_array_get(list, i), tensor, &displacements[i]);
        if (i && !reader->code && displacements[i].link == displacements[0].link)
            wire_refuse(reader, "link", ERR_INVALID, "occurs twice");
        wire_leave(reader, before);
    }
    tensor->displacements = displacements;
    tensor->displacement_count = count;
}

/* -- Large values -- */

/* Takes the next bytes behind the line. */
static void take_values(struct wire_reader *reader, const json_t *object, struct packed_values *packed)
{
    int64_t size = wire_int(reader, object, "size", 1, (int64_t)BLOB_RAW_BYTES_MAX);
    packed->size_raw = wire_int(reader, object, "size_raw", 0, (int64_t)BLOB_RAW_BYTES_MAX);
    if (!reader->code && (uint64_t)size > reader->rest_size)
        wire_refuse(reader, "size", ERR_FORMAT, "the message ends before the value does; it was cut short");
    if (reader->code)
        return;
    packed->data = reader->rest;
    packed->size = (size_t)size;
    reader->rest += size;
    reader->rest_size -= (size_t)size;
}

static void check_decoded(struct wire_reader *reader, int code)
{
    /* The store's words for bytes of its own would mislead here. */
    if (code == ERR_NO_MEMORY)
        wire_refuse(reader, "size_raw", ERR_NO_MEMORY, "out of memory");
    else if (code)
        wire_refuse(reader, "size_raw", ERR_FORMAT, "the value does not decode");
}

static void check_counts(struct wire_reader *reader, const struct distribution_row *row, int64_t elements)
{
    struct err ignored = ERR_INIT;
    int64_t sum = 0;
    uint64_t *counts = reader->code ? NULL : malloc(DISTRIBUTION_CODES * sizeof *counts);
    if (!counts) {
        check_decoded(reader, ERR_NO_MEMORY);
        return;
    }
    check_decoded(reader, blob_decode_counts(row->packed.data, row->packed.size, BLOB_ENCODING,
                                             row->packed.size_raw, counts, DISTRIBUTION_CODES, &ignored));
    for (size_t i = 0; i < DISTRIBUTION_CODES && !reader->code; i++) {
        if (counts[i] > (uint64_t)(elements - sum))
            wire_refuse(reader, "size", ERR_INVALID, "its counts are more than rows times columns");
        else
            sum += (int64_t)counts[i];
    }
    if (sum != elements)
        wire_refuse(reader, "size", ERR_INVALID, "its counts are less than rows times columns");
    free(counts);
}

static void read_distribution(struct wire_reader *reader, const json_t *object,
                              const struct content_row *content, struct distribution_row *row)
{
    enum distribution_format format;
    int exponent;
    struct err ignored = ERR_INIT;
    wire_check_members(reader, object, " row_set token_rows is_centred definition code size_raw size ");
    row->row_set = read_row_set(reader, object);
    row->token_rows = read_token_rows(reader, object, row->row_set, content);
    row->is_centred = wire_bool(reader, object, "is_centred");
    row->definition = wire_int(reader, object, "definition", 1, INT32_MAX);
    wire_text_needed(reader, object, "code", row->code, sizeof row->code);
    if (!reader->code && distribution_name_parse(row->code, &format, &exponent, &ignored))
        wire_refuse(reader, "code", ERR_INVALID, "no such code");
    take_values(reader, object, &row->packed);
    int64_t rows = row->row_set == ROW_SET_ALL ? content->rows : row->token_rows;
    check_counts(reader, row, rows * content->columns);
}

static void read_distributions(struct wire_reader *reader, const json_t *object, struct task_tensor *tensor)
{
    const json_t *list = wire_list(reader, object, "distributions", DISTRIBUTIONS_MAX);
    size_t count = json_array_size(list);
    struct distribution_row *rows = wire_new(reader, count, sizeof *rows);
    for (size_t i = 0; i < count && !reader->code; i++) {
        size_t before = wire_enter(reader, "distributions", i);
        read_distribution(reader, json_array_get(list, i), &tensor->content, &rows[i]);
        wire_leave(reader, before);
    }
    tensor->distributions = rows;
    tensor->distribution_count = count;
}

/* Whether so many reals of a width come out. */
static void check_reals(struct wire_reader *reader, const struct packed_values *packed, int64_t count,
                        size_t width)
{
    struct err ignored = ERR_INIT;
    if (reader->code)
        return;
    if ((uint64_t)count > BLOB_RAW_BYTES_MAX / 2 / width) {
        wire_refuse(reader, "size_raw", ERR_LIMIT, "too many values");
        return;
    }
    void *values = malloc((size_t)count * width);
    check_decoded(reader, values ? blob_decode_reals(packed->data, packed->size, BLOB_ENCODING,
                                                     packed->size_raw, values, (size_t)count, width, &ignored)
                                 : ERR_NO_MEMORY);
    free(values);
}

static void read_columns(struct wire_reader *reader, const json_t *object, struct task_tensor *tensor)
{
    const json_t *list = wire_list(reader, object, "columns", COLUMNS_MAX);
    size_t count = json_array_size(list);
    struct columns_row *rows = wire_new(reader, count, sizeof *rows);
    for (size_t i = 0; i < count && !reader->code; i++) {
        const json_t *one = json_array_get(list, i);
        size_t before = wire_enter(reader, "columns", i);
        wire_check_members(reader, one, " token_rows definition columns size_raw size ");
        rows[i].token_rows = wire_int(reader, one, "token_rows", 0, tensor->content.rows);
        rows[i].definition = wire_int(reader, one, "definition", 1, INT32_MAX);
        rows[i].columns = wire_int(reader, one, "columns", tensor->content.columns, tensor->content.columns);
        take_values(reader, one, &rows[i].packed);
        check_reals(reader, &rows[i].packed, 2 * rows[i].columns, sizeof(double));
        wire_leave(reader, before);
    }
    tensor->columns = rows;
    tensor->columns_count = count;
}

static void read_samples(struct wire_reader *reader, const json_t *object, struct task_tensor *tensor)
{
    const json_t *list = wire_list(reader, object, "samples", SAMPLES_MAX);
    size_t count = json_array_size(list);
    struct sample_row *rows = wire_new(reader, count, sizeof *rows);
    for (size_t i = 0; i < count && !reader->code; i++) {
        const json_t *one = json_array_get(list, i);
        size_t before = wire_enter(reader, "samples", i);
        wire_check_members(reader, one, " definition seed count size_raw size ");
        rows[i].definition = wire_int(reader, one, "definition", 1, INT32_MAX);
        rows[i].seed = wire_int(reader, one, "seed", 0, UINT32_MAX);
        rows[i].count = wire_int(reader, one, "count", 1, SAMPLE_COUNT);
        take_values(reader, one, &rows[i].packed);
        check_reals(reader, &rows[i].packed, rows[i].count, sizeof(float));
        wire_leave(reader, before);
    }
    tensor->samples = rows;
    tensor->sample_count = count;
}

static void read_tensor(struct wire_reader *reader, const json_t *object, int without_values,
                        struct task_tensor *tensor)
{
    wire_check_members(reader, object,
                       without_values
                           ? " tensor content token_rows definition backend file file_digest "
                             "bytes_fetched statistics displacements "
                           : " tensor content token_rows definition backend file file_digest bytes_fetched "
                             "statistics displacements distributions columns samples ");
    wire_text_needed(reader, object, "tensor", tensor->tensor, sizeof tensor->tensor);
    size_t before = wire_enter(reader, "content", WIRE_NO_INDEX);
    read_content(reader, json_object_get(object, "content"), &tensor->content);
    wire_leave(reader, before);
    tensor->token_rows = wire_int(reader, object, "token_rows", 1, tensor->content.rows);
    tensor->definition = wire_int(reader, object, "definition", 1, INT32_MAX);
    wire_text_needed(reader, object, "backend", tensor->backend, sizeof tensor->backend);
    wire_text(reader, object, "file", tensor->file_path, sizeof tensor->file_path);
    wire_text(reader, object, "file_digest", tensor->file_digest, sizeof tensor->file_digest);
    if (tensor->file_digest[0])
        wire_digest(reader, object, "file_digest", tensor->file_digest, 1);
    tensor->fetched_bytes = wire_int(reader, object, "bytes_fetched", 0, INT64_MAX);
    if (reader->code)
        return;
    read_statistics(reader, object, tensor);
    read_displacements(reader, object, tensor);
    if (without_values || reader->code)
        return;
    read_distributions(reader, object, tensor);
    read_columns(reader, object, tensor);
    read_samples(reader, object, tensor);
}

struct task_tensor *wire_read_tensors(struct wire_reader *reader, const json_t *object, const char *key,
                                      int without_values, size_t *ret_count)
{
    const json_t *list = wire_list(reader, object, key, LIMIT_CLAIM_TENSORS);
    size_t count = json_array_size(list);
    struct task_tensor *tensors = wire_new(reader, count, sizeof *tensors);
    for (size_t i = 0; i < count && !reader->code; i++) {
        size_t before = wire_enter(reader, key, i);
        read_tensor(reader, json_array_get(list, i), without_values, &tensors[i]);
        wire_leave(reader, before);
    }
    *ret_count = reader->code ? 0 : count;
    return tensors;
}
