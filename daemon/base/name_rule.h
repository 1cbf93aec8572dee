/*
 * Rules that read the names of a run's revisions.
 *
 * Each family of models names its branches or tags in its own way: "step1000", "stage1-step1000-tokens5B",
 * "ckpt_012", "240b_tokens". A rule is a template with the placeholders {step}, {stage}, {ingredient},
 * {tokens}, {checkpoint} and {epoch}, a number that is not used; it must match the whole name. {step} takes
 * digits and an optional k (thousand); {tokens} takes digits, an optional fraction and an optional K, M, B or
 * T of either case. '*' takes any text, also none, and as little of it as lets the rest match; a number after
 * it is read from its first digit.
 */
#ifndef BIFURCATED_BASE_NAME_RULE_H
#define BIFURCATED_BASE_NAME_RULE_H

#include "daemon/base/err.h"
#include "daemon/base/limits.h"

#include <stdint.h>

#define NAME_RULE_STARS_MAX 4
#define NAME_RULE_SIZE (LIMIT_REVISION_NAME_BYTES + 64) /* placeholders may be longer than their numbers */

/* Larger steps are no doubles, in which analyses and most readers of JSON have them; no training takes as
 * many. */
#define NAME_RULE_STEP_MAX ((int64_t)1 << 53)

enum name_rule_part {
    NAME_RULE_PART_STEP,
    NAME_RULE_PART_STAGE,
    NAME_RULE_PART_INGREDIENT,
    NAME_RULE_PART_TOKENS,
    NAME_RULE_PART_EPOCH,
    NAME_RULE_PART_CHECKPOINT,
    NAME_RULE_PART_COUNT
};

/* Whether a rule is well-formed, with at most NAME_RULE_STARS_MAX '*', and holds {step}, {tokens} or
 * {checkpoint}; ERR_INVALID with the reason if not. */
int name_rule_check(const char *rule, struct err *err);

/* Whether the whole name matches; then the numbers that the rule names are set, the others left as they are.
 * Work: at most the name's length times the rule's, whatever they hold. */
int name_rule_read(const char *rule, const char *name, int64_t numbers[NAME_RULE_PART_COUNT]);

/* The rule for the run that a name is of: the name with placeholders for its numbers
 * ("step1250-seed-small-aux-2": "step{step}-seed-small-aux-2"). 0, and rule "", for a name without "step" and
 * a number, with a '*', or that is too long for a rule. */
int name_rule_write(const char *name, char rule[NAME_RULE_SIZE]);

#endif
