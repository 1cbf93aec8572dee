/*
 * The normalisation of text before it is cut: "normalizer" of tokenizer.json, as a list of steps that are
 * applied in order to each piece between added tokens.
 */
#ifndef BIFURCATED_TEXT_NORMALIZER_H
#define BIFURCATED_TEXT_NORMALIZER_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/text/nfc.h"

#include <stddef.h>

#define NORMALIZER_STEPS_MAX 16
#define NORMALIZER_STRING_BYTES_MAX 64 /* of what is put before or in place of something */

enum normalizer_kind {
    NORMALIZER_NFC,
    NORMALIZER_PREPEND, /* `content` before any text that is not empty */
    NORMALIZER_REPLACE, /* each `pattern`, from the left, by `content` */
};

struct normalizer_step {
    enum normalizer_kind kind;
    char pattern[NORMALIZER_STRING_BYTES_MAX]; /* not empty where the kind has one */
    size_t pattern_size;
    char content[NORMALIZER_STRING_BYTES_MAX];
    size_t content_size;
};

/* Zeroed, it leaves text as it is. */
struct normalizer {
    struct normalizer_step steps[NORMALIZER_STEPS_MAX];
    size_t count;
};

/* Scratch memory of one thread. */
struct normalizer_scratch {
    struct nfc_scratch nfc;
    struct buf texts[2]; /* what a step reads and what it writes, in turns */
};

void normalizer_scratch_init(struct normalizer_scratch *scratch);
void normalizer_scratch_free(struct normalizer_scratch *scratch);

/* Takes a copy of a step. ERR_LIMIT past NORMALIZER_STEPS_MAX. */
int normalizer_add(struct normalizer *normalizer, const struct normalizer_step *step, struct err *err);

/* Whether two have the same steps. */
int normalizer_is_same(const struct normalizer *a, const struct normalizer *b);

/* How many of its steps are of this kind. */
size_t normalizer_count(const struct normalizer *normalizer, enum normalizer_kind kind);

/* Normalises valid UTF-8: *ret_text is the text itself or lies in the scratch until the next call. ERR_LIMIT
 * for a text that grows more than ninefold or for what nfc_compose refuses, ERR_NO_MEMORY. */
int normalizer_apply(const struct normalizer *normalizer, struct normalizer_scratch *scratch,
                     const char *text, size_t size, const char **ret_text, size_t *ret_size, struct err *err);

#endif
