/*
 * tokenizer.json from anywhere: it loads or it is refused, and what loads encodes anything and decodes its
 * own ids. Input: a tokenizer.json, and behind its first zero byte, if there is one, the text to encode.
 */
#include "daemon/base/limits.h"
#include "daemon/text/tokenizer_encoder.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As assert, in release builds too. */
static void require(int condition)
{
    if (!condition)
        abort();
}

static const char plain[] =
    "the garden of\tforking  paths e\xCC\x81\xCC\xA3 \xE2\x80\x9C\xFF 1984<|endoftext|>\n\n x";

static void encode(const struct tokenizer *tokenizer, const char *text, size_t size)
{
    struct err err = ERR_INIT;
    struct tokenizer_encoder *encoder = NULL;
    struct token_ids ids;
    token_ids_init(&ids, MIB);
    if (tokenizer_encoder_new(tokenizer, &encoder, &err) == 0 &&
        tokenizer_encode(encoder, text, size, &ids, &err) == 0) {
        size_t count = ids.count;
        for (size_t i = 0; i < count; i++)
            require(ids.data[i] < tokenizer_id_limit(tokenizer));
        /* With a full cache the same comes out. */
        int code = tokenizer_encode(encoder, text, size, &ids, &err);
        require(code || ids.count == 2 * count);
        require(code || count == 0 || memcmp(ids.data, ids.data + count, count * sizeof *ids.data) == 0);
    }
    token_ids_free(&ids);
    tokenizer_encoder_free(encoder);
}

/* As version 5 of transformers would build it, whatever it is: the text is cut alike or refused. */
static void compare(const struct tokenizer *tokenizer, unsigned as, const char *text, size_t size)
{
    struct err err = ERR_INIT;
    struct tokenizer_encoder *encoder = NULL;
    struct token_ids ids;
    token_ids_init(&ids, MIB);
    if (tokenizer_encoder_new(tokenizer, &encoder, &err) == 0 &&
        tokenizer_encoder_set_doubts(encoder, as, &err) == 0 &&
        tokenizer_encode(encoder, text, size, &ids, &err))
        require(ids.count == 0 && err.code != ERR_INTERNAL);
    token_ids_free(&ids);
    tokenizer_encoder_free(encoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t json_size = zero ? (size_t)(zero - data) : size;
    if (tokenizer_load(data, json_size, &tokenizer, &err))
        return 0;
    encode(tokenizer, plain, sizeof plain - 1);
    for (unsigned as = TOKENIZER_DOUBT_AS_NEOX; as <= TOKENIZER_DOUBT_AS_LEGACY_LLAMA; as *= 2)
        compare(tokenizer, as, plain, sizeof plain - 1);
    if (zero)
        encode(tokenizer, (const char *)zero + 1, size - json_size - 1);
    tokenizer_free(tokenizer);
    return 0;
}
