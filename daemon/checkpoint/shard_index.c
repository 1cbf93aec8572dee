#include "daemon/checkpoint/shard_index.h"

#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/json_load.h"
#include "daemon/checkpoint/tensor_name.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* One value per tensor, and room for metadata. */
#define VALUES_MAX ((size_t)LIMIT_TENSORS * 2)
#define CONTAINERS_MAX ((size_t)10000)

static int compare_texts(const void *a, const void *b)
{
    char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static int compare_entries(const void *a, const void *b)
{
    const struct shard_index_entry *x = a, *y = b;
    return strcmp(x->tensor, y->tensor);
}

/* Collects the names of the files, each once. Here index->files may hold all of `map`'s values at first. */
static int collect_files(json_t *map, struct shard_index *index, struct err *err)
{
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value)
    {
        if (tensor_name_check(tensor, strlen(tensor), err))
            return err_wrap(err, "weight_map");
        if (!json_is_string(value))
            return err_set(err, ERR_FORMAT, "weight_map: the file of tensor %.200s is not a string", tensor);
        if (!file_is_safe_relative(json_string_value(value)))
            return err_set(
                err, ERR_FORMAT,
                "weight_map: tensor %.120s is in \"%.120s\", not a file of this revision: names with a "
                "backslash, control characters or a path out of it are refused",
                tensor, json_string_value(value));
        index->files[index->file_count] = strdup(json_string_value(value));
        if (!index->files[index->file_count])
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        index->file_count++;
    }
    qsort(index->files, index->file_count, sizeof *index->files, compare_texts);
    size_t kept = 0;
    for (size_t i = 0; i < index->file_count; i++) {
        if (kept && strcmp(index->files[kept - 1], index->files[i]) == 0)
            free(index->files[i]);
        else
            index->files[kept++] = index->files[i];
    }
    index->file_count = kept;
    if (kept > LIMIT_SHARDS)
        return err_set(err, ERR_LIMIT, "weight_map: %zu files, more than the limit of %d", kept,
                       LIMIT_SHARDS);
    return 0;
}

static int collect_entries(json_t *map, struct shard_index *index, struct err *err)
{
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value)
    {
        const char *file = json_string_value(value);
        char **found = bsearch(&file, index->files, index->file_count, sizeof *index->files, compare_texts);
        struct shard_index_entry *entry = &index->entries[index->entry_count];
        entry->tensor = strdup(tensor);
        if (!entry->tensor)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        entry->file = (size_t)(found - index->files); /* collect_files saw every value */
        index->entry_count++;
    }
    qsort(index->entries, index->entry_count, sizeof *index->entries, compare_entries);
    return 0;
}

int shard_index_parse(const char *json, size_t size, struct shard_index **ret_index, struct err *err)
{
    struct shard_index *index = NULL;
    int code;
    json_t *root = json_load_bounded(json, size, VALUES_MAX, CONTAINERS_MAX, err);
    if (!root)
        return err->code;
    json_t *map = json_object_get(root, "weight_map");
    size_t count = json_object_size(map);
    if (!json_is_object(map) || count == 0) {
        code = err_set(err, ERR_FORMAT, "\"weight_map\" is missing, empty or no object");
        goto out;
    }
    if (count > LIMIT_TENSORS) {
        code = err_set(err, ERR_LIMIT, "weight_map: %zu tensors, more than the limit of %d", count,
                       LIMIT_TENSORS);
        goto out;
    }
    index = calloc(1, sizeof *index);
    if (index) {
        index->files = calloc(count, sizeof *index->files);
        index->entries = calloc(count, sizeof *index->entries);
    }
    if (!index || !index->files || !index->entries) {
        code = err_set(err, ERR_NO_MEMORY, "out of memory");
        goto out;
    }
    code = collect_files(map, index, err);
    if (!code)
        code = collect_entries(map, index, err);
    if (code)
        goto out;
    *ret_index = index;
    index = NULL;
out:
    shard_index_free(index);
    json_decref(root);
    return code;
}

const struct shard_index_entry *shard_index_find(const struct shard_index *index, const char *tensor)
{
    const struct shard_index_entry key = {.tensor = (char *)(uintptr_t)tensor};
    return bsearch(&key, index->entries, index->entry_count, sizeof *index->entries, compare_entries);
}

void shard_index_free(struct shard_index *index)
{
    if (!index)
        return;
    for (size_t i = 0; index->entries && i < index->entry_count; i++)
        free(index->entries[i].tensor);
    for (size_t i = 0; index->files && i < index->file_count; i++)
        free(index->files[i]);
    free(index->entries);
    free(index->files);
    free(index);
}
