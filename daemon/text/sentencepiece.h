/*
 * A tokenizer.model as SentencePiece writes it: its pieces and what it does to a text before it is cut.
 * (sentencepiece/src/sentencepiece_model.proto, model_interface.cc)
 *
 * BPE alone. What SentencePiece itself refuses is refused here, too: no piece for the unknown, or two; a
 * piece that is empty or there twice; bytes without byte_fallback, and byte_fallback without all 256.
 */
#ifndef BIFURCATED_TEXT_SENTENCEPIECE_H
#define BIFURCATED_TEXT_SENTENCEPIECE_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/text/charsmap.h"

#include <stddef.h>
#include <stdint.h>

/* As the file numbers them. */
enum sentencepiece_type {
    SENTENCEPIECE_NORMAL = 1,
    SENTENCEPIECE_UNKNOWN,
    SENTENCEPIECE_CONTROL,      /* never found in a text */
    SENTENCEPIECE_USER_DEFINED, /* always found, and never part of another */
    SENTENCEPIECE_UNUSED,
    SENTENCEPIECE_BYTE,
};

struct sentencepiece_piece {
    const char *text; /* borrowed from the model's bytes; not terminated */
    size_t size;
    float score;
    enum sentencepiece_type type;
};

struct sentencepiece {
    struct buf bytes;                   /* a copy of the file */
    struct sentencepiece_piece *pieces; /* the index is the id */
    size_t count, capacity;
    uint32_t unknown_id;
    const char *unknown_name; /* "unk_piece" */
    size_t unknown_name_size;
    const char *bos_name; /* "bos_piece" */
    size_t bos_name_size;
    struct charsmap charsmap;
    int has_byte_fallback;
    int has_space_as_suffix;  /* "treat_whitespace_as_suffix": the dummy space goes behind the text */
    int has_dummy_space;      /* "add_dummy_prefix" */
    int removes_extra_spaces; /* at both ends, and of several all but one */
    int marks_spaces;         /* "escape_whitespaces": a space becomes U+2581 */
};

/* Whether bytes may be a tokenizer.model of SentencePiece's: tiktoken's file of that name begins otherwise.
 */
int sentencepiece_is_likely(const void *data, size_t size);

/* ERR_FORMAT with the byte or piece, ERR_UNSUPPORTED (another kind than BPE, a type of piece), ERR_LIMIT,
 * ERR_NO_MEMORY. The caller frees it, after a failure as well. */
int sentencepiece_read(const void *data, size_t size, struct sentencepiece *ret_model, struct err *err);
void sentencepiece_free(struct sentencepiece *model);

/* For "%.*s": at most this many bytes of a piece go into a message. */
int sentencepiece_shown_size(const struct sentencepiece_piece *piece);

#endif
