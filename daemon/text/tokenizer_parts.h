/*
 * What a tokenizer consists of; for tokenizer*.c only.
 */
#ifndef BIFURCATED_TEXT_TOKENIZER_PARTS_H
#define BIFURCATED_TEXT_TOKENIZER_PARTS_H

#include "daemon/base/err.h"
#include "daemon/text/added_tokens.h"
#include "daemon/text/alphabet.h"
#include "daemon/text/merges.h"
#include "daemon/text/normalizer.h"
#include "daemon/text/pre_tokenizer.h"
#include "daemon/text/seams.h"
#include "daemon/text/sentencepiece.h"
#include "daemon/text/vocabulary.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define TOKENIZER_NESTING_MAX 8 /* of Sequence in Sequence */

struct tokenizer {
    struct normalizer normalizer;
    struct pre_tokenizer pre_tokenizer;
    struct alphabet alphabet;
    struct vocabulary vocabulary;
    struct merges merges;
    struct seams seams;
    struct added_tokens added;
    struct sentencepiece
        *sentencepiece; /* of a tokenizer.model: what makes a text ready; NULL for a tokenizer.json */
    struct added_tokens controls; /* of a tokenizer.model, which are never found in a text: those pieces */
    int converts_sentencepiece;   /* rebuilt of one, which it does without, with merges of its own */
    int has_odd_ids;              /* an added token has another id than the file says */
    int ignore_merges;            /* a word that is a token is taken whole */
    uint32_t id_limit;
};

/* Adds a token whose pattern the tokenizer's normalizer makes of its content. ERR_UNSUPPORTED where nothing
 * is left of it, ERR_LIMIT, ERR_NO_MEMORY. */
int tokenizer_added_add(struct tokenizer *tokenizer, const struct added_token *token, struct err *err);

/* The tokenizer that transformers 5 makes of one by TOKENIZER_DOUBT_BUILT: it takes vocabulary, merges and
 * added tokens, which stay those of `tokenizer`, and the rest from its class. */
int tokenizer_rebuild(const struct tokenizer *tokenizer, unsigned as, struct tokenizer **ret_rebuilt,
                      struct err *err);
void tokenizer_rebuilt_free(struct tokenizer *rebuilt);

/* Whether the two give the same ids for every text, as far as can be said without one. */
int tokenizer_is_same(const struct tokenizer *tokenizer, const struct tokenizer *rebuilt);

/* Fills a zeroed tokenizer from tokenizer.json; on failure what is there can be freed. */
int tokenizer_json_read(const void *json, size_t size, struct tokenizer *tokenizer, struct err *err);

/* The same from tokenizer.model. */
int tokenizer_sentencepiece_read(const void *data, size_t size, struct tokenizer *tokenizer, struct err *err);

/* Fills a copy of `tokenizer`, of a tokenizer.model, as tokenizer_rebuild would. */
int tokenizer_sentencepiece_rebuild(const struct tokenizer *tokenizer, unsigned as, struct tokenizer *rebuilt,
                                    struct err *err);

/* As tokenizer_json_read for its parts "normalizer", "pre_tokenizer" (what a byte is written as, too) and
 * "model" (vocabulary, merges, bytes and the unknown token), in this order. */
int tokenizer_normalizer_read(const json_t *part, struct normalizer *normalizer, struct err *err);
int tokenizer_pre_tokenizer_read(const json_t *part, struct tokenizer *tokenizer, struct err *err);
int tokenizer_model_read(const json_t *model, struct tokenizer *tokenizer, struct err *err);

/* A file beside tokenizer.json as an object; NULL where there is none. */
int tokenizer_config_parse(const struct buf *text, const char *name, json_t **ret_object, struct err *err);

#endif
