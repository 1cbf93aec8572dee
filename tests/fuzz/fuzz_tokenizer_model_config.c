/*
 * What stands beside a tokenizer.model, from anywhere: it is taken or refused, and a token before a text is
 * one of the tokenizer (config_files.h).
 */
#include "daemon/base/limits.h"
#include "daemon/text/tokenizer_config.h"
#include "daemon/text/tokenizer_encoder.h"
#include "daemon/text/tokenizer_start.h"
#include "tests/fuzz/config_files.h"
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
    struct config_files files;
    struct buf model;
    const char *type = types[size % 4];
    buf_init(&model, MIB);
    put_model(&model);
    if (tokenizer_load_sentencepiece(model.data, model.size, &tokenizer, &err))
        abort();
    buf_free(&model);
    config_files_read(&files, data, size);
    const struct tokenizer_config config = config_files_of(&files, type);
    if (tokenizer_config_check_sentencepiece(&config, tokenizer, &use, &err) == 0)
        check_use(tokenizer, &use);
    config_files_free(&files);
    tokenizer_free(tokenizer);
    return 0;
}
