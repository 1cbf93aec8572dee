#include "api/series/run_texts.h"

#include "api/http/hash.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t run_texts_number(const struct perplexity_row *score)
{
    char text[2 * STORE_DIGEST_SIZE + PERPLEXITIES_PARAMETERS_SIZE + 24];
    int length = snprintf(text, sizeof text, "%s %s %s %" PRId64, score->dataset_digest,
                          score->tokenizer_digest, score->parameters, score->definition);
    return api_hash(text, (size_t)length);
}

static int compare_numbers(const void *left, const void *right)
{
    uint64_t one, other;
    memcpy(&one, left, sizeof one);
    memcpy(&other, right, sizeof other);
    return (one > other) - (one < other);
}

/* The texts that most points have of a mode, and how many; `numbers` has room for every point. */
static size_t find_texts(const struct api_run *run, struct run_score (*scores)[PERPLEXITY_MODE_COUNT],
                         int mode, uint64_t *numbers, uint64_t *ret_texts)
{
    size_t count = 0, best = 0;
    for (size_t i = 0; i < run->count; i++) {
        if (!isnan(scores[i][mode].value))
            numbers[count++] = scores[i][mode].texts;
    }
    qsort(numbers, count, sizeof *numbers, compare_numbers);
    for (size_t begin = 0, i = 1; i <= count; i++) {
        if (i < count && numbers[i] == numbers[begin])
            continue;
        if (i - begin > best)
            *ret_texts = numbers[begin];
        best = i - begin > best ? i - begin : best;
        begin = i;
    }
    return best;
}

/* Marks the points whose perplexity of a mode is of other texts than these. */
static void mark_other_texts(struct api_run *run, struct run_score (*scores)[PERPLEXITY_MODE_COUNT], int mode,
                             uint64_t texts)
{
    for (size_t i = 0; i < run->count; i++) {
        const struct run_score *score = &scores[i][mode];
        if (!isnan(score->value) && score->texts != texts)
            run->points[i].other_texts |= 1U << mode;
    }
}

int run_texts_choose(struct api_run *run, struct run_score (*scores)[PERPLEXITY_MODE_COUNT], struct err *err)
{
    uint64_t *numbers = calloc(run->count + 1, sizeof *numbers);
    if (!numbers)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory for the series", run->model.name);
    for (int mode = 0; mode < PERPLEXITY_MODE_COUNT; mode++) {
        uint64_t texts = 0;
        size_t count = find_texts(run, scores, mode, numbers, &texts);
        mark_other_texts(run, scores, mode, texts);
        if (count <= run->perplexities)
            continue;
        run->perplexities = count;
        run->perplexity_mode = (enum perplexity_mode)mode;
    }
    for (size_t i = 0; i < run->count; i++) {
        const struct run_score *score = &scores[i][run->perplexity_mode];
        int is_apart = (run->points[i].other_texts >> run->perplexity_mode) & 1U;
        run->perplexities_apart += (size_t)is_apart;
        run->series[i].perplexity = is_apart ? (double)NAN : score->value;
        run->series[i].perplexity_stderr = is_apart ? (double)NAN : score->stderror;
    }
    free(numbers);
    return 0;
}
