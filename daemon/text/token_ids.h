/*
 * A growable array of token ids, born with its maximum.
 */
#ifndef BIFURCATED_TEXT_TOKEN_IDS_H
#define BIFURCATED_TEXT_TOKEN_IDS_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct token_ids {
    uint32_t *data;  /* NULL until the first append */
    size_t count;    /* ids in use */
    size_t capacity; /* ids allocated */
    size_t max;      /* count may not exceed this */
};

/* An empty array; allocates nothing. */
void token_ids_init(struct token_ids *ids, size_t max);

/* Frees; the array is empty and usable again afterwards. NULL is allowed. */
void token_ids_free(struct token_ids *ids);

/* Makes room for `count` more ids and returns where they go (then add to ids->count). NULL with ERR_LIMIT
 * past the maximum or ERR_NO_MEMORY. */
uint32_t *token_ids_reserve(struct token_ids *ids, size_t count, struct err *err);

/* Appends `count` ids. ERR_LIMIT past the maximum, ERR_NO_MEMORY. */
int token_ids_append(struct token_ids *ids, const uint32_t *data, size_t count, struct err *err);

#endif
