/*
 * Which files the ranks of DeepSpeed, GPT-NeoX or Megatron wrote, by their names alone. Private to ranks.c.
 *
 * DeepSpeed (runtime/engine.py) writes mp_rank_RR_model_states.pt for each rank of model parallelism. Where
 * its PipelineModule holds the model (runtime/pipe/module.py: GPT-NeoX, so Pythia, and Megatron-DeepSpeed, so
 * BLOOM), the weights are not in these, but in layer_LL-model_RR-model_states.pt for each layer and rank of
 * tensor parallelism; layers without weights have none. Megatron (training/checkpointing.py) writes
 * mp_rank_RR/model_optim_rng.pt, or mp_rank_RR_SSS/model_optim_rng.pt with stages of a pipeline, or with
 * ranks of experts.
 */
#ifndef BIFURCATED_CHECKPOINT_RANKS_GRID_H
#define BIFURCATED_CHECKPOINT_RANKS_GRID_H

#include "daemon/base/limits.h"
#include "daemon/checkpoint/checkpoint.h"

#define RANKS_GRID_MAX 1000 /* of ranks, stages and layers each: more digits are not looked for */
#define RANKS_GRID_PATH_SIZE (LIMIT_FILE_NAME_BYTES + 64)

enum ranks_style {
    RANKS_STYLE_DEEPSPEED,
    RANKS_STYLE_LAYERS,       /* beside DeepSpeed's files, layer_LL-model_RR-model_states.pt */
    RANKS_STYLE_PLAIN_LAYERS, /* the same without tensor parallelism: layer_LL-model_states.pt */
    RANKS_STYLE_MEGATRON,
    RANKS_STYLE_STAGES, /* mp_rank_RR_SSS */
};

struct ranks_grid {
    enum ranks_style style;
    char folder[LIMIT_FILE_NAME_BYTES + 1]; /* with its slash; "" at the top */
    int ranks;                              /* of tensor parallelism */
    int first, last;                        /* layer or stage; 0 of what has none */
    int rank_files;                         /* of DeepSpeed, beside layers */
};

/* `path` is that of the first rank. ERR_NOT_FOUND names a file that is missing among others. */
int ranks_grid_find(const struct checkpoint_files *files, const char *path, struct ranks_grid *ret_grid,
                    struct err *err);

/* The name of one of them. Returns `path`, of RANKS_GRID_PATH_SIZE. */
const char *ranks_grid_name(const struct ranks_grid *grid, int stage, int rank, char *path);

/* Of DeepSpeed's file beside layers. */
const char *ranks_grid_name_state(const struct ranks_grid *grid, int rank, char *path);

/* Whether the style has such a layer or stage between the first and the last one: layers may have no files.
 */
int ranks_grid_has(const struct checkpoint_files *files, const struct ranks_grid *grid, int stage);

#endif
