/*
 * Scoring on the GPU (gpu/score.h). One thread at a time per device, as for the device itself.
 */
#ifndef BIFURCATED_GPU_CUDA_SCORE_H
#define BIFURCATED_GPU_CUDA_SCORE_H

#include "gpu/cuda/device.h"
#include "gpu/score.h"

struct cuda_model;

/* Whether it can (backend_table.model_check). */
int cuda_score_check(const struct score_config *config, struct err *err);

/* Loads a model: resident where the budget (or the free memory) holds it, else one layer at a time, streamed
 * from the caller's views whenever it is scored. Beside another model: resident, or ERR_NO_MEMORY. */
int cuda_score_load(struct cuda_device *device, const struct score_model_source *source,
                    struct cuda_model **ret_model, struct err *err);

int cuda_score_run(struct cuda_model *model, const struct score_request *request, struct score_result *result,
                   struct err *err);

/* What it takes; see score_model_source.beside. */
void cuda_score_need(const struct cuda_model *model, struct score_need *ret_need);

/* NULL is allowed. */
void cuda_score_free(struct cuda_model *model);

#endif
