/*
 * Perplexities: what a revision's whole weights say of a text.
 */
#ifndef BIFURCATED_STORE_PERPLEXITIES_H
#define BIFURCATED_STORE_PERPLEXITIES_H

#include "store/store.h"

#define PERPLEXITIES_PARAMETERS_SIZE 512
#define PERPLEXITIES_PRECISION_SIZE 24

enum perplexity_mode {
    PERPLEXITY_MODE_LAST_WORD, /* lambada_openai */
    PERPLEXITY_MODE_TOKENS,    /* pooled next-token */
    PERPLEXITY_MODE_TEXT_MEAN, /* mean of per-text perplexities */
    PERPLEXITY_MODE_COUNT
};

struct perplexity_row {
    int64_t id; /* 0: none */
    char weights_digest[STORE_DIGEST_SIZE];
    char dataset_digest[STORE_DIGEST_SIZE];
    char tokenizer_digest[STORE_DIGEST_SIZE];
    enum perplexity_mode mode;
    char parameters[PERPLEXITIES_PARAMETERS_SIZE]; /* canonical JSON: window, stride, limit */
    char precision[PERPLEXITIES_PRECISION_SIZE];
    char backend[STORE_BACKEND_SIZE];
    int64_t definition;
    int64_t documents;
    int64_t tokens; /* scored */
    double nll_sum;
    double perplexity, perplexity_stderr;
    double accuracy, accuracy_stderr;
    double seconds;
    int64_t measured_ms; /* ignored in input */
};

/* "last_word", "tokens", "text_mean" */
const char *perplexity_mode_name(enum perplexity_mode mode);

/* Looks up all identity members (the digests, mode, parameters, precision, backend ("": any), definition) of
 * `key`. ERR_NOT_FOUND. */
int perplexities_find(struct store *store, const struct perplexity_row *key, struct perplexity_row *ret_row,
                      struct err *err);

#endif
