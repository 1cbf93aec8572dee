/*
 * Which files of a repository hold its weights, by names alone.
 *
 * A repository may have weights twice: trainers that began to write safetensors leave the old
 * pytorch_model.bin where it is, of whatever step that was. So one layout is read, and what other files say
 * of a tensor counts for nothing. What is published comes before what trainers write to go on from:
 * torch.distributed.checkpoint, alone or in the folder of OLMo-core, Accelerate or NeMo; DeepSpeed; Megatron.
 */
#ifndef BIFURCATED_BASE_WEIGHT_LAYOUT_H
#define BIFURCATED_BASE_WEIGHT_LAYOUT_H

#include <stddef.h>

enum weight_form {
    WEIGHT_FORM_FILE,    /* it holds the tensors */
    WEIGHT_FORM_INDEX,   /* it names shards, which hold the tensors */
    WEIGHT_FORM_CHUNKS,  /* .metadata of torch.distributed.checkpoint: it names files that hold parts of
                            tensors */
    WEIGHT_FORM_RANKS,   /* the first rank's of DeepSpeed or Megatron: it may hold a part of the model */
    WEIGHT_FORM_POINTER, /* DeepSpeed's "latest": it names the folder in which the file lies */
};

struct weight_layout {
    const char *file; /* which is read first: a path below the checkpoint's folder */
    int is_torch;     /* else safetensors */
    enum weight_form form;
};

/* All of them, for messages. */
#define WEIGHT_LAYOUT_FILES                                                                                  \
    "model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json"

/* The layout by which a repository is read: safetensors before torch, of each whole files before shards; what
 * trainers write last. NULL: it has none. `has` says whether there is a file of this name. */
const struct weight_layout *weight_layout_choose(int (*has)(void *context, const char *name), void *context);

/* Whether names alone tell in which files the tensors lie; NULL: nothing does. Shards are
 * "model-00001-of-00003.safetensors": of those there must be one whole set, and beside it only what is known
 * to be none, since an index may name any file. Trainers that save again in other parts leave the old ones
 * where they are, and which of them count only the index says. Names are asked for in order, each at most
 * once, and stay. */
int weight_layout_is_told(const struct weight_layout *layout,
                          const char *(*name_at)(void *context, size_t index), size_t count, void *context);

/* Whether a tensor of this layout, if that is told, may lie in this file. */
int weight_layout_has(const struct weight_layout *layout, const char *path);

/* Whether the first file of a layout is one that only trainers write, not publishers. */
int weight_layout_is_of_trainer(const char *file);

/* Whether a path is of a file that may stand for a tensor of which other files hold parts, so that no file's
 * digest tells its content: metadata of chunks, or one of several ranks' files. */
int weight_layout_is_of_parts(const char *path);

/* The files that make their folder a checkpoint, for messages. */
#define WEIGHT_LAYOUT_MARKS                                                                                  \
    "config.json, *.safetensors, *.bin, .metadata of torch, mp_rank_00_model_states.pt or "                  \
    "mp_rank_00*/model_optim_rng.pt"

/* Whether a file at this path makes the folder that the path starts from a checkpoint: config.json in it,
 * *.safetensors or *.bin, or what a trainer's layout reads first. */
int weight_layout_is_of_checkpoint(const char *path);

/* Whether the file at this path is one that a layout reads first. Then *ret_size becomes the size of its
 * checkpoint's path, 0 for the top: where the file lies, or above that where trainers put the weights into a
 * folder of a fixed name. (Not "latest": anything may be called so.) */
int weight_layout_is_first(const char *path, size_t *ret_size);

#endif
