/*
 * A tokenizer.json and, behind a zero byte, a tokenizer_config.json, from anywhere: the token before each
 * text is one, none or not known. The first byte chooses the class.
 */
#include "daemon/base/limits.h"
#include "daemon/text/tokenizer_start.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const classes[] = {"", "LlamaTokenizer", "GPTNeoXTokenizerFast",
                                          "PreTrainedTokenizerFast"};
    static const char *const types[] = {"smollm3", "llama", "olmo2", "qwen2"};
    struct err err = ERR_INIT;
    struct buf json, config;
    int64_t id;
    if (size < 1)
        return 0;
    const char *class = classes[data[0] % 4];
    const uint8_t *zero = memchr(data + 1, 0, size - 1);
    size_t length = zero ? (size_t)(zero - data) - 1 : size - 1;
    buf_init(&json, LIMIT_TOKENIZER_JSON_BYTES);
    buf_init(&config, LIMIT_TOKENIZER_CONFIG_BYTES);
    (void)buf_append(&json, data + 1, length);
    if (zero)
        (void)buf_append(&config, zero + 1, size - length - 2);
    if (tokenizer_start_find(&json, zero ? &config : NULL, class, types[data[0] / 4 % 4], &id, &err) == 0 &&
        id < TOKENIZER_START_UNKNOWN)
        abort();
    buf_free(&json);
    buf_free(&config);
    return 0;
}
