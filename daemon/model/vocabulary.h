/*
 * How many rows of an embedding are real tokens: vocabularies are padded to round numbers, and the rows of
 * the padding are never trained as targets.
 */
#ifndef BIFURCATED_MODEL_VOCABULARY_H
#define BIFURCATED_MODEL_VOCABULARY_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* The number of token rows by a tokenizer.json: 1 + the largest id of its vocabulary and its added tokens
 * (50277 for GPT-NeoX-20B's). ERR_FORMAT, ERR_UNSUPPORTED for a model without ids, ERR_LIMIT. */
int model_vocabulary_count_rows(const char *json, size_t size, uint64_t *ret_rows, struct err *err);

/* The same by a tokenizer.model of SentencePiece's: its pieces. ERR_FORMAT, ERR_LIMIT. */
int model_vocabulary_count_pieces(const void *data, size_t size, uint64_t *ret_rows, struct err *err);

/* The number of token rows of a model that is known by its name, where a revision has no tokenizer.json;
 * ERR_NOT_FOUND for others. */
int model_vocabulary_rows_of(const char *model, uint64_t *ret_rows, struct err *err);

#endif
