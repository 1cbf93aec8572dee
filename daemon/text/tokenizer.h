/*
 * A tokenizer: text to token ids, as a model's tokenizer.json says.
 *
 * BPE over bytes, as GPT-2, GPT-NeoX (Pythia), OLMo, Llama 3, SmolLM and Qwen 2 have it, or over characters
 * with a mark for each space, as it is made of SentencePiece's (Llama 2, TinyLlama, Amber, Mistral), with the
 * same ids as the `tokenizers` package's encode(text, add_special_tokens=False). In order:
 *   1. the text is split at added tokens that want the raw text (`normalized: false`), leftmost and longest;
 *   2. each piece between is normalised (NFC, a prefix, replacements), then split at the added tokens that
 *      want normalised text;
 *   3. each piece between is cut into words by regular expressions, each of which sees nothing beyond what
 *      the one before has cut; without any it is one word;
 *   4. the symbols of each word, which are bytes or characters, are merged pair by pair, lowest rank first,
 *      leftmost among equals.
 * What a file may ask for and this module does not do is refused by the name of its field, so that a model is
 * never measured with other tokens than it was trained on. Two fields are ignored on purpose: `truncation`
 * and `padding`, because an evaluation decides about the context itself.
 *
 * Text that is not valid UTF-8 is read as Python's errors="replace" does: each maximal ill-formed part
 * becomes one U+FFFD.
 *
 * A tokenizer is immutable and may be shared by threads; each encodes with an encoder of its own
 * (tokenizer_encoder.h).
 */
#ifndef BIFURCATED_TEXT_TOKENIZER_H
#define BIFURCATED_TEXT_TOKENIZER_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct tokenizer;

/* Reads the bytes of a tokenizer.json, which are not needed afterwards. ERR_FORMAT for broken JSON or
 * contradictions (a merge of unknown tokens), ERR_UNSUPPORTED with the field's name ("model.type: Unigram"),
 * ERR_LIMIT, ERR_NO_MEMORY. The caller frees *ret_tokenizer after its encoders. */
int tokenizer_load(const void *json, size_t size, struct tokenizer **ret_tokenizer, struct err *err);

/* The same of a tokenizer.model of SentencePiece's, with the ids of its encode(text). Its own errors name
 * byte or piece. */
int tokenizer_load_sentencepiece(const void *data, size_t size, struct tokenizer **ret_tokenizer,
                                 struct err *err);

/* Frees. NULL is allowed. */
void tokenizer_free(struct tokenizer *tokenizer);

/* The largest id + 1: the rows of an embedding that are real tokens; the rows from there to the model's
 * vocab_size are padding. 0 for an empty vocabulary. For tests and fuzzers, which hold ids against it. */
uint32_t tokenizer_id_limit(const struct tokenizer *tokenizer);

/* The id of a token by its text as written in tokenizer.json ("<|endoftext|>", "\u0120the"); added tokens
 * first. Returns 1 and fills *ret_id, or 0 if there is no such token. */
int tokenizer_find(const struct tokenizer *tokenizer, const char *token, size_t size, uint32_t *ret_id);

/* What transformers' versions do not all cut alike (tokenizer_config.h). A text that has it is
 * ERR_UNSUPPORTED once an encoder knows of the doubt. */
enum tokenizer_doubt {
    TOKENIZER_DOUBT_END = 2,     /* TOKENIZER_END as a text */
    TOKENIZER_DOUBT_PADDING = 4, /* TOKENIZER_PADDING as a text */
    /* What the tokenizer that version 5 builds for a class cuts otherwise. */
    TOKENIZER_DOUBT_AS_NEOX = 8,
    TOKENIZER_DOUBT_AS_GPT2 = 16,
    TOKENIZER_DOUBT_AS_QWEN2 = 32,
    TOKENIZER_DOUBT_AS_LLAMA = 64,
    TOKENIZER_DOUBT_AS_LEGACY_LLAMA = 128, /* `legacy`: a mark before each piece between added tokens */
    /* Of a tokenizer.model: what version 4's converter cuts otherwise, with `legacy` or without; and pieces
     * of control as texts, which classes take for tokens and SentencePiece does not. */
    TOKENIZER_DOUBT_AS_CONVERTED = 256,
    TOKENIZER_DOUBT_AS_CONVERTED_FIRST = 512,
    TOKENIZER_DOUBT_CONTROLS = 1024,
    TOKENIZER_DOUBT_AS_GEMMA = 2048, /* as those before */
};
#define TOKENIZER_DOUBT_BUILT                                                                                \
    (TOKENIZER_DOUBT_AS_NEOX | TOKENIZER_DOUBT_AS_GPT2 | TOKENIZER_DOUBT_AS_QWEN2 |                          \
     TOKENIZER_DOUBT_AS_LLAMA | TOKENIZER_DOUBT_AS_LEGACY_LLAMA | TOKENIZER_DOUBT_AS_CONVERTED |             \
     TOKENIZER_DOUBT_AS_CONVERTED_FIRST | TOKENIZER_DOUBT_AS_GEMMA)
#define TOKENIZER_END "<|endoftext|>"
#define TOKENIZER_PADDING "<|padding|>"
#define TOKENIZER_NAME_END '\x1F' /* of each of several names in one text */

#endif
