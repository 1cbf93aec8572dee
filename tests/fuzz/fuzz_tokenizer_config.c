/*
 * What stands beside a tokenizer.json, from anywhere: it is taken or refused, and a token before a text is
 * one of the tokenizer. Input: tokenizer_config.json, and behind zero bytes special_tokens_map.json and
 * added_tokens.json, each of which may be missing.
 */
#include "daemon/base/limits.h"
#include "daemon/text/tokenizer_config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
    struct buf files[3];
    int is_there[3] = {0};
    struct tokenizer_use use;
    static const char *const types[] = {"", "llama", "olmo2", "qwen2"};
    const char *type = types[size % 4];
    if (tokenizer_load(json, sizeof json - 1, &tokenizer, &err))
        abort();
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
    if (tokenizer_config_check(&config, tokenizer, &use, &err) == 0 &&
        (use.prefix_id < TOKENIZER_CONFIG_FOREIGN_PREFIX || use.prefix_id >= tokenizer_id_limit(tokenizer)))
        abort();
    for (size_t i = 0; i < 3; i++)
        buf_free(&files[i]);
    tokenizer_free(tokenizer);
    return 0;
}
