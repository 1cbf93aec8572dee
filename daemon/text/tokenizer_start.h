/*
 * Whether AutoTokenizer puts a token before each text, which lm-evaluation-harness leaves there (from 0.4.9.2
 * on; up to 0.4.9.1 it asked for none).
 *
 * The template in tokenizer.json says so, but Llama's class in transformers 4 goes by "add_bos_token"
 * instead, which is true where it is not said, and GPT-NeoX's class by neither (4.57 and 5.24 were asked).
 */
#ifndef BIFURCATED_TEXT_TOKENIZER_START_H
#define BIFURCATED_TEXT_TOKENIZER_START_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <stdint.h>

#define TOKENIZER_START_NONE (-1)
/* A template with more than one token before the text, or with one behind it; or versions that differ. */
#define TOKENIZER_START_UNKNOWN (-2)

/* `config` is tokenizer_config.json, or NULL; `class` the tokenizer_class of config.json, or "". *ret_id is
 * the token's, or one of the above. ERR_FORMAT, ERR_LIMIT, ERR_UNSUPPORTED (tokenizer_class.h). */
int tokenizer_start_find(const struct buf *json, const struct buf *config, const char *class,
                         const char *model_type, int64_t *ret_id, struct err *err);

#endif
