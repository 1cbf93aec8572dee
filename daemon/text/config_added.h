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

/* What an object (or NULL) names (config_names.h). */
int config_added_check_names(const struct config_added *added, json_t *object, struct err *err);

/* added_tokens.json (or NULL): contents and their ids. */
int config_added_check_file(const struct config_added *added, json_t *file, struct err *err);

#endif
