/*
 * A rule that reads the names of one run of several that a repository has: one of these names with
 * placeholders for its numbers ("step1250-seed-small-aux-2": "step{step}-seed-small-aux-2"). What rules are:
 * daemon/model/revision.h.
 */
#ifndef BIFURCATED_BASE_NAME_RULE_H
#define BIFURCATED_BASE_NAME_RULE_H

#include "daemon/base/limits.h"

#define NAME_RULE_SIZE (LIMIT_REVISION_NAME_BYTES + 64) /* placeholders may be longer than their numbers */

/* Writes the rule; 0, and rule "", for a name without "step" and a number, or that is too long for one. */
int name_rule_write(const char *name, char rule[NAME_RULE_SIZE]);

#endif
