/*
 * How many tokens of training a run had seen at each of its steps, from what the names of its revisions say.
 *
 * Names round: "step1000-tokens4B" is of 4.19 billion. Over the revisions from the first one on that agree
 * with one number of tokens per step, that number is known much better than any name tells: each name holds
 * it between two bounds, and the middle of what all leave is taken. Where they cease to agree the batch has
 * grown; from there on each name stands for itself.
 */
#ifndef BIFURCATED_ANALYSIS_TOKENS_SEEN_H
#define BIFURCATED_ANALYSIS_TOKENS_SEEN_H

#include <stddef.h>

#define TOKENS_SEEN_ROUNDING                                                                                 \
    0.01 /* share of the tokens that a name may be off by, or by one of its last digit */
#define TOKENS_SEEN_ERROR_MAX 0.05 /* what is not known this well is not known */

/* tokens[i] is what the name at steps[i], ascending, says, NaN if it does not; it becomes what is known, NaN
 * if that is nothing. */
void tokens_seen_refine(const double *steps, double *tokens, size_t count);

#endif
