#include "daemon/analysis/stopping.h"

#include <math.h>

#define PLATEAU_FALL 0.05
#define EVALUATIONS 2

static const char *const names[STOPPING_RULE_COUNT] = {
#define X(symbol, name, meaning) [symbol] = (name),
    STOPPING_RULES(X)
#undef X
};

/* The warm-up's first, flat evaluations are no plateau: the curve must have begun to fall. */
static int has_fallen(const struct stopping_point *points, size_t i)
{
    return points[i].perplexity < 0.5 * points[0].perplexity;
}

static int is_plateau(const struct stopping_point *points, size_t i)
{
    if (i < EVALUATIONS || !has_fallen(points, i))
        return 0;
    for (size_t k = i - EVALUATIONS + 1; k <= i; k++) {
        if (log(points[k - 1].perplexity / points[k].perplexity) >= PLATEAU_FALL)
            return 0;
    }
    return 1;
}

static int is_impatient(const struct stopping_point *points, size_t i)
{
    size_t best = 0;
    for (size_t k = 1; k <= i; k++)
        best = points[k].perplexity < points[best].perplexity ? k : best;
    return has_fallen(points, i) && i - best >= EVALUATIONS;
}

static int is_best(const struct stopping_point *points, size_t count, size_t i)
{
    for (size_t k = 0; k < count; k++) {
        if (points[k].perplexity < points[i].perplexity)
            return 0;
    }
    return 1;
}

static int says_stop(enum stopping_rule rule, const struct stopping_point *points, size_t count, size_t i,
                     double floor_step)
{
    switch (rule) {
    case STOPPING_RULE_PLATEAU:
        return is_plateau(points, i);
    case STOPPING_RULE_PATIENCE:
        return is_impatient(points, i);
    case STOPPING_RULE_SCHEDULE_FLOOR:
        return points[i].step >= floor_step;
    case STOPPING_RULE_HALF:
        return points[i].step >= 0.5 * points[count - 1].step;
    case STOPPING_RULE_BEST:
        return is_best(points, count, i);
    case STOPPING_RULE_COUNT:
        break;
    }
    return 0;
}

struct stopping_score stopping_apply(enum stopping_rule rule, const struct stopping_point *points,
                                     size_t count, const struct schedule *schedule)
{
    const double none = (double)NAN;
    struct stopping_score score = {SERIES_VERDICT_INSUFFICIENT, none, none, none, none};
    double floor_step = schedule ? schedule_floor_step(schedule) : none;
    if (count < 4 || (rule == STOPPING_RULE_SCHEDULE_FLOOR && isnan(floor_step)))
        return score;
    score.verdict = SERIES_VERDICT_NO;
    for (size_t i = 0; i < count; i++) {
        if (!says_stop(rule, points, count, i, floor_step))
            continue;
        score.verdict = SERIES_VERDICT_YES;
        score.step = points[i].step;
        score.perplexity = points[i].perplexity;
        score.given_up = log(points[i].perplexity / points[count - 1].perplexity);
        score.saved = 1 - points[i].step / points[count - 1].step;
        break;
    }
    return score;
}

const char *stopping_rule_name(enum stopping_rule rule)
{
    return (unsigned)rule < STOPPING_RULE_COUNT ? names[rule] : "unknown";
}
