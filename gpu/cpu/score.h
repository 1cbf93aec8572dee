/*
 * Scoring on the CPU: loads a model, runs requests.
 *
 * Each thread takes whole batches through the layers by itself, with single-threaded products, so threads
 * meet only once per wave and results do not depend on their number.
 */
#ifndef BIFURCATED_GPU_CPU_SCORE_H
#define BIFURCATED_GPU_CPU_SCORE_H

#include "gpu/cpu/isa.h"
#include "gpu/cpu/threads.h"
#include "gpu/score.h"

struct cpu_score_model;

/* ERR_NO_MEMORY with numbers where the model does not fit its budget; what score_weights_find reports. The
 * caller frees *ret_model before the threads. */
int cpu_score_load(struct cpu_threads *threads, enum cpu_isa isa, const struct score_model_source *source,
                   struct cpu_score_model **ret_model, struct err *err);

/* Scores a request; `result` was made for its targets. ERR_INVALID, ERR_NO_MEMORY, ERR_CANCELLED. */
int cpu_score_run(struct cpu_score_model *model, const struct score_request *request,
                  struct score_result *result, struct err *err);

/* NULL is allowed. */
void cpu_score_free(struct cpu_score_model *model);

#endif
