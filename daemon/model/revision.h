/*
 * From a revision's name to its place in the training run.
 *
 * Each family of models names its branches or tags in its own way: "step1000", "stage1-step1000-tokens5B",
 * "ckpt_012", "240b_tokens". A rule is a template with the placeholders {step}, {stage}, {ingredient},
 * {tokens} and {epoch}, a number that is not used; it must match the whole name. {step} takes digits and an
 * optional k (thousand); {tokens} takes digits, an optional fraction and an optional K, M, B or T of either
 * case. The name is never changed: what is parsed is for ordering and labels.
 */
#ifndef BIFURCATED_MODEL_REVISION_H
#define BIFURCATED_MODEL_REVISION_H

#include "daemon/base/err.h"

#include <stdint.h>

struct model_revision {
    int is_step;        /* 0: not a point of the training run ("main", "refs/pr/1"); the rest is then unset */
    int64_t stage;      /* 0 if not named: has_stage */
    int64_t ingredient; /* 0 if not named: has_ingredient */
    int64_t step;       /* -1 if the name counts tokens only */
    int64_t tokens;     /* seen so far; -1 if unknown; from the name, else step * tokens per step if known */
    int has_stage, has_ingredient;
};

/* Places a revision of a model ("owner/name", which may be NULL) by the table of rules, or by `rule` alone
 * if it is not NULL. Always succeeds: a name that no rule matches is not a step. */
void model_revision_parse(const char *model, const char *revision, const char *rule,
                          struct model_revision *ret_revision);

/* Whether a template is well-formed and holds {step} or {tokens}; ERR_INVALID with the reason if not. */
int model_revision_check_rule(const char *rule, struct err *err);

/* Step order: negative, 0 or positive as `a` comes before, with or after `b`. By stage, ingredient, step,
 * tokens; what is not a step comes last. */
int model_revision_compare(const struct model_revision *a, const struct model_revision *b);

#endif
