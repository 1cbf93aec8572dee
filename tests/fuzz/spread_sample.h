/*
 * For fuzz_spread.c: a tensor in chunks as torch.distributed.checkpoint writes it, and what may be wrong with
 * it.
 */
#ifndef BIFURCATED_TESTS_FUZZ_SPREAD_SAMPLE_H
#define BIFURCATED_TESTS_FUZZ_SPREAD_SAMPLE_H

#include "tests/unit/checkpoint/chunks.h"

#include <stdio.h>

#define DIMS LIMIT_TENSOR_DIMS
#define LENGTH_MAX 8 /* of a dimension: a bit for each element in a byte */
#define ELEMENTS_MAX 2000
#define CHUNKS_MAX 48
#define FILES_MAX 6

enum { IS_SHARED = 1, IS_TURNED = 2, HAS_EMPTY = 4 }; /* switches; the dtype is in the bits above */

/* The first ones may make other values, or other chunks' places, of what is still a checkpoint. */
enum fault {
    METADATA,
    CONTENT,
    OFFSET,
    BEGIN,
    LENGTH,
    SIZE,
    TWICE,
    UNTOLD,
    UNSTORED,
    HIDDEN,
    SHORT,
    FAULT_COUNT
};

struct chunk {
    int64_t offset[DIMS], size[DIMS];
    int file, is_stored;
    int64_t begin, length;
};

struct sample {
    const char *dtype, *storage;
    int element_bytes, switches, ndim, file_count, chunk_count, is_spoilt, is_other, hidden;
    int64_t shape[DIMS], elements;
    struct chunk chunks[CHUNKS_MAX + 1];
    struct buf metadata, files[FILES_MAX];
    int is_fetched;
};

static inline void require(int condition)
{
    if (!condition)
        abort();
}

static inline void row_major(const int64_t *shape, int ndim, int64_t *stride)
{
    int64_t step = 1;
    for (int i = ndim; i-- > 0;) {
        stride[i] = step;
        step *= shape[i];
    }
}

static inline int64_t count_elements(const int64_t *shape, int ndim)
{
    int64_t count = 1;
    for (int i = 0; i < ndim; i++)
        count *= shape[i];
    return count;
}

static inline void put_element(unsigned char *at, int64_t number, int element_bytes)
{
    const uint64_t value = ((uint64_t)number + 1) * 0x9e3779b97f4a7c15U;
    for (int i = 0; i < element_bytes; i++)
        at[i] = (unsigned char)(value >> (56 - 8 * i));
}

/* -- What there is --------------------------------------------------------------------------------------- */

/* Cuts each chunk so far along one more axis. */
static inline void cut(struct sample *sample, int axis, unsigned cuts)
{
    const int before = sample->chunk_count;
    int pieces = 1;
    for (int i = 0; i + 1 < sample->shape[axis]; i++)
        pieces += (int)(cuts >> i & 1);
    if (before * pieces > CHUNKS_MAX)
        pieces = 1;
    for (int i = 0; i < before; i++)
        sample->chunks[i].size[axis] = sample->shape[axis];
    for (int i = 0; i < before && pieces > 1; i++) {
        struct chunk *now = &sample->chunks[i];
        const struct chunk whole = *now;
        for (int64_t at = 0, end = 1; end <= sample->shape[axis]; end++) {
            if (end < sample->shape[axis] && !(cuts >> (end - 1) & 1))
                continue;
            *now = whole;
            now->offset[axis] = at;
            now->size[axis] = end - at;
            at = end;
            now = &sample->chunks[sample->chunk_count];
            sample->chunk_count += end < sample->shape[axis];
        }
    }
}

static inline uint8_t next(const uint8_t **data, size_t *size)
{
    if (*size == 0)
        return 0;
    --*size;
    return *(*data)++;
}

static inline void read_sample(const uint8_t **data, size_t *size, struct sample *sample)
{
    static const struct {
        const char *dtype, *storage;
        int bytes;
    } dtypes[] = {{"uint8", "ByteStorage", 1},
                  {"bfloat16", "BFloat16Storage", 2},
                  {"float32", "FloatStorage", 4},
                  {"float64", "DoubleStorage", 8}};
    *sample = (struct sample){.switches = next(data, size), .hidden = -1};
    const int dtype = sample->switches >> 6;
    sample->dtype = dtypes[dtype].dtype;
    sample->storage = dtypes[dtype].storage;
    sample->element_bytes = dtypes[dtype].bytes;
    sample->ndim = next(data, size) % (DIMS + 1);
    sample->elements = 1;
    for (int i = 0; i < sample->ndim; i++) {
        sample->shape[i] = 1 + next(data, size) % LENGTH_MAX;
        if (sample->elements * sample->shape[i] > ELEMENTS_MAX)
            sample->shape[i] = 1;
        sample->elements *= sample->shape[i];
    }
    sample->chunk_count = 1;
    for (int i = 0; i < sample->ndim; i++)
        cut(sample, i, next(data, size));
    sample->file_count = 1 + next(data, size) % FILES_MAX;
    for (int i = 0; i < sample->chunk_count; i++) {
        sample->chunks[i].file = i * 5 % sample->file_count;
        sample->chunks[i].is_stored = 1;
    }
    if (sample->ndim && sample->switches & HAS_EMPTY) { /* of a rank that has no part of the tensor */
        struct chunk *empty = &sample->chunks[sample->chunk_count++];
        *empty = sample->chunks[0];
        empty->offset[0] = sample->shape[0];
        empty->size[0] = 0;
        empty->is_stored = 0;
    }
}

/* -- Files ----------------------------------------------------------------------------------------------- */

/* The chunk's elements as they lie in its storage: by rows, or turned. */
static inline void put_values(const struct sample *sample, const struct chunk *chunk, const int64_t *stride,
                              unsigned char *values)
{
    const int64_t count = count_elements(chunk->size, sample->ndim);
    int64_t whole[DIMS];
    row_major(sample->shape, sample->ndim, whole);
    for (int64_t i = 0; i < count; i++) {
        int64_t left = i, number = 0, at = 0;
        for (int axis = sample->ndim; axis-- > 0;) {
            const int64_t index = left % chunk->size[axis];
            left /= chunk->size[axis];
            number += (chunk->offset[axis] + index) * whole[axis];
            at += index * stride[axis];
        }
        put_element(values + at * sample->element_bytes, number, sample->element_bytes);
    }
}

static inline void put_chunk(struct sample *sample, struct chunk *chunk, int is_turned)
{
    static unsigned char values[ELEMENTS_MAX * 8];
    struct bytes_tensor tensor = {.storage = sample->storage, .key = "0", .ndim = sample->ndim};
    struct buf *file = &sample->files[chunk->file], pickle, zip;
    memcpy(tensor.shape, chunk->size, sizeof chunk->size);
    tensor.storage_elements = count_elements(chunk->size, sample->ndim);
    row_major(tensor.shape, sample->ndim, tensor.stride);
    for (int64_t i = 0, step = 1; i < sample->ndim && is_turned; i++) {
        tensor.stride[i] = step;
        step *= tensor.shape[i];
    }
    put_values(sample, chunk, tensor.stride, values);
    buf_init(&pickle, MIB);
    buf_init(&zip, MIB);
    (void)buf_append(&pickle, "\x80\x02", 2);
    pickle_tensor_alone(&pickle, &tensor);
    pickle_op(&pickle, ".");
    const struct bytes_record records[] = {
        {.name = "archive/data.pkl", .data = pickle.data, .size = pickle.size},
        {.name = "archive/data/0",
         .data = values,
         .size = (size_t)tensor.storage_elements * (size_t)sample->element_bytes},
        {.name = "archive/version", .data = "3\n", .size = 2}};
    bytes_zip_build(&zip, records, 3, NULL);
    (void)buf_append_text(file, "between");
    chunk->begin = (int64_t)file->size;
    chunk->length = (int64_t)zip.size;
    (void)buf_append(file, zip.data, zip.size);
    buf_free(&zip);
    buf_free(&pickle);
}

static inline void put_size(struct buf *buf, const char *name, const int64_t *numbers, int count)
{
    pickle_text(buf, name);
    chunks_put_size(buf, numbers, count);
}

static inline void put_stored(const struct sample *sample, const struct chunk *chunk, struct buf *buf)
{
    char file[32];
    (void)snprintf(file, sizeof file, "__%d_0.distcp", chunk->file);
    pickle_op(buf, CHUNKS_CLASS "MetadataIndex\n)\x81}(");
    pickle_text(buf, "fqn");
    pickle_text(buf, "w");
    put_size(buf, "offset", chunk->offset, sample->ndim);
    pickle_op(buf, "ub");
    pickle_op(buf, "ctorch.distributed.checkpoint.filesystem\n_StorageInfo\n)\x81}(");
    pickle_text(buf, "relative_path");
    pickle_text(buf, file);
    pickle_text(buf, "offset");
    pickle_integer(buf, chunk->begin);
    pickle_text(buf, "length");
    pickle_integer(buf, chunk->length);
    pickle_op(buf, "ub");
}

static inline void put_metadata(struct sample *sample)
{
    struct buf *buf = &sample->metadata;
    (void)buf_append(buf, "\x80\x02", 2);
    pickle_op(buf, CHUNKS_CLASS "Metadata\n)\x81}(");
    pickle_text(buf, "state_dict_metadata");
    pickle_op(buf, "}(");
    pickle_text(buf, "w");
    pickle_op(buf, CHUNKS_CLASS "TensorStorageMetadata\n)\x81}(");
    pickle_text(buf, "properties");
    (void)buf_appendf(buf, CHUNKS_CLASS "TensorProperties\n)\x81(ctorch\n%s\nN\x89N\x89tb", sample->dtype);
    put_size(buf, "size", sample->shape, sample->ndim);
    pickle_text(buf, "chunks");
    pickle_op(buf, "](");
    for (int i = 0; i < sample->chunk_count; i++) {
        pickle_op(buf, CHUNKS_CLASS "ChunkStorageMetadata\n)\x81}(");
        put_size(buf, "offsets", sample->chunks[i].offset, sample->ndim);
        put_size(buf, "sizes", sample->chunks[i].size, sample->ndim);
        pickle_op(buf, "ub");
    }
    pickle_op(buf, "eubu");
    pickle_text(buf, "storage_data");
    pickle_op(buf, "}(");
    for (int i = 0; i < sample->chunk_count; i++) {
        if (sample->chunks[i].is_stored)
            put_stored(sample, &sample->chunks[i], buf);
    }
    pickle_op(buf, "uub.");
}

/* -- Faults ---------------------------------------------------------------------------------------------- */

static inline void spoil_bytes(struct sample *sample, struct buf *buf, const uint8_t *told)
{
    const size_t place = (size_t)(told[1] | told[2] << 8);
    if (place < buf->size && told[3]) {
        ((unsigned char *)buf->data)[place] ^= told[3];
        sample->is_spoilt = 1;
    }
}

/* What is wrong before the metadata is written, or after it. */
static inline void spoil(struct sample *sample, const uint8_t *told, int is_after)
{
    const enum fault fault = (enum fault)(told[0] % FAULT_COUNT);
    struct chunk *chunk = &sample->chunks[told[1] % sample->chunk_count];
    const int axis = sample->ndim ? told[2] % sample->ndim : 0;
    const int64_t by = (int8_t)told[3];
    struct buf *file = &sample->files[told[1] % sample->file_count];
    if (is_after != (fault == METADATA || fault == CONTENT || fault == SHORT))
        return;
    if (fault == METADATA)
        spoil_bytes(sample, &sample->metadata, told);
    else if (fault == CONTENT)
        spoil_bytes(sample, &sample->files[told[0] / FAULT_COUNT % sample->file_count], told);
    else if (fault == SHORT)
        file->size -= file->size < told[3] ? file->size : told[3];
    else if (fault == HIDDEN)
        sample->hidden = told[1] % sample->file_count;
    else if (fault == TWICE && sample->chunk_count <= CHUNKS_MAX)
        sample->chunks[sample->chunk_count++] = *chunk;
    else if (fault == UNTOLD && sample->chunk_count > 1)
        *chunk = sample->chunks[--sample->chunk_count];
    else if (fault == UNSTORED)
        chunk->is_stored = 0;
    else if (fault == BEGIN)
        chunk->begin += by;
    else if (fault == LENGTH)
        chunk->length += by;
    else if (fault == OFFSET)
        chunk->offset[axis] += by;
    else if (fault == SIZE)
        chunk->size[axis] += by;
    sample->is_spoilt = 1;
    sample->is_other |= fault < SIZE;
}

#endif
