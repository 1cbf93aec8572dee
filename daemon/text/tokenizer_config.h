/*
 * The files beside tokenizer.json that transformers' AutoTokenizer reads with it:
 * tokenizer_config.json, and without its "added_tokens_decoder" special_tokens_map.json and
 * added_tokens.json.
 *
 * They may contradict tokenizer.json, and transformers' versions then make different tokenizers of them: 4
 * takes tokenizer.json and changes some of it, 5 builds the tokenizer of some classes anew and takes no more
 * than vocabulary, merges and added tokens. What is accepted here is what all of them read as tokenizer.json
 * says it; the rest is refused by the name of its key (4.57, 5.23 and 5.24,
 * tests/e2e/test_tokenizer_config.py).
 *
 * Not looked at, since it changes no ids: clean_up_tokenization_spaces, errors, trim_offsets,
 * model_max_length, the sides of padding and truncation, chat templates.
 *
 * What shows in some texts only is a doubt of the tokenizer (enum tokenizer_doubt): the tokenizer that 5
 * builds for a class (tokenizer_class.h) is asked beside that of tokenizer.json, and a class adds its
 * "<|endoftext|>" and "<|padding|>" where no file names them.
 */
#ifndef BIFURCATED_TEXT_TOKENIZER_CONFIG_H
#define BIFURCATED_TEXT_TOKENIZER_CONFIG_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/text/tokenizer.h"

#include <stdint.h>

#define TOKENIZER_CONFIG_NO_PREFIX (-1)
#define TOKENIZER_CONFIG_FOREIGN_PREFIX (-2)
#define TOKENIZER_CONFIG_FOREIGN_BYTES 1024

/* How texts are to be read. */
struct tokenizer_use {
    /* The token that evaluations put before a text, the beginning of a sequence or else its end. NO_PREFIX
     * where the files name none, FOREIGN_PREFIX for one that a class adds behind those of tokenizer.json. */
    int64_t prefix_id;
    unsigned doubts;  /* of enum tokenizer_doubt */
    int64_t start_id; /* before each text, too, whatever evaluations do (tokenizer_start.h) */
    char foreign[TOKENIZER_CONFIG_FOREIGN_BYTES]; /* for tokenizer_encoder_set_foreign */
};

/* Contents, or NULL for a file that is not there. */
struct tokenizer_config {
    const struct buf *config;             /* tokenizer_config.json */
    const struct buf *special_tokens_map; /* special_tokens_map.json */
    const struct buf *added_tokens;       /* added_tokens.json */
    const char *tokenizer_class;          /* as config.json names it, or "" */
    const char *model_type;               /* likewise; NULL or "" is GPT-NeoX's */
};

/* Compares with a tokenizer that was loaded. ERR_FORMAT, ERR_UNSUPPORTED, ERR_LIMIT, ERR_NO_MEMORY; the
 * message names file and key. */
int tokenizer_config_check(const struct tokenizer_config *files, const struct tokenizer *tokenizer,
                           struct tokenizer_use *ret_use, struct err *err);

/* The same for a tokenizer of a tokenizer.model, and fills start_id, too. */
int tokenizer_config_check_sentencepiece(const struct tokenizer_config *files,
                                         const struct tokenizer *tokenizer, struct tokenizer_use *ret_use,
                                         struct err *err);

#endif
