/*
 * Which files of a repository hold its weights, by names alone.
 *
 * A repository may have weights twice: trainers that began to write safetensors leave the old
 * pytorch_model.bin where it is, of whatever step that was. So one layout is read, and what other files say
 * of a tensor counts for nothing.
 */
#ifndef BIFURCATED_BASE_WEIGHT_LAYOUT_H
#define BIFURCATED_BASE_WEIGHT_LAYOUT_H

#include <stddef.h>

struct weight_layout {
    const char *file; /* which is read first */
    int is_torch;     /* else safetensors */
    int is_index;     /* the file names shards, which hold the tensors */
};

/* All of them, for messages. */
#define WEIGHT_LAYOUT_FILES                                                                                  \
    "model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json"

/* The layout by which a repository is read: whole files before shards; safetensors before torch, or the other
 * way round. NULL: it has none. `has` says whether there is a file of this name. */
const struct weight_layout *weight_layout_choose(int (*has)(void *context, const char *name), void *context,
                                                 int does_prefer_torch);

/* Whether names alone tell in which files the tensors lie; NULL: nothing does. Shards are
 * "model-00001-of-00003.safetensors": of those there must be one whole set, and beside it only what is known
 * to be none, since an index may name any file. Trainers that save again in other parts leave the old ones
 * where they are, and which of them count only the index says. Names are asked for in order, each at most
 * once, and stay. */
int weight_layout_is_told(const struct weight_layout *layout,
                          const char *(*name_at)(void *context, size_t index), size_t count, void *context);

/* Whether a tensor of this layout, if that is told, may lie in this file. */
int weight_layout_has(const struct weight_layout *layout, const char *path);

/* Whether a file of this name makes its folder a checkpoint: config.json, *.safetensors or *.bin. */
int weight_layout_is_of_checkpoint(const char *name);

#endif
