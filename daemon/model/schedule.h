/*
 * The learning rate as a function of the step, to tell what the schedule alone does to the weights.
 */
#ifndef BIFURCATED_MODEL_SCHEDULE_H
#define BIFURCATED_MODEL_SCHEDULE_H

#include "daemon/base/err.h"

#include <stdint.h>

/* symbol, name, what the rate does after a linear warm-up */
#define MODEL_SCHEDULE_KINDS(X)                                                                              \
    X(MODEL_SCHEDULE_KIND_COSINE, "cosine",                                                                  \
      "half a cosine from the peak at the end of warm-up to the floor at the last step")                     \
    X(MODEL_SCHEDULE_KIND_COSINE_NEOX, "cosine_neox",                                                        \
      "the cosine of GPT-NeoX 1.0: over all steps, to zero, clamped at the floor")                           \
    X(MODEL_SCHEDULE_KIND_LINEAR, "linear", "a straight line from the peak to the floor at the last step")   \
    X(MODEL_SCHEDULE_KIND_CONSTANT, "constant", "the peak")

enum model_schedule_kind {
#define X(symbol, name, meaning) symbol,
    MODEL_SCHEDULE_KINDS(X)
#undef X
        MODEL_SCHEDULE_KIND_COUNT
};

struct model_schedule {
    enum model_schedule_kind kind;
    double peak;          /* learning rate at the end of warm-up */
    double floor;         /* lowest rate after warm-up */
    int64_t warmup_steps; /* linear from 0 */
    int64_t total_steps;
    double weight_decay; /* decoupled, per unit of learning rate; 0 if none or unknown */
};

/* The schedule of a model that is in the table ("EleutherAI/pythia-70m-seed3"); ERR_NOT_FOUND else. */
int model_schedule_find(const char *model, struct model_schedule *ret_schedule, struct err *err);

/* Whether the numbers make sense; ERR_INVALID if not. */
int model_schedule_check(const struct model_schedule *schedule, struct err *err);

/* "cosine_neox" to its kind; ERR_INVALID for an unknown name. */
int model_schedule_kind_parse(const char *name, enum model_schedule_kind *ret_kind, struct err *err);

/* The rate of iteration `step`, which makes the weights of step + 1; iterations are counted from 0, whose
 * rate is 0 with warm-up (so step1 equals step0 in the Pythia suite). */
double model_schedule_rate(const struct model_schedule *schedule, int64_t step);

/* The sum of the rates of the iterations 0 ... step - 1: the "time" that the weights of `step` have seen. */
double model_schedule_sum(const struct model_schedule *schedule, int64_t step);

#endif
