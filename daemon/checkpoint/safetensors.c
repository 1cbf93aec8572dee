#include "daemon/checkpoint/safetensors.h"

#include "daemon/base/checked.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/json_load.h"
#include "daemon/checkpoint/tensor_name.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Long enough for the whole header of most models, short enough to cost nothing beside a tensor. */
#define FIRST_READ_BYTES (16 * KIB)

/* Each tensor is an object with 2 arrays, 3 values and one per dimension; the rest is room for metadata. */
#define VALUES_MAX ((size_t)LIMIT_TENSORS * 16)
#define CONTAINERS_MAX ((size_t)LIMIT_TENSORS * 3 + 2)

#define DTYPE_NAME_BYTES_MAX 20

static int parse_shape(const json_t *json, struct tensor_shape *shape, struct err *err)
{
    if (!json_is_array(json))
        return err_set(err, ERR_FORMAT, "\"shape\" is not an array");
    if (json_array_size(json) > LIMIT_TENSOR_DIMS)
        return err_set(err, ERR_LIMIT, "%zu dimensions, more than the limit of %d", json_array_size(json),
                       LIMIT_TENSOR_DIMS);
    shape->ndim = (int)json_array_size(json);
    for (int i = 0; i < shape->ndim; i++) {
        const json_t *dim = json_array_get(json, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return err_set(err, ERR_FORMAT, "\"shape\" holds something else than sizes");
        shape->dim[i] = (uint64_t)json_integer_value(dim);
    }
    return 0;
}

/* Only the format's own names: tensor_dtype_parse also takes numpy's. What is like one of them is noted. */
static int parse_dtype(const char *text, struct safetensors_tensor *tensor, struct err *err)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    struct err ignored = ERR_INIT;
    if (!tensor_dtype_parse(text, &tensor->dtype, &ignored) &&
        strcmp(text, tensor_dtype_safetensors_name(tensor->dtype)) == 0)
        return 0;
    size_t size = strlen(text);
    if (size == 0 || size > DTYPE_NAME_BYTES_MAX || strspn(text, letters) != size)
        return err_set(err, ERR_UNSUPPORTED, "unknown dtype \"%.40s\"", text);
    tensor->foreign_dtype = strdup(text);
    return tensor->foreign_dtype ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
}

/* Offsets stay relative to the data here; place_tensors adds its beginning. */
static int parse_tensor(const json_t *json, struct safetensors_tensor *tensor, struct err *err)
{
    const json_t *dtype = json_object_get(json, "dtype");
    const json_t *offsets = json_object_get(json, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (!json_is_object(json))
        return err_set(err, ERR_FORMAT, "the description is not an object");
    if (!json_is_string(dtype))
        return err_set(err, ERR_FORMAT, "\"dtype\" is not a string");
    int code = parse_dtype(json_string_value(dtype), tensor, err);
    if (!code)
        code = parse_shape(json_object_get(json, "shape"), &tensor->shape, err);
    if (code)
        return code;
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < 0)
        return err_set(err, ERR_FORMAT, "\"data_offsets\" is not a pair of offsets");
    tensor->offset = (uint64_t)json_integer_value(begin);
    uint64_t data_end = (uint64_t)json_integer_value(end);
    if (data_end < tensor->offset)
        return err_set(err, ERR_FORMAT, "its data end before they begin");
    if (tensor->foreign_dtype) {
        tensor->size_bytes = data_end - tensor->offset;
        return 0;
    }
    code = tensor_size_bytes(tensor->dtype, &tensor->shape, &tensor->size_bytes, err);
    if (code)
        return code;
    if (data_end - tensor->offset != tensor->size_bytes)
        return err_set(err, ERR_FORMAT, "%" PRIu64 " bytes of data where its shape needs %" PRIu64,
                       data_end - tensor->offset, tensor->size_bytes);
    return 0;
}

static int check_metadata(const json_t *json, struct err *err)
{
    const char *key;
    json_t *value;
    if (json_is_null(json))
        return 0;
    if (!json_is_object(json))
        return err_set(err, ERR_FORMAT, "\"__metadata__\" is not an object");
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        if (!json_is_string(value))
            return err_set(err, ERR_FORMAT, "\"__metadata__\" holds something else than text");
    }
    return 0;
}

static int compare_offsets(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (x->size_bytes > y->size_bytes) - (x->size_bytes < y->size_bytes);
}

static int compare_names(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Checks that the tensors fill [begin, file_size) without holes and overlaps and makes their offsets count
 * from the beginning of the file. */
static int place_tensors(struct safetensors *safetensors, uint64_t begin, uint64_t file_size, struct err *err)
{
    uint64_t place = 0; /* parse_tensor proved that offset + size is an int64, so the sums cannot overflow */
    if (safetensors->count)
        qsort(safetensors->tensors, safetensors->count, sizeof *safetensors->tensors, compare_offsets);
    for (size_t i = 0; i < safetensors->count; i++) {
        struct safetensors_tensor *tensor = &safetensors->tensors[i];
        if (tensor->offset != place)
            return err_set(err, ERR_FORMAT, "tensor %.200s: its data begin at %" PRIu64 ", %s", tensor->name,
                           tensor->offset,
                           tensor->offset < place ? "inside of another tensor's" : "after a hole");
        place += tensor->size_bytes;
        tensor->offset += begin;
    }
    if (place != file_size - begin)
        return err_set(err, ERR_FORMAT,
                       "the tensors need %" PRIu64 " bytes but %" PRIu64 " follow the header: %s", place,
                       file_size - begin, place > file_size - begin ? "truncated" : "trailing bytes");
    if (safetensors->count)
        qsort(safetensors->tensors, safetensors->count, sizeof *safetensors->tensors, compare_names);
    return 0;
}

static int parse_tensors(json_t *root, struct safetensors *safetensors, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        if (strcmp(key, "__metadata__") == 0) {
            int code = check_metadata(value, err);
            if (code)
                return code;
            continue;
        }
        int code = tensor_name_check(key, strlen(key), err);
        if (code)
            return code;
        struct safetensors_tensor *tensor = &safetensors->tensors[safetensors->count];
        tensor->name = strdup(key);
        if (!tensor->name)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        safetensors->count++;
        if (parse_tensor(value, tensor, err))
            return err_wrap(err, "tensor %.200s", key);
    }
    return 0;
}

int safetensors_parse(const char *json, size_t size, uint64_t file_size, struct safetensors **ret_safetensors,
                      struct err *err)
{
    struct safetensors *safetensors = NULL;
    json_t *root = NULL;
    uint64_t begin = (uint64_t)size + SAFETENSORS_PREFIX_BYTES;
    int code;
    if (begin > file_size)
        return err_set(err, ERR_FORMAT, "a header of %zu bytes in a file of %" PRIu64, size, file_size);
    root = json_load_bounded(json, size, VALUES_MAX, CONTAINERS_MAX, err);
    if (!root)
        return err_wrap(err, "the header");
    if (!json_is_object(root)) {
        code = err_set(err, ERR_FORMAT, "the header is not a JSON object");
        goto out;
    }
    if (json_object_size(root) > LIMIT_TENSORS) {
        code = err_set(err, ERR_LIMIT, "%zu tensors, more than the limit of %d", json_object_size(root),
                       LIMIT_TENSORS);
        goto out;
    }
    safetensors = calloc(1, sizeof *safetensors);
    if (safetensors)
        safetensors->tensors = calloc(json_object_size(root) + 1, sizeof *safetensors->tensors);
    if (!safetensors || !safetensors->tensors) {
        code = err_set(err, ERR_NO_MEMORY, "out of memory");
        goto out;
    }
    code = parse_tensors(root, safetensors, err);
    if (!code)
        code = place_tensors(safetensors, begin, file_size, err);
    if (code)
        goto out;
    *ret_safetensors = safetensors;
    safetensors = NULL;
out:
    safetensors_free(safetensors);
    json_decref(root);
    return code;
}

int safetensors_open(struct source *source, struct safetensors **ret_safetensors, struct err *err)
{
    uint64_t header_size = 0;
    unsigned char prefix[SAFETENSORS_PREFIX_BYTES];
    size_t first = source->size_bytes < FIRST_READ_BYTES ? (size_t)source->size_bytes : FIRST_READ_BYTES;
    char *data = NULL;
    int code;
    if (source->size_bytes < SAFETENSORS_PREFIX_BYTES)
        return err_set(err, ERR_FORMAT, "%s: %" PRIu64 " bytes are too few for a safetensors file",
                       source->name, source->size_bytes);
    data = malloc(first);
    if (!data)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", source->name);
    code = source_read(source, 0, data, first, err);
    if (code)
        goto out;
    memcpy(prefix, data, sizeof prefix);
    for (size_t i = sizeof prefix; i-- > 0;)
        header_size = header_size << 8 | prefix[i];
    if (header_size > LIMIT_SAFETENSORS_HEADER_BYTES) {
        code = err_set(err, ERR_LIMIT, "%s: a header of %" PRIu64 " bytes exceeds the limit of %d",
                       source->name, header_size, LIMIT_SAFETENSORS_HEADER_BYTES);
        goto out;
    }
    if (header_size > source->size_bytes - SAFETENSORS_PREFIX_BYTES) {
        code = err_set(err, ERR_FORMAT, "%s: truncated: a header of %" PRIu64 " bytes in a file of %" PRIu64,
                       source->name, header_size, source->size_bytes);
        goto out;
    }
    size_t whole = (size_t)header_size + SAFETENSORS_PREFIX_BYTES;
    if (whole > first) {
        char *grown = realloc(data, whole);
        if (!grown) {
            code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", source->name);
            goto out;
        }
        data = grown;
        code = source_read(source, first, data + first, whole - first, err);
        if (code)
            goto out;
    }
    if (safetensors_parse(data + SAFETENSORS_PREFIX_BYTES, (size_t)header_size, source->size_bytes,
                          ret_safetensors, err))
        code = err_wrap(err, "%s", source->name);
out:
    free(data);
    return code;
}

void safetensors_free(struct safetensors *safetensors)
{
    if (!safetensors)
        return;
    for (size_t i = 0; i < safetensors->count; i++) {
        free(safetensors->tensors[i].name);
        free(safetensors->tensors[i].foreign_dtype);
    }
    free(safetensors->tensors);
    free(safetensors);
}
