#include "daemon/checkpoint/spread_part.h"

#include "daemon/base/limits.h"
#include "daemon/checkpoint/shard.h"

#include <stdlib.h>
#include <string.h>

#define WHOLE_BYTES                                                                                          \
    (8 * MIB) /* chunks up to this size are fetched at once, since each read of the hub is a request */

/* Bytes of one chunk that lie side by side in the tensor, too. All runs of a chunk are equally long and stand
 * one after the other in it. */
struct runs {
    const struct tensor_shape *shape;
    const struct chunk_index_chunk *chunk;
    uint64_t stride[LIMIT_TENSOR_DIMS]; /* of the tensor, in bytes */
    int axis;                           /* the outermost that a run goes along; 0 runs: none */
    uint64_t size_bytes, count;         /* of one, and how many */
};

/* -- Opening -- */

/* The elements of a chunk, in bytes. */
static uint64_t chunk_bytes(const struct chunk_index_tensor *tensor, const struct chunk_index_chunk *chunk)
{
    uint64_t bytes = tensor_dtype_bits(tensor->dtype) / 8;
    for (int i = 0; i < tensor->shape.ndim; i++)
        bytes *= chunk->size[i];
    return bytes;
}

/* torch.save adds a directory to the bytes. */
static int check_form(const struct chunk_index_tensor *tensor, const struct chunk_index_chunk *chunk,
                      struct err *err)
{
    if (chunk->length != chunk_bytes(tensor, chunk))
        return 0;
    return err_set(
        err, ERR_UNSUPPORTED,
        "it is in the safetensors form of torch.distributed.checkpoint, where the metadata does not say the "
        "place of a chunk; save with SerializationFormat.TORCH_SAVE, or a whole model with "
        "HuggingFaceStorageWriter");
}

static int check_described(const struct chunk_index_tensor *tensor, const struct chunk_index_chunk *chunk,
                           const struct shard *shard, struct err *err)
{
    struct shard_tensor found;
    char one[128], other[128];
    shard_describe(shard, 0, &found);
    if (found.foreign || found.is_repeating)
        return err_set(err, ERR_UNSUPPORTED, "its dtype or form (%s) is not read here",
                       found.foreign ? found.foreign : "its elements repeat in memory");
    if (found.dtype == tensor->dtype && found.shape.ndim == tensor->shape.ndim &&
        memcmp(found.shape.dim, chunk->size, (size_t)found.shape.ndim * sizeof *chunk->size) == 0)
        return 0;
    return err_set(err, ERR_FORMAT, "it is %s %s, and the metadata tells of %s %s",
                   tensor_dtype_name(found.dtype),
                   chunk_index_format(found.shape.dim, found.shape.ndim, one, sizeof one),
                   tensor_dtype_name(tensor->dtype),
                   chunk_index_format(chunk->size, tensor->shape.ndim, other, sizeof other));
}

static int open_bytes(struct source *file, const struct chunk_index_chunk *chunk, struct spread_part *part,
                      struct source **ret_source, struct err *err)
{
    if (chunk->length > WHOLE_BYTES)
        return source_open_part(file, chunk->begin, chunk->length, file->name, ret_source, err);
    part->whole = malloc((size_t)chunk->length + 1);
    if (!part->whole)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int code = source_read(file, chunk->begin, part->whole, (size_t)chunk->length, err);
    return code ? code : source_open_memory(file->name, part->whole, (size_t)chunk->length, ret_source, err);
}

int spread_part_blame(const struct chunk_index_tensor *tensor, const struct chunk_index_chunk *chunk,
                      struct err *err)
{
    char where[128];
    return err_wrap(err, "tensor %.200s, its chunk at %s", tensor->name,
                    chunk_index_format(chunk->offset, tensor->shape.ndim, where, sizeof where));
}

int spread_part_open(struct source *file, const struct chunk_index_tensor *tensor,
                     const struct chunk_index_chunk *chunk, struct spread_part *ret_part, struct err *err)
{
    struct source *source = NULL;
    *ret_part = (struct spread_part){.chunk = NULL};
    int code = check_form(tensor, chunk, err);
    if (!code)
        code = open_bytes(file, chunk, ret_part, &source, err);
    if (!code)
        code = shard_open(source, SHARD_FORMAT_TORCH_TENSOR, &ret_part->shard, err);
    if (!code)
        code = check_described(tensor, chunk, ret_part->shard, err);
    if (code) {
        spread_part_close(ret_part);
        return spread_part_blame(tensor, chunk, err);
    }
    ret_part->chunk = chunk;
    return 0;
}

void spread_part_close(struct spread_part *part)
{
    shard_close(part->shard);
    free(part->whole);
    *part = (struct spread_part){.chunk = NULL};
}

/* -- Bytes -- */

static void find_runs(const struct chunk_index_tensor *tensor, const struct chunk_index_chunk *chunk,
                      struct runs *runs)
{
    uint64_t step = tensor_dtype_bits(tensor->dtype) / 8;
    *runs = (struct runs){.shape = &tensor->shape, .chunk = chunk, .size_bytes = step, .count = 1};
    int axis = tensor->shape.ndim;
    int is_full = 1; /* along all axes that were seen */
    while (axis-- > 0) {
        runs->stride[axis] = step;
        step *= tensor->shape.dim[axis];
        if (is_full) {
            runs->axis = axis;
            runs->size_bytes *= chunk->size[axis];
        } else {
            runs->count *= chunk->size[axis];
        }
        is_full = is_full && chunk->size[axis] == tensor->shape.dim[axis];
    }
}

/* Where a run begins in the tensor. */
static uint64_t run_begin(const struct runs *runs, uint64_t number)
{
    uint64_t begin = 0;
    for (int i = runs->shape->ndim; i-- > 0;) {
        uint64_t index = 0;
        if (i < runs->axis) {
            index = number % runs->chunk->size[i];
            number /= runs->chunk->size[i];
        }
        begin += (runs->chunk->offset[i] + index) * runs->stride[i];
    }
    return begin;
}

/* The first run that ends behind a place of the tensor; they are in order. */
static uint64_t first_run_behind(const struct runs *runs, uint64_t place)
{
    uint64_t low = 0, high = runs->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (run_begin(runs, middle) + runs->size_bytes > place)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* What a run and [begin, end) of the tensor share. */
static void clip(const struct runs *runs, uint64_t number, uint64_t begin, uint64_t end, uint64_t *ret_from,
                 uint64_t *ret_to)
{
    const uint64_t start = run_begin(runs, number);
    *ret_from = start > begin ? start : begin;
    *ret_to = start + runs->size_bytes < end ? start + runs->size_bytes : end;
}

/* The runs that hold bytes of [begin, end); 0: none does. */
static int find_wanted(const struct runs *runs, uint64_t begin, uint64_t end, uint64_t *ret_first,
                       uint64_t *ret_last)
{
    *ret_first = first_run_behind(runs, begin);
    if (begin == end || *ret_first == runs->count || run_begin(runs, *ret_first) >= end)
        return 0;
    *ret_last = first_run_behind(runs, end - 1);
    if (*ret_last == runs->count || run_begin(runs, *ret_last) >= end)
        --*ret_last;
    return 1;
}

/* Reads what several runs hold of [begin, end): one piece of the chunk. */
static int read_runs(struct shard *shard, const struct runs *runs, uint64_t first, uint64_t last,
                     uint64_t begin, uint64_t end, unsigned char *data, struct err *err)
{
    uint64_t from = 0, to = 0;
    clip(runs, first, begin, end, &from, &to);
    const uint64_t piece_begin = first * runs->size_bytes + (from - run_begin(runs, first));
    if (first == last)
        return shard_read(shard, 0, piece_begin, data + (from - begin), (size_t)(to - from), err);
    clip(runs, last, begin, end, &from, &to);
    const uint64_t piece_end = last * runs->size_bytes + (to - run_begin(runs, last));
    unsigned char *piece = malloc((size_t)(piece_end - piece_begin));
    if (!piece)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int code = shard_read(shard, 0, piece_begin, piece, (size_t)(piece_end - piece_begin), err);
    for (uint64_t i = first, at = 0; i <= last && !code; i++) {
        clip(runs, i, begin, end, &from, &to);
        memcpy(data + (from - begin), piece + at, (size_t)(to - from));
        at += to - from;
    }
    free(piece);
    return code;
}

int spread_part_overlaps(const struct chunk_index_tensor *tensor, const struct chunk_index_chunk *chunk,
                         uint64_t begin, uint64_t end)
{
    struct runs runs;
    uint64_t first = 0, last = 0;
    find_runs(tensor, chunk, &runs);
    return find_wanted(&runs, begin, end, &first, &last);
}

int spread_part_read(const struct spread_part *part, const struct chunk_index_tensor *tensor, uint64_t begin,
                     uint64_t end, unsigned char *data, struct err *err)
{
    struct runs runs;
    uint64_t first = 0, last = 0;
    find_runs(tensor, part->chunk, &runs);
    return find_wanted(&runs, begin, end, &first, &last)
               ? read_runs(part->shard, &runs, first, last, begin, end, data, err)
               : 0;
}
