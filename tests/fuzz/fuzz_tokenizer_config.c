/*
 * What stands beside a tokenizer.json, from anywhere: it is taken or refused, and a token before a text is
 * one of the tokenizer (config_files.h).
 */
#include "daemon/text/tokenizer_config.h"
#include "tests/fuzz/config_files.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char json[] =
    "{\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
    ","
    "\"model\":{\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]},"
    "\"added_tokens\":[{\"id\":2,\"content\":\"<|endoftext|>\",\"special\":true,\"normalized\":false},"
    "{\"id\":3,\"content\":\"  \",\"normalized\":true}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    struct config_files files;
    struct tokenizer_use use;
    static const char *const types[] = {"", "llama", "olmo2", "qwen2"};
    const char *type = types[size % 4];
    if (tokenizer_load(json, sizeof json - 1, &tokenizer, &err))
        abort();
    config_files_read(&files, data, size);
    const struct tokenizer_config config = config_files_of(&files, type);
    if (tokenizer_config_check(&config, tokenizer, &use, &err) == 0 &&
        (use.prefix_id < TOKENIZER_CONFIG_FOREIGN_PREFIX || use.prefix_id >= tokenizer_id_limit(tokenizer)))
        abort();
    config_files_free(&files);
    tokenizer_free(tokenizer);
    return 0;
}
