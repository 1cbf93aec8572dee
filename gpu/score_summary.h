/*
 * From the log-probabilities of scored tokens to one perplexity and one accuracy, with their uncertainty.
 *
 * With L_i the summed log-probability of document i's n_i targets, N documents:
 *   last_word  perplexity exp(-mean L_i), per target *word* as lm-evaluation-harness's lambada_openai;
 *              standard error by the delta method: perplexity * s(L_i) / sqrt(N);
 *              accuracy: share of documents whose targets are all the most probable tokens,
 *              standard error sqrt(a (1 - a) / (N - 1)).
 *   tokens     perplexity exp(r), r = -sum L_i / sum n_i; standard error: exp(r) * se(r), where r is a ratio
 *              over the documents (windows): se(r)^2 = N / (N - 1) * sum (-L_i - r n_i)^2 / (sum n_i)^2;
 *              accuracy: share of tokens, with the same standard error of a ratio.
 *   text_mean  perplexity mean of p_i = exp(-L_i / n_i), standard error s(p_i) / sqrt(N);
 *              accuracy as for tokens.
 * s is the sample standard deviation (N - 1). All sums are float64 and compensated. Standard errors are NaN
 * for N = 1. One NaN makes its perplexity NaN; NaNs are counted.
 */
#ifndef BIFURCATED_GPU_SCORE_SUMMARY_H
#define BIFURCATED_GPU_SCORE_SUMMARY_H

#include "gpu/score.h"

#include <stddef.h>
#include <stdint.h>

enum score_mode { SCORE_MODE_LAST_WORD, SCORE_MODE_TOKENS, SCORE_MODE_TEXT_MEAN, SCORE_MODE_COUNT };

struct score_summary {
    uint64_t document_count; /* N; 0: everything below that is a mean is NaN */
    uint64_t token_count;    /* scored */
    uint64_t nan_count;      /* scored tokens without a finite log-probability */
    double nll_sum;          /* -sum L_i */
    double perplexity, perplexity_stderr;
    double accuracy, accuracy_stderr;
};

void score_summarize(enum score_mode mode, const struct score_request *request,
                     const struct score_result *result, struct score_summary *ret_summary);

#endif
