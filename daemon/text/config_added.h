/*
 * Added and special tokens in the files beside tokenizer.json: each must be an added token there, with the
 * same id and flags where they are told, since transformers would add it otherwise.
 */
#ifndef BIFURCATED_TEXT_CONFIG_ADDED_H
#define BIFURCATED_TEXT_CONFIG_ADDED_H

#include "daemon/base/err.h"
#include "daemon/text/tokenizer_parts.h"

#include <jansson.h>

struct config_added {
    const struct tokenizer *tokenizer;
    json_t *decoder; /* "added_tokens_decoder" of tokenizer_config.json; NULL if absent */
    int is_built;    /* transformers 5 builds the class anew, so the decoder must have all of them */
};

/* ERR_FORMAT, ERR_UNSUPPORTED, as below; the message names the key. */
int config_added_check_decoder(const struct config_added *added, struct err *err);

/* "bos_token" and its like in an object (or NULL), also those of a class that nobody knows, and lists of
 * them. */
int config_added_check_names(const struct config_added *added, json_t *object, struct err *err);

/* added_tokens.json (or NULL): contents and their ids. */
int config_added_check_file(const struct config_added *added, json_t *file, struct err *err);

/* The text of a token, which is one, or an object that has one; NULL for anything else. */
const json_t *config_added_content(const json_t *token);

#endif
