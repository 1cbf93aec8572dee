/*
 * An index of shards: every file that it names must be a safe path.
 */
#include "daemon/base/file.h"
#include "daemon/checkpoint/shard_index.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shard_index *index = NULL;
    struct err err = ERR_INIT;
    if (shard_index_parse((const char *)data, size, &index, &err))
        return 0;
    for (size_t i = 0; i < index->entry_count; i++) {
        const struct shard_index_entry *entry = shard_index_find(index, index->entries[i].tensor);
        if (!entry || entry->file >= index->file_count || !file_is_safe_relative(index->files[entry->file]))
            abort();
    }
    shard_index_free(index);
    return 0;
}
