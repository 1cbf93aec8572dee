#include "gpu/score_summary.h"

#include <math.h>

/* A compensated sum (Neumaier): the error does not grow with the number of terms. */
struct sum {
    double value, rest;
};

static void sum_add(struct sum *sum, double term)
{
    double total = sum->value + term;
    if (fabs(sum->value) >= fabs(term))
        sum->rest += (sum->value - total) + term;
    else
        sum->rest += (term - total) + sum->value;
    sum->value = total;
}

static double sum_value(const struct sum *sum)
{
    /* With an infinity the rest is NaN, the value is not. */
    return isfinite(sum->value) ? sum->value + sum->rest : sum->value;
}

/* What one document brings. */
struct document {
    double nll;       /* -L */
    double count;     /* n */
    double hit_count; /* targets that are the most probable token */
};

static struct document document_at(const struct score_request *request, const struct score_result *result,
                                   size_t index, size_t target)
{
    struct sum nll = {0, 0};
    struct document document = {.count = request->target_count[index]};
    for (uint32_t j = 0; j < request->target_count[index]; j++) {
        sum_add(&nll, -result->logprobs[target + j]);
        document.hit_count += result->is_argmax[target + j] ? 1 : 0;
    }
    document.nll = sum_value(&nll);
    return document;
}

/* The value whose mean over documents is the mode's perplexity (or its logarithm). */
static double mean_term(enum score_mode mode, const struct document *document)
{
    return mode == SCORE_MODE_TEXT_MEAN ? exp(document->nll / document->count) : document->nll;
}

struct moments {
    double mean, stderror;
};

/* The mean of mean_term and its standard error. */
static struct moments mean_over_documents(enum score_mode mode, const struct score_request *request,
                                          const struct score_result *result)
{
    struct sum first = {0, 0}, second = {0, 0};
    double count = (double)request->document_count;
    size_t target = 0;
    for (size_t i = 0; i < request->document_count; target += request->target_count[i], i++) {
        struct document document = document_at(request, result, i, target);
        sum_add(&first, mean_term(mode, &document));
    }
    double mean = sum_value(&first) / count;
    target = 0;
    for (size_t i = 0; i < request->document_count; target += request->target_count[i], i++) {
        struct document document = document_at(request, result, i, target);
        double difference = mean_term(mode, &document) - mean;
        sum_add(&second, difference * difference);
    }
    double stderror = count > 1 ? sqrt(sum_value(&second) / (count - 1) / count) : (double)NAN;
    return (struct moments){mean, stderror};
}

/* sum y / sum n over documents, y the NLL or the hits, with the standard error of a ratio. */
static struct moments ratio_over_documents(int is_hits, const struct score_request *request,
                                           const struct score_result *result)
{
    struct sum numerator = {0, 0}, denominator = {0, 0}, second = {0, 0};
    double count = (double)request->document_count;
    size_t target = 0;
    for (size_t i = 0; i < request->document_count; target += request->target_count[i], i++) {
        struct document document = document_at(request, result, i, target);
        sum_add(&numerator, is_hits ? document.hit_count : document.nll);
        sum_add(&denominator, document.count);
    }
    double ratio = sum_value(&numerator) / sum_value(&denominator);
    target = 0;
    for (size_t i = 0; i < request->document_count; target += request->target_count[i], i++) {
        struct document document = document_at(request, result, i, target);
        double difference = (is_hits ? document.hit_count : document.nll) - ratio * document.count;
        sum_add(&second, difference * difference);
    }
    double stderror =
        count > 1 ? sqrt(count / (count - 1) * sum_value(&second)) / sum_value(&denominator) : (double)NAN;
    return (struct moments){ratio, stderror};
}

/* Share of documents whose targets are all hits. */
static struct moments whole_documents(const struct score_request *request, const struct score_result *result)
{
    uint64_t hits = 0;
    double count = (double)request->document_count;
    size_t target = 0;
    for (size_t i = 0; i < request->document_count; target += request->target_count[i], i++) {
        struct document document = document_at(request, result, i, target);
        hits += document.hit_count >= document.count ? 1 : 0;
    }
    double share = (double)hits / count;
    return (struct moments){share, count > 1 ? sqrt(share * (1 - share) / (count - 1)) : (double)NAN};
}

void score_summarize(enum score_mode mode, const struct score_request *request,
                     const struct score_result *result, struct score_summary *ret_summary)
{
    struct score_summary summary = {.document_count = request->document_count,
                                    .token_count = result->target_total};
    struct sum nll = {0, 0};
    for (size_t i = 0; i < result->target_total; i++) {
        summary.nan_count += isfinite(result->logprobs[i]) ? 0 : 1;
        sum_add(&nll, -result->logprobs[i]);
    }
    summary.nll_sum = sum_value(&nll);
    if (summary.document_count == 0) {
        summary.perplexity = summary.perplexity_stderr = summary.accuracy = summary.accuracy_stderr =
            (double)NAN;
        *ret_summary = summary;
        return;
    }
    struct moments value = mode == SCORE_MODE_TOKENS ? ratio_over_documents(0, request, result)
                                                     : mean_over_documents(mode, request, result);
    struct moments accuracy = mode == SCORE_MODE_LAST_WORD ? whole_documents(request, result)
                                                           : ratio_over_documents(1, request, result);
    if (mode != SCORE_MODE_TEXT_MEAN) { /* d exp(x) = exp(x) dx */
        value.mean = exp(value.mean);
        value.stderror *= value.mean;
    }
    summary.perplexity = value.mean;
    summary.perplexity_stderr = value.stderror;
    summary.accuracy = accuracy.mean;
    summary.accuracy_stderr = accuracy.stderror;
    *ret_summary = summary;
}
