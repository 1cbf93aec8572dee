/*
 * A batch of a wave in one layer: what score_layer.c launches, and score_attend.c of it.
 */
#ifndef BIFURCATED_GPU_CUDA_SCORE_STEP_H
#define BIFURCATED_GPU_CUDA_SCORE_STEP_H

#include "gpu/cuda/score_run.h"

struct step {
    struct run *run;
    const struct cuda_layer *layer;
    int is_rotated, is_scaled; /* queries and keys, and by scaled angles */
    int is_after;              /* the norms of the family */
    double scale;              /* of attention */
    uint32_t window;           /* likewise */
    const struct score_plan_batch *batch;
    const struct score_place *place;
    float *hidden; /* of the rows at work */
    void *attended, *normed_mlp, *wide;
    uint64_t rows;
    uint64_t attended_stride, wide_stride; /* elements from row to row */
    int is_joined; /* attended and wide are one, and so is their way to the residual stream */
};

/* `width` elements by a weight. */
static inline struct score_rms step_rms(const struct step *step, const float *weight, uint64_t rows,
                                        uint64_t width)
{
    return (struct score_rms){.weight = weight,
                              .rows = (uint32_t)rows,
                              .width = (uint32_t)width,
                              .epsilon = (float)step->run->model->config.norm_epsilon};
}

/* From what attention sees of the rows, `normed`, to `attended`: queries, keys and values, which are cut,
 * normalised and rotated where the family does that, and the attention of all of them. */
int step_attend(const struct step *step, struct err *err);

#endif
