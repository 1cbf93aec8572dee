/*
 * The tokens that tokenizer_config.json and special_tokens_map.json name: "bos_token" and its like, also
 * those of a class that nobody knows, and the lists of additional ones.
 */
#ifndef BIFURCATED_TEXT_CONFIG_NAMES_H
#define BIFURCATED_TEXT_CONFIG_NAMES_H

#include "daemon/base/err.h"

#include <jansson.h>

/* Gives each token of an object (or NULL) to `take`, which may refuse it; the message then names the key. */
int config_names_walk(json_t *object, int (*take)(void *context, const json_t *token, struct err *err),
                      void *context, struct err *err);

/* The text of a token, which is one, or an object that has one; NULL for anything else. */
const json_t *config_names_content(const json_t *token);

#endif
