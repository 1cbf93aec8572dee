/*
 * From a revision's name to its place in the training run.
 *
 * Names are read by rules (daemon/base/name_rule.h): those of the published families, or one of the user's.
 * The name is never changed: what is read of it is for ordering and labels.
 *
 * A user's rule reads the whole name. Without one, a name that says another place than a branch or tag
 * (daemon/base/revision_place.h) is read by its part that tells: a folder's last component, the title that
 * transformers' Trainer gives its commits, the end of a repository's name.
 */
#ifndef BIFURCATED_MODEL_REVISION_H
#define BIFURCATED_MODEL_REVISION_H

#include "daemon/base/name_rule.h"
#include "daemon/base/step_unit.h"

#include <stdint.h>

struct model_revision {
    int is_step;   /* 0: not a point of the training run ("main", "refs/pr/1"); the rest is then unset */
    int64_t stage; /* 0 if not named: has_stage. Words name it, too: "anneal_iter_0001000" is of stage 2 */
    int64_t ingredient; /* 0 if not named: has_ingredient */
    int64_t step;
    enum step_unit unit; /* what `step` counts: tokens where the name says these alone, words, epochs,
                            checkpoints */
    int64_t tokens;      /* seen so far; -1 if unknown; from the name, else by the tokens of each step or
                            checkpoint, if these are known and do not count from 0 again */
    int has_stage, has_ingredient;
};

/* Places a revision of a model ("owner/name", which may be NULL) by the table of rules, or by `rule` alone
 * if it is not NULL. Always succeeds: a name that no rule matches is not a step. */
void model_revision_parse(const char *model, const char *revision, const char *rule,
                          struct model_revision *ret_revision);

/* The rule for the series that a repository belongs to whose name ends like a revision: of
 * "google/multiberts-seed_0-step_20k", "hf://google/multiberts-seed_0-step_{step}". Returns 0, and rule "",
 * for other names. */
int model_revision_write_series_rule(const char *model, char rule[NAME_RULE_SIZE]);

/* Step order: negative, 0 or positive as `a` comes before, with or after `b`. By stage, ingredient, step,
 * tokens; what is not a step comes last. */
int model_revision_compare(const struct model_revision *a, const struct model_revision *b);

#endif
