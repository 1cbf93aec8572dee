/*
 * Encoding texts by a tokenizer. Each thread has its own encoder, which holds the scratch memory and a
 * bounded cache of words.
 */
#ifndef BIFURCATED_TEXT_TOKENIZER_ENCODER_H
#define BIFURCATED_TEXT_TOKENIZER_ENCODER_H

#include "daemon/base/err.h"
#include "daemon/text/token_ids.h"
#include "daemon/text/tokenizer.h"

#include <stdatomic.h>
#include <stddef.h>

struct tokenizer_encoder;

/* Makes an encoder over a tokenizer that outlives it. The caller frees it. */
int tokenizer_encoder_new(const struct tokenizer *tokenizer, struct tokenizer_encoder **ret_encoder,
                          struct err *err);
void tokenizer_encoder_free(struct tokenizer_encoder *encoder);

/* A set of enum tokenizer_doubt; at first there is none. ERR_NO_MEMORY. */
int tokenizer_encoder_set_doubts(struct tokenizer_encoder *encoder, unsigned doubts, struct err *err);

/* Texts that are refused beside: `names`, each ended by TOKENIZER_NAME_END, which a class takes for tokens.
 */
int tokenizer_encoder_set_foreign(struct tokenizer_encoder *encoder, const char *names, struct err *err);

/* While *cancel is true (NULL: never), tokenizer_encode ends at the next word with ERR_CANCELLED: a text may
 * take a minute. */
void tokenizer_encoder_set_cancel(struct tokenizer_encoder *encoder, const atomic_bool *cancel);

/* Appends the ids of a text of `size` bytes (any bytes; at most LIMIT_TEXT_BYTES) to `ids`; no special tokens
 * are added. On failure `ids` keeps what it held before. ERR_LIMIT for a text or word past its bound,
 * ERR_NO_MEMORY. */
int tokenizer_encode(struct tokenizer_encoder *encoder, const char *text, size_t size, struct token_ids *ids,
                     struct err *err);

#endif
