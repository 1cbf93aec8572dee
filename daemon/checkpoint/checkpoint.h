/*
 * A checkpoint: the named tensors of one revision of a model, wherever its files lie.
 *
 * It reads through byte sources that the caller opens by name, so it does not know whether a file is local or
 * on the hub. Four published layouts are read: model.safetensors, model.safetensors.index.json with shards,
 * pytorch_model.bin (torch zip) and pytorch_model.bin.index.json with shards; and what trainers write to go
 * on from: chunks of torch.distributed.checkpoint, and the ranks' files of DeepSpeed, GPT-NeoX or Megatron
 * (base/weight_layout.h; where there are several, the embeddings and the output layer alone). Opening reads
 * one header or one index; with shards, only the shard that holds a wanted tensor is opened. Bytes are handed
 * out contiguous, in row-major order and little-endian, whatever their layout in the file.
 *
 * A checkpoint is used by one thread at a time.
 */
#ifndef BIFURCATED_CHECKPOINT_CHECKPOINT_H
#define BIFURCATED_CHECKPOINT_CHECKPOINT_H

#include "daemon/base/err.h"
#include "daemon/base/source.h"
#include "gpu/tensor.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct checkpoint;

/* How a checkpoint comes at its files. `name` is a file's name inside of the revision ("model.safetensors",
 * "sub/x.bin"), always safe (file_is_safe_relative). Chunks in several files are read by several threads,
 * each of which may ask. */
struct checkpoint_files {
    /* Whether the revision holds this file; answered from its listing, without a request. */
    int (*has)(void *context, const char *name);
    /* Opens it; the checkpoint closes *ret_source. */
    int (*open)(void *context, const char *name, struct source **ret_source, struct err *err);
    void *context; /* outlives the checkpoint */

    /* Which files they are, so that what was parsed of equal ones is parsed once; NULL: that is not known */
    const char *content;
    const atomic_bool *cancel; /* ends waits for others who parse, once it is true; or NULL */
};

struct checkpoint_tensor {
    const char *name;
    enum tensor_dtype dtype;
    struct tensor_shape shape;
    uint64_t size_bytes; /* as handed out: elements * size of one */
    const char
        *same_as;      /* tied weights of a torch file: the first of their names, of the others; else NULL */
    const char *file;  /* the one file that its bytes lie in (for digests) */
    int is_spread;     /* they lie in several, which `file` names or is the first of: no digest is theirs */
    int is_contiguous; /* 0: gathered from a strided layout on reading */
    size_t shard;      /* private: which file ... */
    size_t index;      /* ... and which of its tensors */
};

/* Finds the layout that `files` holds and reads its header or index. ERR_NOT_FOUND names the files that were
 * looked for. The caller closes *ret_checkpoint. */
int checkpoint_open(const struct checkpoint_files *files, struct checkpoint **ret_checkpoint,
                    struct err *err);

/* Closes every source. NULL is allowed. */
void checkpoint_close(struct checkpoint *checkpoint);

/* The names of all tensors, sorted by bytes; known without opening shards. Borrowed. */
size_t checkpoint_name_count(const struct checkpoint *checkpoint);
const char *checkpoint_name(const struct checkpoint *checkpoint, size_t index);

/* Describes one tensor; opens its shard if need be. ERR_NOT_FOUND where there is none; ERR_UNSUPPORTED where
 * its dtype is not known, or its elements repeat in memory (stride 0), so that it claims more than the file
 * holds: then ret_tensor->name is set, which it is not where the whole shard is not supported. The strings in
 * *ret_tensor are borrowed from the checkpoint. */
int checkpoint_find(struct checkpoint *checkpoint, const char *name, struct checkpoint_tensor *ret_tensor,
                    struct err *err);

/* Whether all files are there and whole, as far as that can be told without reading tensors: of chunks and
 * ranks, of which finding a tensor looks at few. */
int checkpoint_check_files(struct checkpoint *checkpoint, struct err *err);

/* Whether the model has more tensors than there are names. */
int checkpoint_is_part(const struct checkpoint *checkpoint);

/* Says that the tensor will be read soon, so that its source may fetch ahead. May read a torch record's
 * header. */
void checkpoint_will_need(struct checkpoint *checkpoint, const struct checkpoint_tensor *tensor);

/* Reads the whole tensor; size is tensor->size_bytes. */
int checkpoint_read(struct checkpoint *checkpoint, const struct checkpoint_tensor *tensor, void *data,
                    size_t size, struct err *err);

/* Reads `size` of its contiguous bytes from `offset`, so that a large tensor can be streamed. A strided
 * tensor that is not mapped is kept in memory from its first range until another strided one is read. */
int checkpoint_read_range(struct checkpoint *checkpoint, const struct checkpoint_tensor *tensor,
                          uint64_t offset, void *data, size_t size, struct err *err);

/* Whether the tensor's bytes lie contiguous in a source that several threads may read at once (a file); then
 * *ret_source, borrowed until checkpoint_close, has them from *ret_offset on. Where they do not, or cannot be
 * located, checkpoint_read has to do it, or says why. */
int checkpoint_locate(struct checkpoint *checkpoint, const struct checkpoint_tensor *tensor,
                      struct source **ret_source, uint64_t *ret_offset);

/* The tensor's bytes in place where its file is mapped and it is contiguous, else NULL. Not necessarily
 * aligned; borrowed until checkpoint_close. */
const void *checkpoint_map(struct checkpoint *checkpoint, const struct checkpoint_tensor *tensor);

#endif
