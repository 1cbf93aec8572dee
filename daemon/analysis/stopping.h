/*
 * Stopping rules on a curve of perplexity over steps, to compare with what the weights recommend: each says
 * where it would have stopped, seeing only what lies before, and what that costs.
 */
#ifndef BIFURCATED_ANALYSIS_STOPPING_H
#define BIFURCATED_ANALYSIS_STOPPING_H

#include "daemon/analysis/schedule.h"
#include "daemon/analysis/series.h"

#include <stddef.h>

#define STOPPING_DEFINITION 1

/* symbol, name, what it does */
#define STOPPING_RULES(X)                                                                                    \
    X(STOPPING_RULE_PLATEAU, "plateau",                                                                      \
      "ln perplexity fell by less than 0.05 over two evaluations in a row")                                  \
    X(STOPPING_RULE_PATIENCE, "patience", "no new best perplexity in the last two evaluations")              \
    X(STOPPING_RULE_SCHEDULE_FLOOR, "schedule_floor", "the learning rate has reached its floor")             \
    X(STOPPING_RULE_HALF, "half", "half of the steps are done")                                              \
    X(STOPPING_RULE_BEST, "best", "the best perplexity of the whole run, known only afterwards")

enum stopping_rule {
#define X(symbol, name, meaning) symbol,
    STOPPING_RULES(X)
#undef X
        STOPPING_RULE_COUNT
};

struct stopping_point {
    double step, perplexity;
};

struct stopping_score {
    enum series_verdict
        verdict;       /* NO: the rule never stops; INSUFFICIENT: under four points, or no schedule */
    double step;       /* first evaluation at which the rule says stop */
    double perplexity; /* there */
    double given_up;   /* ln(perplexity there / at the end): negative if stopping was better */
    double saved;      /* share of the steps not taken */
};

/* Applies one rule to a curve in ascending order of step. schedule may be NULL. */
struct stopping_score stopping_apply(enum stopping_rule rule, const struct stopping_point *points,
                                     size_t count, const struct schedule *schedule);

const char *stopping_rule_name(enum stopping_rule rule);

#endif
