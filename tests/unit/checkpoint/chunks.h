/*
 * Hand-made metadata of a distributed checkpoint, for the tests of its readers: pickle's protocol 2.
 */
#ifndef BIFURCATED_TESTS_UNIT_CHECKPOINT_CHUNKS_H
#define BIFURCATED_TESTS_UNIT_CHECKPOINT_CHUNKS_H

#include "tests/unit/checkpoint/bytes.h"

#define CHUNKS_CLASS "ctorch.distributed.checkpoint.metadata\n"

static inline void chunks_put_size(struct buf *buf, const int64_t *numbers, int count)
{
    pickle_op(buf, "ctorch\nSize\n");
    pickle_tuple(buf, numbers, count);
    pickle_op(buf, "\x85R");
}

struct chunks_piece {
    int64_t offset[2], size[2];
    const char *file;
    int64_t begin, length;
};

static inline void chunks_put_tensor(struct buf *buf, const int64_t *shape, const struct chunks_piece *pieces,
                                     int count)
{
    pickle_text(buf, "w");
    pickle_op(buf, CHUNKS_CLASS "TensorStorageMetadata\n)\x81}(");
    pickle_text(buf, "properties");
    pickle_op(buf, CHUNKS_CLASS "TensorProperties\n)\x81(ctorch\nfloat16\nN\x89N\x89tb");
    pickle_text(buf, "size");
    chunks_put_size(buf, shape, 2);
    pickle_text(buf, "chunks");
    pickle_op(buf, "](");
    for (int i = 0; i < count; i++) {
        pickle_op(buf, CHUNKS_CLASS "ChunkStorageMetadata\n)\x81}(");
        pickle_text(buf, "offsets");
        chunks_put_size(buf, pieces[i].offset, 2);
        pickle_text(buf, "sizes");
        chunks_put_size(buf, pieces[i].size, 2);
        pickle_op(buf, "ub");
    }
    pickle_op(buf, "eub");
}

/* Metadata of one tensor "w" of float16. */
static inline void chunks_put_metadata(struct buf *buf, const int64_t *shape,
                                       const struct chunks_piece *pieces, int count)
{
    (void)buf_append(buf, "\x80\x02", 2);
    pickle_op(buf, CHUNKS_CLASS "Metadata\n)\x81}(");
    pickle_text(buf, "state_dict_metadata");
    pickle_op(buf, "}(");
    chunks_put_tensor(buf, shape, pieces, count);
    pickle_op(buf, "u");
    pickle_text(buf, "storage_data");
    pickle_op(buf, "}(");
    for (int i = 0; i < count; i++) {
        pickle_op(buf, CHUNKS_CLASS "MetadataIndex\n)\x81}(");
        pickle_text(buf, "fqn");
        pickle_text(buf, "w");
        pickle_text(buf, "offset");
        chunks_put_size(buf, pieces[i].offset, 2);
        pickle_op(buf, "ub");
        pickle_op(buf, "ctorch.distributed.checkpoint.filesystem\n_StorageInfo\n)\x81}(");
        pickle_text(buf, "relative_path");
        pickle_text(buf, pieces[i].file);
        pickle_text(buf, "offset");
        pickle_integer(buf, pieces[i].begin);
        pickle_text(buf, "length");
        pickle_integer(buf, pieces[i].length);
        pickle_op(buf, "ub");
    }
    pickle_op(buf, "uub.");
}

#endif
