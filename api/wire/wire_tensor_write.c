/*
 * Writing the tensors of a result, with their large values, or of a revision, without them.
 */
#include "api/wire/wire_writer.h"
#include "store/blob.h"

#include <math.h>
#include <string.h>

void wire_append_real(struct api_json *json, const char *key, double value)
{
    if (isinf(value))
        api_json_text(json, key, value > 0 ? "inf" : "-inf");
    else
        api_json_real(json, key, value); /* null for NaN */
}

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
#define X(name) wire_append_real(json, #name, row->name);
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
#define X(name) wire_append_real(json, #name, row->name);
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

int wire_append_tensors(const struct task_tensor *tensors, size_t count, const char *key,
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
