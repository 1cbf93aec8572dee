/*
 * Normalisation to NFC, by utf8proc's tables and with the results of the `tokenizers` package.
 *
 * `tokenizers` composes with tables of Unicode 9 (the crate unicode-normalization-alignments); combining
 * marks that were assigned later are ordinary characters to it: they are not reordered, and nothing is
 * reordered or composed across them. A tokenizer is defined by the code that trained with it, so those marks
 * are left alone here too, in whatever version utf8proc knows them (nfc.c lists them).
 */
#ifndef BIFURCATED_TEXT_NFC_H
#define BIFURCATED_TEXT_NFC_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct nfc_scratch {
    int32_t *codepoints; /* a base character and its marks, decomposed */
    size_t count;
    size_t capacity;
    uint64_t *order; /* for sorting long runs of marks */
    size_t order_capacity;
};

void nfc_scratch_free(struct nfc_scratch *scratch);

/* Whether the text is NFC for certain, because every character lies below U+0300. */
int nfc_is_plain(const char *text, size_t size);

/* Appends the NFC of valid UTF-8 to `out`; O(n log n) for any text. ERR_LIMIT for a run of marks past
 * LIMIT_WORD_BYTES, ERR_NO_MEMORY. */
int nfc_compose(struct nfc_scratch *scratch, const char *text, size_t size, struct buf *out, struct err *err);

#endif
