/*
 * storage_data of a distributed checkpoint's metadata: in which bytes of which file each chunk lies.
 */
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/chunk_parts.h"

#include <stdlib.h>
#include <string.h>

static int read_count(const struct chunk_reader *reader, struct pickle_value record, const char *name,
                      uint64_t *ret_count)
{
    const struct pickle_value value = chunk_field_of(reader, record, name);
    if (value.kind != PICKLE_KIND_INTEGER || value.integer < 0)
        return err_set(reader->err, ERR_FORMAT, "storage_data: the %s of a chunk is not a number", name);
    *ret_count = (uint64_t)value.integer;
    return 0;
}

static int compare_places(const uint64_t *a, const uint64_t *b, int ndim)
{
    int order = 0;
    for (int i = 0; i < ndim && !order; i++)
        order = (a[i] > b[i]) - (a[i] < b[i]);
    return order;
}

static int compare_stored(const void *left, const void *right)
{
    const struct chunk_stored *a = left, *b = right;
    int order = chunk_field_compare(a->tensor, b->tensor);
    if (!order)
        order = (a->ndim > b->ndim) - (a->ndim < b->ndim);
    return order ? order : compare_places(a->offset, b->offset, a->ndim);
}

static int read_stored(struct chunk_reader *reader, struct pickle_value key, struct pickle_value info,
                       struct chunk_stored *stored)
{
    if (!chunk_field_is_record(reader, key, "MetadataIndex") ||
        !chunk_field_is_record(reader, info, "_StorageInfo"))
        return err_set(reader->err, ERR_UNSUPPORTED,
                       "storage_data: it is not what torch's FileSystemWriter writes, and not read");
    const struct pickle_value offset = chunk_field_of(reader, key, "offset");
    const struct pickle_value extensions = chunk_field_of(reader, info, "transform_descriptors");
    stored->tensor = chunk_field_text(reader, chunk_field_of(reader, key, "fqn"));
    stored->file = chunk_field_text(reader, chunk_field_of(reader, info, "relative_path"));
    stored->ndim = -1;
    stored->is_transformed = (extensions.kind == PICKLE_KIND_LIST || extensions.kind == PICKLE_KIND_TUPLE) &&
                             reader->pickle->objects[extensions.index].count > 0;
    if (!stored->tensor.bytes || !stored->file.bytes)
        return err_set(reader->err, ERR_FORMAT, "storage_data: a chunk has no name, or no file");
    if (stored->tensor.size > LIMIT_TENSOR_NAME_BYTES || stored->file.size > LIMIT_FILE_NAME_BYTES)
        return err_set(reader->err, ERR_LIMIT, "storage_data: a name of %zu bytes, or a file's of %zu",
                       stored->tensor.size, stored->file.size);
    int code =
        offset.kind == PICKLE_KIND_NONE
            ? 0
            : chunk_field_read_size(reader, offset, "storage_data: a place", stored->offset, &stored->ndim);
    if (!code)
        code = read_count(reader, info, "offset", &stored->begin);
    if (!code)
        code = read_count(reader, info, "length", &stored->length);
    return code;
}

static int compare_addresses(const void *a, const void *b)
{
    const struct chunk_text *x = a, *y = b;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int compare_names(const void *a, const void *b)
{
    const struct chunk_text *x = a, *y = b;
    return chunk_field_compare(*x, *y);
}

/* Sorts texts, and keeps one of those that compare equal; returns how many there are. */
static size_t keep_each_once(struct chunk_text *texts, size_t count,
                             int (*compare)(const void *, const void *))
{
    size_t kept = 0;
    if (count)
        qsort(texts, count, sizeof *texts, compare);
    for (size_t i = 0; i < count; i++) {
        if (!kept || compare(&texts[kept - 1], &texts[i]) != 0)
            texts[kept++] = texts[i];
    }
    return kept;
}

static int copy_name(struct chunk_text text, char **ret_name, struct err *err)
{
    char *name = *ret_name = strndup(text.bytes, text.size);
    if (!name)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    if (strlen(name) == text.size && file_is_safe_relative(name))
        return 0;
    return err_set(
        err, ERR_FORMAT,
        "storage_data: \"%.120s\" is not a file beside it: names with a backslash, control characters "
        "or a path out of its folder are refused",
        name);
}

/* The names of all files, each once. A pickle may name one text any number of times: so texts are told apart
 * by where they stand before any is compared or copied, and what this takes is bounded by the pickle's size.
 */
static int collect_files(struct chunk_reader *reader)
{
    struct chunk_index *index = reader->index;
    struct chunk_text *texts = calloc(reader->stored_count + 1, sizeof *texts);
    if (!texts)
        return err_set(reader->err, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < reader->stored_count; i++)
        texts[i] = reader->stored[i].file;
    size_t count = keep_each_once(texts, reader->stored_count, compare_addresses);
    count = keep_each_once(texts, count, compare_names);
    int code = count > LIMIT_SHARDS
                   ? err_set(reader->err, ERR_LIMIT, "storage_data: %zu files, more than the limit of %d",
                             count, LIMIT_SHARDS)
                   : 0;
    index->files = calloc(count + 1, sizeof *index->files);
    index->ends = calloc(count + 1, sizeof *index->ends);
    if (!code && (!index->files || !index->ends))
        code = err_set(reader->err, ERR_NO_MEMORY, "out of memory");
    while (!code && index->file_count < count) {
        const size_t number = index->file_count++;
        code = copy_name(texts[number], &index->files[number], reader->err);
    }
    free(texts);
    return code;
}

int chunk_storage_read(struct chunk_reader *reader, struct pickle_value dict)
{
    if (dict.kind != PICKLE_KIND_DICT)
        return err_set(reader->err, ERR_UNSUPPORTED,
                       "storage_data is no dict: it does not say where the chunks are");
    const struct pickle_object *object = &reader->pickle->objects[dict.index];
    if (object->count / 2 > LIMIT_CHUNKS)
        return err_set(reader->err, ERR_LIMIT, "storage_data: more than the limit of %d chunks",
                       LIMIT_CHUNKS);
    reader->stored = calloc(object->count / 2 + 1, sizeof *reader->stored);
    if (!reader->stored)
        return err_set(reader->err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i + 1 < object->count; i += 2) {
        int code = read_stored(reader, object->items[i], object->items[i + 1],
                               &reader->stored[reader->stored_count++]);
        if (code)
            return code;
    }
    if (reader->stored_count)
        qsort(reader->stored, reader->stored_count, sizeof *reader->stored, compare_stored);
    for (size_t i = 1; i < reader->stored_count; i++) {
        const struct chunk_stored *one = &reader->stored[i];
        if (compare_stored(one - 1, one) == 0)
            return err_set(reader->err, ERR_FORMAT, "storage_data: a chunk of %.*s is stored twice",
                           one->tensor.size > 200 ? 200 : (int)one->tensor.size, one->tensor.bytes);
    }
    return collect_files(reader);
}

static int compare_text_to_file(const void *key, const void *element)
{
    const struct chunk_text *text = key, name = {*(char *const *)element, strlen(*(char *const *)element)};
    return chunk_field_compare(*text, name);
}

/* A tensor in one piece may have an entry without a place. */
const struct chunk_stored *chunk_storage_find(const struct chunk_reader *reader, struct chunk_text tensor,
                                              const uint64_t *offset, int ndim)
{
    struct chunk_stored key = {.tensor = tensor, .ndim = ndim};
    memcpy(key.offset, offset, (size_t)ndim * sizeof *offset);
    const struct chunk_stored *found =
        reader->stored_count ? bsearch(&key, reader->stored, reader->stored_count, sizeof key, compare_stored)
                             : NULL;
    for (int i = 0; i < ndim && !found; i++) {
        if (offset[i])
            return NULL;
    }
    key.ndim = -1;
    if (!found && reader->stored_count)
        found = bsearch(&key, reader->stored, reader->stored_count, sizeof key, compare_stored);
    return found;
}

size_t chunk_storage_file(const struct chunk_reader *reader, const struct chunk_stored *stored)
{
    const struct chunk_index *index = reader->index;
    char **file = bsearch(&stored->file, index->files, index->file_count, sizeof *file, compare_text_to_file);
    return (size_t)(file - index->files); /* collect_files saw every name */
}
