/*
 * The cutting of a piece of text into words: "pre_tokenizer" of tokenizer.json.
 *
 * First the piece is written anew: spaces become marks, and a space or mark is put before a piece that begins
 * with none. Then each of a few splitters cuts what the one before has cut, and sees nothing beyond it.
 * (tokenizers/src/pre_tokenizers: byte_level.rs, digits.rs, metaspace.rs, split.rs)
 */
#ifndef BIFURCATED_TEXT_PRE_TOKENIZER_H
#define BIFURCATED_TEXT_PRE_TOKENIZER_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/text/splitter.h"
#include "daemon/text/unicode.h"

#include <stddef.h>

#define PRE_TOKENIZER_SPLITTERS_MAX 4

enum pre_tokenizer_prefix {
    PRE_TOKENIZER_PREFIX_NEVER,
    PRE_TOKENIZER_PREFIX_FIRST, /* before the piece that the text begins with */
    PRE_TOKENIZER_PREFIX_ALWAYS,
};

/* Zeroed, it leaves each piece one word. */
struct pre_tokenizer {
    enum pre_tokenizer_prefix prefix;
    char mark[UNICODE_UTF8_BYTES_MAX]; /* in place of a space; none where mark_size is 0 */
    size_t mark_size;
    struct splitter *splitters[PRE_TOKENIZER_SPLITTERS_MAX];
    size_t count;
};

void pre_tokenizer_free(struct pre_tokenizer *pre_tokenizer);

/* Whether two cut every text alike for certain. */
int pre_tokenizer_is_same(const struct pre_tokenizer *a, const struct pre_tokenizer *b);

/* Writes a piece that is not empty anew: afterwards *text and *size are those of the piece or of `out`.
 * is_first: the text begins with it. */
int pre_tokenizer_rewrite(const struct pre_tokenizer *pre_tokenizer, int is_first, struct buf *out,
                          const char **text, size_t *size, struct err *err);

/* A walk over the words of a piece; scratch memory of one thread. */
struct pre_tokenizer_walk {
    const struct pre_tokenizer *pre_tokenizer;
    struct splitter_match *matches[PRE_TOKENIZER_SPLITTERS_MAX];
    const char *text;
    size_t begin;                                 /* of the next word */
    size_t ends[PRE_TOKENIZER_SPLITTERS_MAX + 1]; /* of the piece, and of what each splitter cut last */
};

/* The pre-tokenizer outlives the walk. On failure there is nothing to free. */
int pre_tokenizer_walk_init(struct pre_tokenizer_walk *walk, const struct pre_tokenizer *pre_tokenizer,
                            struct err *err);
void pre_tokenizer_walk_free(struct pre_tokenizer_walk *walk);

/* Begins a walk over valid UTF-8. */
void pre_tokenizer_begin(struct pre_tokenizer_walk *walk, const char *text, size_t size);

/* The next word is [*ret_begin, *ret_end), which are equal after the last one. */
int pre_tokenizer_next(struct pre_tokenizer_walk *walk, size_t *ret_begin, size_t *ret_end, struct err *err);

#endif
