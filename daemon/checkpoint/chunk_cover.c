/*
 * Whether the chunks of a tensor are a whole, in chunk_index.h.
 */
#include "daemon/base/limits.h"
#include "daemon/checkpoint/chunk_index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A chunk's extent along one axis. */
struct extent {
    const struct chunk_index_chunk *chunk;
    uint64_t begin, end;
};

static uint64_t elements_of(const uint64_t *size, int ndim)
{
    uint64_t elements = 1;
    for (int i = 0; i < ndim; i++)
        elements *= size[i]; /* a tensor's, or fewer: its size in bytes does not overflow */
    return elements;
}

static int compare_extents(const void *left, const void *right)
{
    const struct extent *a = left, *b = right;
    return (a->begin > b->begin) - (a->begin < b->begin);
}

static int do_overlap(const struct chunk_index_chunk *a, const struct chunk_index_chunk *b, int ndim)
{
    for (int i = 0; i < ndim; i++) {
        if (a->offset[i] >= b->offset[i] + b->size[i] || b->offset[i] >= a->offset[i] + a->size[i])
            return 0;
    }
    return 1;
}

/* The axis along which a tensor is cut most: there the fewest chunks lie side by side. */
static int choose_axis(const struct chunk_index_tensor *tensor)
{
    int best = 0;
    uint64_t best_parts = 0;
    for (int i = 0; i < tensor->shape.ndim; i++) {
        uint64_t parts = tensor->shape.dim[i] / tensor->chunks[0].size[i];
        if (parts > best_parts) {
            best = i;
            best_parts = parts;
        }
    }
    return best;
}

/* Goes along the axis, and compares each chunk with those that have not ended yet. */
static int find_overlap(const struct chunk_index_tensor *tensor, struct extent *extents, struct err *err)
{
    const int ndim = tensor->shape.ndim;
    size_t open_count = 0, compared = 0; /* the open ones are kept at the front */
    for (size_t i = 0; i < tensor->chunk_count; i++) {
        const struct extent now = extents[i];
        size_t kept = 0;
        for (size_t j = 0; j < open_count; j++) {
            if (extents[j].end <= now.begin)
                continue;
            if (++compared > LIMIT_CHUNK_COMPARISONS)
                return err_set(err, ERR_LIMIT,
                               "tensor %.200s: it is cut too irregularly for its %zu chunks to be checked",
                               tensor->name, tensor->chunk_count);
            if (do_overlap(extents[j].chunk, now.chunk, ndim)) {
                char one[128], other[128];
                return err_set(err, ERR_FORMAT, "tensor %.200s: its chunks at %s and %s overlap",
                               tensor->name,
                               chunk_index_format(extents[j].chunk->offset, ndim, one, sizeof one),
                               chunk_index_format(now.chunk->offset, ndim, other, sizeof other));
            }
            extents[kept++] = extents[j];
        }
        extents[kept++] = now;
        open_count = kept;
    }
    return 0;
}

/* The bytes of a chunk in its file are those of its elements, and more: else sizes that a few bytes of
 * metadata claim would be believed, and memory be had for them. */
static int check_lengths(const struct chunk_index_tensor *tensor, struct err *err)
{
    for (size_t i = 0; i < tensor->chunk_count; i++) {
        const struct chunk_index_chunk *chunk = &tensor->chunks[i];
        char where[128];
        if (chunk->length / (tensor_dtype_bits(tensor->dtype) / 8) <
            elements_of(chunk->size, tensor->shape.ndim))
            return err_set(err, ERR_FORMAT,
                           "tensor %.200s: its chunk at %s is larger than the %" PRIu64 " bytes that hold it",
                           tensor->name,
                           chunk_index_format(chunk->offset, tensor->shape.ndim, where, sizeof where),
                           chunk->length);
    }
    return 0;
}

int chunk_index_check(const struct chunk_index_tensor *tensor, struct err *err)
{
    const int ndim = tensor->shape.ndim;
    const uint64_t wanted = elements_of(tensor->shape.dim, ndim);
    uint64_t found = 0;
    int code = 0;
    for (size_t i = 0; i < tensor->chunk_count && found <= wanted; i++)
        found += elements_of(tensor->chunks[i].size, ndim);
    if (tensor->chunk_count > 1 && ndim > 0) {
        const int axis = choose_axis(tensor);
        struct extent *extents = calloc(tensor->chunk_count, sizeof *extents);
        if (!extents)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        for (size_t i = 0; i < tensor->chunk_count; i++) {
            const struct chunk_index_chunk *chunk = &tensor->chunks[i];
            extents[i] = (struct extent){
                .chunk = chunk, .begin = chunk->offset[axis], .end = chunk->offset[axis] + chunk->size[axis]};
        }
        qsort(extents, tensor->chunk_count, sizeof *extents, compare_extents);
        code = find_overlap(tensor, extents, err);
        free(extents);
    }
    if (!code && found != wanted)
        code =
            err_set(err, ERR_FORMAT, "tensor %.200s: its chunks hold %" PRIu64 " of its %" PRIu64 " elements",
                    tensor->name, found, wanted);
    return code ? code : check_lengths(tensor, err);
}

char *chunk_index_format(const uint64_t *place, int ndim, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < ndim && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRIu64, i ? ", " : "", place[i]);
    if (used < size)
        (void)snprintf(text + used, size - used, "]");
    return text;
}
