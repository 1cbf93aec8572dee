#include "daemon/checkpoint/spread.h"

#include "daemon/base/checked.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/shard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_OPEN_MAX 64
#define PARTS_OPEN 4 /* where two tensors are read piece by piece by turns, two chunks of each */
#define WHOLE_BYTES                                                                                          \
    (8 * MIB) /* chunks up to this size are fetched at once, since each read of the hub is a request */

/* A chunk that is open. */
struct part {
    const struct chunk_index_chunk *chunk; /* NULL: none is */
    struct shard *shard;
    unsigned char *whole; /* its bytes, if they were fetched at once */
};

struct spread {
    struct checkpoint_files files;
    char *folder; /* of the metadata, with its slash; "" at the top */
    struct chunk_index *index;
    struct source **sources; /* one per file; NULL until it is opened */
    size_t open_count;
    struct part parts[PARTS_OPEN];
    size_t used, oldest; /* of them: the last one that was asked for, and which the next one replaces */
};

/* Bytes of one chunk that lie side by side in the tensor, too. All runs of a chunk are equally long and stand
 * one after the other in it. */
struct runs {
    const struct tensor_shape *shape;
    const struct chunk_index_chunk *chunk;
    uint64_t stride[LIMIT_TENSOR_DIMS]; /* of the tensor, in bytes */
    int axis;                           /* the outermost that a run goes along; 0 runs: none */
    uint64_t size_bytes, count;         /* of one, and how many */
};

static char *join(const struct spread *spread, const char *name)
{
    const size_t size = strlen(spread->folder) + strlen(name) + 1;
    char *path = malloc(size);
    if (path)
        (void)snprintf(path, size, "%s%s", spread->folder, name);
    return path;
}

/* -- Opening and closing -- */

static int read_metadata(struct spread *spread, const char *name, struct err *err)
{
    struct source *source = NULL;
    unsigned char *data = NULL;
    int code = spread->files.open(spread->files.context, name, &source, err);
    if (code)
        return code;
    if (source->size_bytes > LIMIT_PICKLE_BYTES)
        code = err_set(err, ERR_LIMIT, "%s: %" PRIu64 " bytes exceed the limit of %zu", name,
                       source->size_bytes, LIMIT_PICKLE_BYTES);
    else if (!(data = malloc((size_t)source->size_bytes + 1)))
        code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", name);
    if (!code)
        code = source_read(source, 0, data, (size_t)source->size_bytes, err);
    if (!code && chunk_index_parse(data, (size_t)source->size_bytes, &spread->index, err))
        code = err_wrap(err, "%s", name);
    free(data);
    source_close(source);
    return code;
}

int spread_open(const struct checkpoint_files *files, const char *metadata, struct spread **ret_spread,
                struct err *err)
{
    const char *slash = strrchr(metadata, '/');
    struct spread *spread = calloc(1, sizeof *spread);
    if (spread)
        spread->folder = strndup(metadata, slash ? (size_t)(slash - metadata) + 1 : 0);
    if (!spread || !spread->folder) {
        spread_close(spread);
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", metadata);
    }
    spread->files = *files;
    int code = read_metadata(spread, metadata, err);
    if (!code && !(spread->sources = calloc(spread->index->file_count + 1, sizeof(struct source *))))
        code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", metadata);
    if (code)
        spread_close(spread);
    else
        *ret_spread = spread;
    return code;
}

static void close_part(struct part *part)
{
    shard_close(part->shard);
    free(part->whole);
    *part = (struct part){.chunk = NULL};
}

static void close_files(struct spread *spread)
{
    for (size_t i = 0; i < PARTS_OPEN; i++)
        close_part(&spread->parts[i]);
    for (size_t i = 0; spread->sources && spread->open_count && i < spread->index->file_count; i++) {
        if (!spread->sources[i])
            continue;
        source_close(spread->sources[i]);
        spread->sources[i] = NULL;
        spread->open_count--;
    }
}

void spread_close(struct spread *spread)
{
    if (!spread)
        return;
    close_files(spread);
    free(spread->sources);
    chunk_index_free(spread->index);
    free(spread->folder);
    free(spread);
}

const struct chunk_index *spread_index(const struct spread *spread)
{
    return spread->index;
}

/* -- Files -- */

static int open_source(struct spread *spread, size_t file, const char *path, struct err *err)
{
    struct source **source = &spread->sources[file];
    if (!spread->files.has(spread->files.context, path))
        return err_set(err, ERR_NOT_FOUND, "%s: named by the metadata, but not there", path);
    if (spread->open_count == FILES_OPEN_MAX)
        close_files(spread);
    int code = spread->files.open(spread->files.context, path, source, err);
    if (code)
        return code;
    if ((*source)->size_bytes < spread->index->ends[file]) {
        code = err_set(err, ERR_FORMAT,
                       "%s: truncated: it has %" PRIu64 " bytes, and the metadata tells of %" PRIu64, path,
                       (*source)->size_bytes, spread->index->ends[file]);
        source_close(*source);
        *source = NULL; /* it may be longer the next time */
        return code;
    }
    spread->open_count++;
    return 0;
}

static int open_file(struct spread *spread, size_t file, struct err *err)
{
    if (spread->sources[file])
        return 0;
    char *path = join(spread, spread->index->files[file]);
    int code = path ? open_source(spread, file, path, err) : err_set(err, ERR_NO_MEMORY, "out of memory");
    free(path);
    return code;
}

int spread_check_files(struct spread *spread, struct err *err)
{
    int code = 0;
    for (size_t i = 0; i < spread->index->file_count && !code; i++)
        code = open_file(spread, i, err);
    return code;
}

/* -- Chunks -- */

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

static int open_bytes(struct spread *spread, const struct chunk_index_chunk *chunk, struct part *part,
                      struct source **ret_source, struct err *err)
{
    struct source *file = spread->sources[chunk->file];
    if (chunk->length > WHOLE_BYTES)
        return source_open_part(file, chunk->begin, chunk->length, file->name, ret_source, err);
    part->whole = malloc((size_t)chunk->length + 1);
    if (!part->whole)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int code = source_read(file, chunk->begin, part->whole, (size_t)chunk->length, err);
    return code ? code : source_open_memory(file->name, part->whole, (size_t)chunk->length, ret_source, err);
}

/* Makes the chunk the part that is used. */
static int open_chunk(struct spread *spread, const struct chunk_index_tensor *tensor,
                      const struct chunk_index_chunk *chunk, struct err *err)
{
    struct source *source = NULL;
    char where[128];
    for (size_t i = 0; i < PARTS_OPEN; i++) {
        if (spread->parts[i].chunk == chunk) {
            spread->used = i;
            return 0;
        }
    }
    spread->used = spread->oldest;
    spread->oldest = (spread->oldest + 1) % PARTS_OPEN;
    struct part *part = &spread->parts[spread->used];
    close_part(part);
    int code = check_form(tensor, chunk, err);
    if (!code)
        code = open_file(spread, chunk->file, err);
    if (!code)
        code = open_bytes(spread, chunk, part, &source, err);
    if (!code)
        code = shard_open(source, SHARD_FORMAT_TORCH_TENSOR, &part->shard, err);
    if (!code)
        code = check_described(tensor, chunk, part->shard, err);
    if (code) {
        close_part(part);
        return err_wrap(err, "tensor %.200s, its chunk at %s", tensor->name,
                        chunk_index_format(chunk->offset, tensor->shape.ndim, where, sizeof where));
    }
    part->chunk = chunk;
    return 0;
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

/* Reads what several runs hold of [begin, end): one piece of the chunk. */
static int read_runs(struct spread *spread, const struct runs *runs, uint64_t first, uint64_t last,
                     uint64_t begin, uint64_t end, unsigned char *data, struct err *err)
{
    struct shard *shard = spread->parts[spread->used].shard;
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

int spread_read(struct spread *spread, size_t number, uint64_t offset, void *data, size_t size,
                struct err *err)
{
    const struct chunk_index_tensor *tensor = &spread->index->tensors[number];
    const uint64_t end = offset + size;
    int code = 0;
    if (!checked_range_within(offset, size, tensor->size_bytes))
        return err_set(err, ERR_INVALID, "tensor %.200s has %" PRIu64 " bytes; %zu at %" PRIu64 " were asked",
                       tensor->name, tensor->size_bytes, size, offset);
    for (size_t i = 0; i < tensor->chunk_count && size && !code; i++) {
        struct runs runs;
        find_runs(tensor, &tensor->chunks[i], &runs);
        const uint64_t first = first_run_behind(&runs, offset);
        if (first == runs.count || run_begin(&runs, first) >= end)
            continue;
        uint64_t last = first_run_behind(&runs, end - 1);
        if (last == runs.count || run_begin(&runs, last) >= end)
            last--;
        code = open_chunk(spread, tensor, &tensor->chunks[i], err);
        if (!code)
            code = read_runs(spread, &runs, first, last, offset, end, data, err);
    }
    return code;
}
