/*
 * A request while it is scored: the plan, and where everything lies in the scratch memory of the device.
 *
 * The documents of a wave go through the layers batch by batch and leave the hidden states of their targets;
 * then these meet the unembedding together. The packed arrays of a whole wave are sent at once, so the host
 * runs ahead of the device.
 */
#ifndef BIFURCATED_GPU_CUDA_SCORE_RUN_H
#define BIFURCATED_GPU_CUDA_SCORE_RUN_H

#include "gpu/cuda/score_model.h"
#include "gpu/score_tiles.h"

/* Inputs of a batch, unless one document is longer: the narrower the model, the more keep the device busy. */
#define SCORE_BATCH_ELEMENTS ((size_t)1 << 26) /* of a hidden state */
#define SCORE_BATCH_INPUTS_MIN ((size_t)16384)
#define SCORE_BATCH_INPUTS_MAX ((size_t)65536)
#define SCORE_WAVE_INPUTS ((size_t)1 << 22)
#define SCORE_WAVE_BYTES (256 * MIB)   /* of hidden states that wait for the unembedding */
#define SCORE_HEAD_ROWS ((size_t)1024) /* 32 MiB of logits: they stay in the L2 of the larger devices */

struct run {
    struct cuda_model *model;
    struct score_plan plan;
    const struct score_plan_wave *wave;
    struct score_result *result;
    struct score_place *batches; /* [plan.batch_count] */
    size_t wave_tiles_max;

    /* On the host: the packed arrays of a wave. */
    uint32_t *host_words, *host_offsets;
    struct score_tile *host_tiles;
    uint32_t *host_begins; /* [expert_count + 1] of the layer at work (score_routes) */

    /* On the device, in one piece. `t` below is the model's type, B the inputs of a batch, q and kv the
     * widths of all heads' queries and keys, C the choices of experts that B inputs have. */
    void *scratch;
    size_t scratch_bytes;
    float *hidden;                        /* [B or, streamed, the wave's inputs; d] */
    void *normed, *normed_mlp;            /* [B, d] t */
    float *product;                       /* [B, d], of families whose norms come after attention and MLP */
    void *qkv;                            /* [B, q + 2 kv] t; in the last layer then: */
    float *picked_hidden;                 /* [targets of the batch, d] */
    void *picked_attended;                /* [targets of the batch, q] t */
    void *attended, *wide;                /* [B, q] t, [B or C, model's up_width] t; together also: */
    void *joined;                         /* [B, q + intermediate] t: attended beside wide */
    void *states;                         /* [targets of the wave, d] t, after the final norm */
    uint32_t *ids, *positions;            /* [inputs of the wave] */
    uint32_t *target_rows, *target_ids;   /* [targets of the wave] */
    struct score_tile *tiles;             /* [tiles of the wave] */
    float *cosine[2], *sine[2];           /* [positions, rotary_dimensions / 2]; the second: unscaled */
    struct score_head_state *head_states; /* [SCORE_HEAD_ROWS] */
    float *logits;                        /* [SCORE_HEAD_ROWS, SCORE_HEAD_COLUMNS] */
    double *logprobs;                     /* [targets of the wave] */
    uint8_t *is_argmax;
    float *router_logits; /* [B, expert_count] */
    void *grouped;        /* [C, d] t, the inputs of the experts; once they are used: */
    float *answers;       /* [C, d] */
    struct score_routes routes;
};

/* Plans within the room that there is and takes the memory; where it is refused, with smaller batches. Free
 * with run_done also after failure. */
int run_init(struct run *run, struct cuda_model *model, const struct score_request *request,
             struct score_result *result, struct err *err);
void run_done(struct run *run);

/* Bytes of scratch memory that the largest request takes, given room. */
uint64_t run_bytes_max(const struct cuda_model *model);

/* Packs the wave's batches and sends their arrays. */
int run_pack_wave(struct run *run, struct err *err);

/* Launches one layer for one batch of the wave; the first embeds, the last leaves `states`. */
int run_layer(struct run *run, size_t batch_number, uint64_t layer, struct err *err);

/* Launches the unembedding for the wave's targets. */
int run_head(struct run *run, struct err *err);

#endif
