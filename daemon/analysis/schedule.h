/*
 * The learning rate over a training run, since displacement per step falls when the rate falls, bifurcation
 * or not.
 *
 * Update k (from step k to step k + 1, k = 0, 1 ...) uses schedule_rate(k); with warm-up the first update
 * uses 0, which is why step 1 of every Pythia model equals step 0.
 */
#ifndef BIFURCATED_ANALYSIS_SCHEDULE_H
#define BIFURCATED_ANALYSIS_SCHEDULE_H

#include <stddef.h>

enum schedule_kind {
    SCHEDULE_KIND_UNKNOWN,
    SCHEDULE_KIND_CONSTANT,
    SCHEDULE_KIND_COSINE,      /* to rate_min at end_step, then constant */
    SCHEDULE_KIND_LINEAR,      /* to rate_min at end_step, then constant */
    SCHEDULE_KIND_NEOX_COSINE, /* as gpt-neox v1.0 megatron/learning_rates.py: the half period is end_step,
                                 counted from the end of the warm-up, and rate_min is a floor that is reached
                                 early */
    /* Warm-up, stable, decay (Hu et al. 2024, arXiv 2404.06395): rate_max until stable_until, then down to
     * rate_min at end_step, then constant. Of the share s of the way down, 1 is at the top: */
    SCHEDULE_KIND_WSD,            /* 1 - s */
    SCHEDULE_KIND_WSD_COSINE,     /* (1 + cos(pi s)) / 2 */
    SCHEDULE_KIND_WSD_SQRT,       /* 1 - sqrt(s) (Haegele et al. 2024, arXiv 2405.18392) */
    SCHEDULE_KIND_WSD_EXPONENTIAL /* by the same factor each step, as Hu et al. have it; rate_min above 0 */
};

struct schedule {
    enum schedule_kind kind;
    double rate_max, rate_min;
    double warmup_steps;
    double end_step;
    double weight_decay; /* decoupled (AdamW): w shrinks by rate * weight_decay at each update; 0 if none */
    double stable_until; /* of WSD's kinds, otherwise 0 */
};

/* Which step a run's number is: the steps are its numbers, or `each` times the number, counted from `first`
 * before 0 on. Of tokens, `each` is one over those of a batch. */
struct schedule_clock {
    double each, first; /* 1, 0 of a run that counts steps */
};

/* The step of a number, and the number of a step; whole where it is within 1e-6 of that, or rounding. */
double schedule_clock_step(const struct schedule_clock *clock, double number);
double schedule_clock_number(const struct schedule_clock *clock, double step);

/* What a run has accumulated by a step. */
struct schedule_sums {
    double step;
    double rate;          /* of the next update */
    double rates;         /* sum of the rates so far */
    double rates_squared; /* sum of their squares: what a random walk grows by */
    double log_kept;      /* sum of ln(1 - rate * decay); of a long run exp of it is nothing */
    double kept;          /* exp of it: the share of w(0) that weight decay leaves */
    double decayed_walk;  /* variance of a walk with steps of variance rate^2 under weight decay */
};

/* Whether the rate stays at its maximum until stable_until. */
int schedule_has_stable(enum schedule_kind kind);

/* The rate of update `step`; NaN for an unknown schedule. */
double schedule_rate(const struct schedule *schedule, double step);

/* The first step at which the rate has reached rate_min for good; NaN if it never does. */
double schedule_floor_step(const struct schedule *schedule);

/* Fills sums[i] for steps[i], ascending, within 1e-9 of the sums over all updates, relative, in some hundred
 * turns and one for each step, or up to some hundred for each where decay is strong
 * (daemon/analysis/schedule_sum.c). Beyond SCHEDULE_STEPS_MAX, for an unknown schedule, and where an update
 * would take more than SCHEDULE_DECAY_MAX of a weight, the sums are NaN. */
#define SCHEDULE_STEPS_MAX 50000000.0
#define SCHEDULE_DECAY_MAX 0.5
void schedule_accumulate(const struct schedule *schedule, const double *steps, size_t count,
                         struct schedule_sums *sums);

/* The schedule of a published model, by its name: EleutherAI's Pythia in all sizes, deduplicated or not, and
 * the PolyPythias (rates: README of EleutherAI/pythia; pythia-1b's configuration file says 2.5e-4 instead of
 * 3e-4); HuggingFaceTB/SmolLM3-3B-checkpoints (stage1_8T.yaml in text/pretraining/smollm3 of
 * huggingface/smollm: decay 0.1, but none of the embedding, which W_U is tied to); swiss-ai/Apertus-8B-2509
 * (pretraining/submit_apertus_8b.sh of swiss-ai/pretrain-code: warm-up over 4,096,000 samples of 1,024 a
 * step, descent over the last 403,905,806 of 3,662,109,375, 2,048 a step since step 1,678,000). Of its 70B
 * that folder has the last phase alone, whose peak is not that of the report. LLM360's Amber (main.py of
 * LLM360/amber-train: 360 chunks of 1,706,976 sequences in batches of 2,240, the function itself not seen)
 * and K2 (scripts/pretrain_65b.sh of LLM360/k2-train), each saved after every chunk. SCHEDULE_KIND_UNKNOWN
 * for other names. */
struct schedule schedule_of_model(const char *model);

/* What the numbers of such a model are in steps. */
struct schedule_clock schedule_clock_of_model(const char *model);

#endif
