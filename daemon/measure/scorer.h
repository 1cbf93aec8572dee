/*
 * Which device scores a model: the one that tensors are measured on, or, where that is a GPU whose module
 * does not compute the model, the processor beside it. The result says which (backend, precision).
 *
 * A GPU computes in half precision, whose numbers end at 65504 where the weights are stored as float16 or
 * float32. What passes that is scored again in float32 and recorded as such (ARCHITECTURE.md says why).
 *
 * The processor is opened when the first such model comes.
 */
#ifndef BIFURCATED_MEASURE_SCORER_H
#define BIFURCATED_MEASURE_SCORER_H

#include "daemon/base/err.h"
#include "daemon/measure/device_turns.h"
#include "gpu/registry.h"
#include "gpu/score.h"

#include <stdint.h>

struct scorers;

struct scorer {
    struct device_turns *turns;
    const char *backend;   /* "cpu", "cuda" */
    const char *precision; /* what SCORE_PRECISION_DEFAULT means there, "float32" or "half" */
    const char *wide;      /* SCORE_PRECISION_F32, for what overflows; NULL where that is the default */
};

/* `device` with its `turns`, and how the processor is opened; borrowed until scorers_free. */
int scorers_new(const struct registry *registry, struct device *device, struct device_turns *turns,
                const struct backend_options *processor, struct scorers **ret_scorers, struct err *err);

/* Nobody scores any more. NULL is allowed. */
void scorers_free(struct scorers *scorers);

/* Tells the log, once for a sweep, that a revision of it is scored again in `wide`. Safe for threads. */
void scorers_report_overflow(struct scorers *scorers, int64_t sweep_id, const char *revision);

/* The same of products that the device does the slow way; `slow` as score_result has it, "" is no news. */
void scorers_report_slow(struct scorers *scorers, int64_t sweep_id, const char *slow);

/* Chooses for the model of a sweep, of which the log is told once where it is not the device. What opening
 * the processor reports. Safe for threads. */
int scorers_choose(struct scorers *scorers, int64_t sweep_id, const struct score_config *config,
                   struct scorer *ret_scorer, struct err *err);

#endif
