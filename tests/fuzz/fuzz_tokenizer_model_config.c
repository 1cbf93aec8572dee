/*
 * What stands beside a tokenizer.model, from anywhere: it is taken or refused, and a token before a text is
 * one of the tokenizer. Input: tokenizer_config.json, and behind zero bytes special_tokens_map.json and
 * added_tokens.json, each of which may be missing.
 */
#include "daemon/base/limits.h"
#include "daemon/text/tokenizer_config.h"
#include "daemon/text/tokenizer_start.h"
#include "tests/unit/text/model_writer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_use(const struct tokenizer *tokenizer, const struct tokenizer_use *use)
{
    struct err err = ERR_INIT;
    struct tokenizer_encoder *encoder = NULL;
    const int64_t limit = tokenizer_id_limit(tokenizer);
    if (use->prefix_id < TOKENIZER_CONFIG_NO_PREFIX || use->prefix_id >= limit ||
        use->start_id < TOKENIZER_START_UNKNOWN || use->start_id >= limit ||
        strnlen(use->foreign, sizeof use->foreign) == sizeof use->foreign)
        abort();
    if (tokenizer_encoder_new(tokenizer, &encoder, &err) == 0 &&
        (tokenizer_encoder_set_doubts(encoder, use->doubts, &err) ||
         tokenizer_encoder_set_foreign(encoder, use->foreign, &err)) &&
        err.code != ERR_NO_MEMORY)
        abort();
    tokenizer_encoder_free(encoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"", "llama", "baichuan", "minicpm"};
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    struct tokenizer_use use;
    struct buf files[3], model;
    int is_there[3] = {0};
    const char *type = types[size % 4];
    buf_init(&model, MIB);
    put_model(&model);
    if (tokenizer_load_sentencepiece(model.data, model.size, &tokenizer, &err))
        abort();
    buf_free(&model);
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
        size_t length = zero ? (size_t)(zero - data) : size;
        buf_init(&files[i], LIMIT_TOKENIZER_CONFIG_BYTES);
        is_there[i] = length > 0;
        (void)buf_append(&files[i], (const char *)data, length);
        length += zero != NULL;
        data += length;
        size -= length;
    }
    const struct tokenizer_config config = {is_there[0] ? &files[0] : NULL, is_there[1] ? &files[1] : NULL,
                                            is_there[2] ? &files[2] : NULL, "", type};
    if (tokenizer_config_check_sentencepiece(&config, tokenizer, &use, &err) == 0)
        check_use(tokenizer, &use);
    for (size_t i = 0; i < 3; i++)
        buf_free(&files[i]);
    tokenizer_free(tokenizer);
    return 0;
}
