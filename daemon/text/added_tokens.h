/*
 * Added tokens: pieces of text that become one token before any word is cut, such as "<|endoftext|>" or a run
 * of spaces.
 *
 * They are matched leftmost and longest, in two sets: the tokens with `normalized: false` in the raw text,
 * the others (themselves normalised) in the normalised pieces between. A match that breaks its token's
 * `single_word` rule is passed over as a whole; `lstrip` and `rstrip` take the white space beside a match
 * into the token. All this, including what happens where such white space overlaps the next match, follows
 * tokenizers/src/tokenizer/added_vocabulary.rs.
 */
#ifndef BIFURCATED_TEXT_ADDED_TOKENS_H
#define BIFURCATED_TEXT_ADDED_TOKENS_H

#include "daemon/base/err.h"
#include "daemon/text/vocabulary.h"

#include <stddef.h>
#include <stdint.h>

struct added_token {
    char *content; /* as written in the file */
    size_t content_size;
    char *pattern; /* what is looked for in the text: the content, normalised where the token is */
    size_t pattern_size;
    uint32_t id;
    int single_word;
    int lstrip;
    int rstrip;
    int normalized;
    int special;
};

/* A trie over bytes. */
struct added_tokens_node {
    uint32_t child;   /* index of the first child, 0 for none */
    uint32_t sibling; /* the next child of the same parent */
    uint32_t token;   /* index of the token that ends here + 1, or 0 */
    unsigned char byte;
};

struct added_tokens_set {
    struct added_tokens_node *nodes; /* 0 is the root; NULL for an empty set */
    size_t node_count;
    size_t node_capacity;
    unsigned char begins[256]; /* whether some pattern begins with this byte */
};

struct added_tokens {
    struct added_token *tokens;
    size_t count;
    size_t capacity;
    struct vocabulary by_content; /* its "ids" are indices of tokens */
    uint32_t id_limit;            /* largest id + 1 */
    struct added_tokens_set raw;
    struct added_tokens_set normalized;
};

void added_tokens_init(struct added_tokens *added);
void added_tokens_free(struct added_tokens *added);

/* Takes a copy of a token, whose strings stay the caller's; content may not be empty. A token with the same
 * content replaces the earlier one. ERR_LIMIT, ERR_NO_MEMORY. */
int added_tokens_add(struct added_tokens *added, const struct added_token *token, struct err *err);

/* Call after the last added_tokens_add. ERR_UNSUPPORTED if two tokens of a set have the same pattern. */
int added_tokens_index(struct added_tokens *added, struct err *err);

/* The token of this content, or NULL. */
const struct added_token *added_tokens_find(const struct added_tokens *added, const char *content,
                                            size_t size);

/* Bytes of the longest pattern of a set that `text` begins with, or 0. */
size_t added_tokens_longest(const struct added_tokens_set *set, const char *text, size_t size);

/* One step through a text: the piece [piece_begin, piece_end), possibly empty, and then the token, if any. */
struct added_tokens_step {
    size_t piece_begin;
    size_t piece_end;
    const struct added_token *token; /* NULL in the last step */
};

/* A walk over a text. */
struct added_tokens_walk {
    const struct added_tokens *added;
    const struct added_tokens_set *set;
    const char *text;
    size_t size;
    size_t piece_begin; /* where the next piece begins */
    size_t cursor;      /* where the search goes on */
    size_t turn_count;  /* of the search */
    int is_done;
};

/* Begins a walk over valid UTF-8; `set` is one of the two sets of `added`. */
void added_tokens_begin(struct added_tokens_walk *walk, const struct added_tokens *added,
                        const struct added_tokens_set *set, const char *text, size_t size);

/* Returns 1 and fills *ret_step, or 0 after the last step. */
int added_tokens_next(struct added_tokens_walk *walk, struct added_tokens_step *ret_step);

#endif
