/*
 * The cutting of text into words: the regular expression of a tokenizer.
 *
 * Only expressions that are known by their exact text are accepted, and translated for PCRE2, since
 * `tokenizers` has another dialect (Oniguruma). There \s is White_Space, while PCRE2's also takes
 * U+180E; letters and numbers are those of Unicode 16, while Debian's PCRE2 knows Unicode 14. The
 * translations spell these differences out, so the words do not depend on the version of PCRE2 (up to
 * characters assigned after Unicode 16).
 */
#ifndef BIFURCATED_TEXT_SPLITTER_H
#define BIFURCATED_TEXT_SPLITTER_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct splitter;
struct splitter_match; /* scratch memory of one thread */

/* The GPT-2 expression, which ByteLevel uses by itself, and that of Qwen 2. */
extern const char splitter_gpt2[];
extern const char splitter_qwen2[];

/* That of BLOOM leaves spaces and marks between its matches, which are words then, too; others match all. */
extern const char splitter_bloom[];

/* Compiles the expression given by its text as in tokenizer.json. ERR_UNSUPPORTED if it is not a known one.
 */
int splitter_new(const char *expression, struct splitter **ret_splitter, struct err *err);

/* One that cuts out numbers, each or in runs: characters of the categories Nd, Nl and No. */
int splitter_new_digits(int is_each, struct splitter **ret_splitter, struct err *err);

/* One that begins a word at each of this character. */
int splitter_new_before(uint32_t codepoint, struct splitter **ret_splitter, struct err *err);

/* Whether two cut alike for certain: they have the same expression. */
int splitter_is_same(const struct splitter *a, const struct splitter *b);
void splitter_free(struct splitter *splitter);

int splitter_match_new(const struct splitter *splitter, struct splitter_match **ret_match, struct err *err);
void splitter_match_free(struct splitter_match *match);

/* Finds the word that begins at `begin` < size: *ret_end is past it. The text is valid UTF-8, and all of it:
 * a lookahead sees its end as the end. Text that the expression does not match makes words of its own. */
int splitter_next(const struct splitter *splitter, struct splitter_match *match, const char *text,
                  size_t size, size_t begin, size_t *ret_end, struct err *err);

#endif
