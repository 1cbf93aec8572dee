/*
 * What a tokenizer consists of; for tokenizer*.c only.
 */
#ifndef BIFURCATED_TEXT_TOKENIZER_PARTS_H
#define BIFURCATED_TEXT_TOKENIZER_PARTS_H

#include "daemon/base/err.h"
#include "daemon/text/added_tokens.h"
#include "daemon/text/merges.h"
#include "daemon/text/splitter.h"
#include "daemon/text/vocabulary.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define TOKENIZER_NO_ID UINT32_MAX

struct tokenizer {
    struct vocabulary vocabulary;
    struct merges merges;
    struct added_tokens added;
    struct splitter *splitter;   /* NULL: a piece is one word */
    int has_gpt2_words;          /* the splitter is ByteLevel's own */
    int has_odd_ids;             /* an added token has another id than the file says */
    uint32_t byte_ids[256];      /* the token of one byte; unk_id or TOKENIZER_NO_ID where there is none */
    unsigned char has_byte[256]; /* whether the vocabulary has the byte */
    uint32_t unk_id;             /* or TOKENIZER_NO_ID: bytes without a token are dropped */
    int fuse_unk;                /* unknown bytes in a row become one token */
    int ignore_merges;           /* a word that is a token is taken whole */
    int is_nfc;
    int add_prefix_space;
    uint32_t id_limit;
};

/* Fills a zeroed tokenizer from tokenizer.json; on failure what is there can be freed. */
int tokenizer_json_read(const void *json, size_t size, struct tokenizer *tokenizer, struct err *err);

/* The same for the part "model": vocabulary, merges, bytes and the unknown token. */
int tokenizer_model_read(const json_t *model, struct tokenizer *tokenizer, struct err *err);

#endif
