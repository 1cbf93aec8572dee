#include "daemon/checkpoint/chunk_index.h"

#include "daemon/base/checked.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/chunk_parts.h"
#include "daemon/checkpoint/pickle_global.h"
#include "daemon/checkpoint/tensor_name.h"

#include <stdlib.h>
#include <string.h>

#define FOREIGN_TRANSFORMED "changed by an extension of torch, such as compressed"

static int read_dtype(const struct chunk_reader *reader, struct pickle_value properties,
                      struct chunk_index_tensor *tensor)
{
    struct pickle_value value = {.kind = PICKLE_KIND_NONE};
    if (chunk_field_is_record(reader, properties, "TensorProperties")) {
        const struct pickle_value state = chunk_field_state(reader, properties);
        if (state.kind == PICKLE_KIND_TUPLE && reader->pickle->objects[state.index].count)
            value = reader->pickle->objects[state.index].items[0];
        else
            value = chunk_field_item(reader, state, "dtype");
    }
    if (value.kind != PICKLE_KIND_GLOBAL)
        return err_set(reader->err, ERR_FORMAT, "tensor %.200s has no dtype", tensor->name);
    const struct pickle_global *global = pickle_global_at(value.index);
    tensor->dtype = global->dtype;
    tensor->foreign = global->kind == PICKLE_GLOBAL_KIND_DTYPE ? global->foreign : "an unknown dtype";
    return 0;
}

static int add_chunk(struct chunk_reader *reader, struct chunk_index_tensor *tensor, struct chunk_text name,
                     uint64_t *places)
{
    char where[128];
    const int ndim = tensor->shape.ndim;
    const struct chunk_stored *stored = chunk_storage_find(reader, name, places, ndim);
    (void)chunk_index_format(places, ndim, where, sizeof where);
    if (!stored)
        return err_set(reader->err, ERR_FORMAT, "tensor %.200s: no file is named for its chunk at %s",
                       tensor->name, where);
    const size_t file = chunk_storage_file(reader, stored);
    struct chunk_index_chunk *chunk = &tensor->chunks[tensor->chunk_count++];
    uint64_t *known = &reader->index->ends[file];
    const uint64_t end = stored->begin + stored->length; /* both are below 2^63 */
    *chunk = (struct chunk_index_chunk){.offset = places,
                                        .size = places + ndim,
                                        .file = file,
                                        .begin = stored->begin,
                                        .length = stored->length};
    if (stored->is_transformed)
        tensor->foreign = FOREIGN_TRANSFORMED;
    *known = end > *known ? end : *known;
    return 0;
}

/* Reads one chunk into `places`, its offsets and then its sizes; *ret_elements of it. */
static int read_chunk(struct chunk_reader *reader, struct pickle_value value,
                      const struct chunk_index_tensor *tensor, uint64_t *places, uint64_t *ret_elements)
{
    const struct tensor_shape *shape = &tensor->shape;
    struct tensor_shape size = {.ndim = 0};
    uint64_t offset[LIMIT_TENSOR_DIMS];
    int ndim = 0;
    if (!chunk_field_is_record(reader, value, "ChunkStorageMetadata"))
        return err_set(reader->err, ERR_FORMAT, "tensor %.200s: a chunk is none", tensor->name);
    int code = chunk_field_read_size(reader, chunk_field_of(reader, value, "offsets"), "the place of a chunk",
                                     offset, &ndim);
    if (!code)
        code = chunk_field_read_size(reader, chunk_field_of(reader, value, "sizes"), "the size of a chunk",
                                     size.dim, &size.ndim);
    if (code)
        return err_wrap(reader->err, "tensor %.200s", tensor->name);
    if (ndim != shape->ndim || size.ndim != shape->ndim)
        return err_set(reader->err, ERR_FORMAT,
                       "tensor %.200s: a chunk has %d dimensions and a place of %d, and not %d", tensor->name,
                       size.ndim, ndim, shape->ndim);
    for (int i = 0; i < ndim; i++) {
        if (!checked_range_within(offset[i], size.dim[i], shape->dim[i]))
            return err_set(reader->err, ERR_FORMAT, "tensor %.200s: a chunk reaches out of it", tensor->name);
    }
    memcpy(places, offset, (size_t)ndim * sizeof *places);
    memcpy(places + ndim, size.dim, (size_t)ndim * sizeof *places);
    return tensor_shape_elements(&size, ret_elements, reader->err); /* no more than of the tensor */
}

static int read_chunks(struct chunk_reader *reader, struct pickle_value list, struct chunk_text name,
                       struct chunk_index_tensor *tensor)
{
    if (list.kind != PICKLE_KIND_LIST)
        return err_set(reader->err, ERR_FORMAT, "tensor %.200s has no list of chunks", tensor->name);
    const struct pickle_object *object = &reader->pickle->objects[list.index];
    const size_t ndim = (size_t)tensor->shape.ndim;
    /* A list may be named many times in a pickle: so the chunks of all tensors together are bounded. */
    if ((reader->chunk_count += object->count) > LIMIT_CHUNKS)
        return err_set(reader->err, ERR_LIMIT, "more than the limit of %d chunks", LIMIT_CHUNKS);
    tensor->chunks = calloc(object->count + (size_t)1, sizeof *tensor->chunks);
    tensor->places = calloc(object->count * 2 * ndim + 1, sizeof *tensor->places);
    if (!tensor->chunks || !tensor->places)
        return err_set(reader->err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < object->count; i++) {
        uint64_t *places = tensor->places + tensor->chunk_count * 2 * ndim, elements = 0;
        int code = read_chunk(reader, object->items[i], tensor, places, &elements);
        if (!code && elements) /* ranks that have no part of a tensor write none */
            code = add_chunk(reader, tensor, name, places);
        if (code)
            return code;
    }
    return 0;
}

static int read_tensor(struct chunk_reader *reader, struct chunk_text name, struct pickle_value value)
{
    struct chunk_index_tensor *tensor = &reader->index->tensors[reader->index->count++];
    int code = tensor_name_check(name.bytes, name.size, reader->err);
    if (code)
        return code;
    *tensor = (struct chunk_index_tensor){.name = strndup(name.bytes, name.size)};
    if (!tensor->name)
        return err_set(reader->err, ERR_NO_MEMORY, "out of memory");
    code = read_dtype(reader, chunk_field_of(reader, value, "properties"), tensor);
    if (!code)
        code = chunk_field_read_size(reader, chunk_field_of(reader, value, "size"), "its size",
                                     tensor->shape.dim, &tensor->shape.ndim);
    if (!code)
        code = tensor_size_bytes(tensor->dtype, &tensor->shape, &tensor->size_bytes, reader->err);
    if (code)
        return err_wrap(reader->err, "tensor %.200s", tensor->name);
    return read_chunks(reader, chunk_field_of(reader, value, "chunks"), name, tensor);
}

static int compare_tensors(const void *a, const void *b)
{
    const struct chunk_index_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int read_tensors(struct chunk_reader *reader, struct pickle_value dict)
{
    struct chunk_index *index = reader->index;
    if (dict.kind != PICKLE_KIND_DICT)
        return err_set(reader->err, ERR_FORMAT, "state_dict_metadata is no dict");
    const struct pickle_object *object = &reader->pickle->objects[dict.index];
    index->tensors = calloc(object->count / 2 + 1, sizeof *index->tensors);
    if (!index->tensors)
        return err_set(reader->err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i + 1 < object->count; i += 2) {
        const struct chunk_text name = chunk_field_text(reader, object->items[i]);
        if (!name.bytes || !chunk_field_is_record(reader, object->items[i + 1], "TensorStorageMetadata"))
            continue; /* bytes, which are no tensor's */
        if (index->count == LIMIT_TENSORS)
            return err_set(reader->err, ERR_LIMIT, "more than the limit of %d tensors", LIMIT_TENSORS);
        int code = read_tensor(reader, name, object->items[i + 1]);
        if (code)
            return code;
    }
    if (index->count)
        qsort(index->tensors, index->count, sizeof *index->tensors, compare_tensors);
    for (size_t i = 1; i < index->count; i++) {
        if (strcmp(index->tensors[i - 1].name, index->tensors[i].name) == 0)
            return err_set(reader->err, ERR_FORMAT, "two tensors are named %.200s", index->tensors[i].name);
    }
    return 0;
}

int chunk_index_parse(const void *data, size_t size, struct chunk_index **ret_index, struct err *err)
{
    struct pickle *pickle = NULL;
    struct chunk_reader reader = {.index = calloc(1, sizeof *reader.index), .err = err};
    int code = reader.index ? pickle_load(data, size, PICKLE_DIALECT_TRAINER, &pickle, err)
                            : err_set(err, ERR_NO_MEMORY, "out of memory");
    reader.pickle = pickle;
    if (!code && !chunk_field_is_record(&reader, pickle->root, "Metadata") &&
        !chunk_field_is_record(&reader, pickle->root, "MCoreMetadata"))
        code = err_set(err, ERR_UNSUPPORTED, "it is not the metadata of torch.distributed.checkpoint");
    if (!code)
        code = chunk_storage_read(&reader, chunk_field_of(&reader, pickle->root, "storage_data"));
    if (!code)
        code = read_tensors(&reader, chunk_field_of(&reader, pickle->root, "state_dict_metadata"));
    if (!code) {
        *ret_index = reader.index;
        reader.index = NULL;
    }
    free(reader.stored);
    chunk_index_free(reader.index);
    pickle_free(pickle);
    return code;
}

void chunk_index_free(struct chunk_index *index)
{
    if (!index)
        return;
    for (size_t i = 0; index->tensors && i < index->count; i++) {
        free(index->tensors[i].name);
        free(index->tensors[i].chunks);
        free(index->tensors[i].places);
    }
    for (size_t i = 0; index->files && i < index->file_count; i++)
        free(index->files[i]);
    free(index->tensors);
    free(index->files);
    free(index->ends);
    free(index);
}

size_t chunk_index_memory(const struct chunk_index *index)
{
    size_t bytes = sizeof *index + index->count * sizeof *index->tensors +
                   index->file_count * (sizeof *index->files + sizeof *index->ends);
    for (size_t i = 0; i < index->count; i++) {
        const struct chunk_index_tensor *tensor = &index->tensors[i];
        const size_t places = 2 * (size_t)tensor->shape.ndim * sizeof *tensor->places;
        bytes += strlen(tensor->name) + 1 + tensor->chunk_count * (sizeof *tensor->chunks + places);
    }
    for (size_t i = 0; i < index->file_count; i++)
        bytes += strlen(index->files[i]) + 1;
    return bytes;
}

int chunk_index_find(const struct chunk_index *index, const char *name, size_t *ret_number)
{
    const struct chunk_index_tensor key = {.name = (char *)(uintptr_t)name};
    const struct chunk_index_tensor *found =
        index->count ? bsearch(&key, index->tensors, index->count, sizeof key, compare_tensors) : NULL;
    if (found)
        *ret_number = (size_t)(found - index->tensors);
    return found != NULL;
}
