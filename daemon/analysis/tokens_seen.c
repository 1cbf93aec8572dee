#include "daemon/analysis/tokens_seen.h"

#include <math.h>

/* Bounds of the tokens per step. */
struct batch {
    double low, high;
};

/* What the last digit is worth that names give: of all, since "10B" among others does not say tens. */
static double last_digit(const double *tokens, size_t count)
{
    double digit = 1e15;
    for (size_t i = 0; i < count; i++) {
        while (digit > 1 && tokens[i] > 0 && fmod(tokens[i], digit) > 0)
            digit /= 10;
    }
    return digit;
}

static double error_of(double tokens, double digit)
{
    return fmax(digit, TOKENS_SEEN_ROUNDING * tokens);
}

/* Narrows the bounds by one revision; returns whether it agrees with them. */
static int narrow(struct batch *batch, double step, double tokens, double digit)
{
    double error = error_of(tokens, digit);
    double low = fmax(batch->low, (tokens - error) / step), high = fmin(batch->high, (tokens + error) / step);
    if (!(low <= high))
        return 0;
    *batch = (struct batch){low, high};
    return 1;
}

void tokens_seen_refine(const double *steps, double *tokens, size_t count)
{
    const double digit = last_digit(tokens, count);
    struct batch batch = {0, (double)INFINITY};
    size_t end = 0, agreeing = 0; /* the first revision that disagrees, and how many names agree before it */
    while (end < count &&
           (!(steps[end] > 0) || !(tokens[end] > 0) || narrow(&batch, steps[end], tokens[end], digit))) {
        agreeing += steps[end] > 0 && tokens[end] > 0;
        end++;
    }
    double per_step = (batch.low + batch.high) / 2, last = 0;
    int is_known = agreeing > 0 && batch.high - per_step <= TOKENS_SEEN_ERROR_MAX * per_step;
    for (size_t i = 0; i < count; i++) {
        int is_itself = tokens[i] > last && error_of(tokens[i], digit) <= TOKENS_SEEN_ERROR_MAX * tokens[i];
        if (!(steps[i] > 0) && agreeing)
            tokens[i] = 0;
        else if (i < end && is_known)
            tokens[i] = round(per_step * steps[i]);
        else if (!is_itself)
            tokens[i] = (double)NAN;
        last = fmax(last, tokens[i]);
    }
}
