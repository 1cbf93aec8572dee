/*
 * The metadata of a distributed checkpoint: files are safe paths, chunks lie inside of their tensors, and
 * those that are a whole hold as many elements as the tensor.
 */
#include "daemon/base/file.h"
#include "daemon/checkpoint/chunk_index.h"

#include <stdint.h>
#include <stdlib.h>

/* The elements of a chunk; a place or a size that reaches out of the tensor ends the program. */
static uint64_t count(const struct chunk_index_tensor *tensor, const struct chunk_index_chunk *chunk)
{
    uint64_t elements = 1;
    for (int i = 0; i < tensor->shape.ndim; i++) {
        if (chunk->offset[i] > tensor->shape.dim[i] ||
            chunk->size[i] > tensor->shape.dim[i] - chunk->offset[i])
            abort();
        elements *= chunk->size[i];
    }
    return elements;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chunk_index *index = NULL;
    struct err err = ERR_INIT;
    if (chunk_index_parse(data, size, &index, &err))
        return 0;
    for (size_t i = 0; i < index->file_count; i++) {
        if (!file_is_safe_relative(index->files[i]))
            abort();
    }
    for (size_t i = 0; i < index->count; i++) {
        const struct chunk_index_tensor *tensor = &index->tensors[i];
        uint64_t elements = 0, wanted = 0;
        size_t number = 0;
        if (!chunk_index_find(index, tensor->name, &number) || number != i)
            abort();
        for (size_t j = 0; j < tensor->chunk_count; j++) {
            const struct chunk_index_chunk *chunk = &tensor->chunks[j];
            elements += count(tensor, chunk);
            if (chunk->file >= index->file_count || chunk->begin + chunk->length > index->ends[chunk->file])
                abort();
        }
        if (chunk_index_check(tensor, &err) == 0 &&
            (tensor_shape_elements(&tensor->shape, &wanted, &err) || elements != wanted))
            abort();
    }
    chunk_index_free(index);
    return 0;
}
