/*
 * A model and documents to score on both backends; the tables of them are cases_score.c (GPT-NeoX),
 * cases_families.c, cases_scaled.c (multipliers, and an unembedding whose rows are divided), cases_windows.c
 * (layers that look back so far only), cases_experts.c (mixtures of experts) and cases_attention.c (each
 * instance of a kernel).
 */
#ifndef BIFURCATED_TESTS_GPU_CASES_SCORE_H
#define BIFURCATED_TESTS_GPU_CASES_SCORE_H

#include "gpu/score.h"
#include "tests/gpu/cases.h"

struct scored {
    enum score_precision precision;
    enum tensor_dtype dtype; /* of the stored tensors */
    struct score_config config;
    size_t documents, longest; /* of random_documents_init */
    int is_streamed;           /* the budget holds two layers at a time */
    const char *other;         /* or NULL: tensors whose names have this stay float16 */
    const char *zeroed;        /* or NULL: all elements of these tensors are 0 */
    const char *spoilt; /* or NULL: the first element of these tensors is NaN, and so is every result */
};

/* Runs it, if a case of this name and cost is to run. */
void case_score(struct cases *cases, const char *what, const struct scored *scored, enum case_cost cost);

/* Of a family after GPT-NeoX. What the configuration leaves at 0 is the same for all. */
struct family_case {
    const char *what;
    struct scored scored;
    enum case_cost cost;
};

void case_family(struct cases *cases, const struct family_case *family);

/* Those of a file; in which order they run, cases_order.c says. */
struct family_table {
    const struct family_case *cases;
    size_t count;
};
extern const struct family_table families_table, scaled_table, windows_table, experts_table;

void cases_attention(struct cases *cases);

#endif
