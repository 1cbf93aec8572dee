/*
 * tokenizer.model from anywhere: it loads or it is refused, and what loads encodes anything, by SentencePiece
 * and as transformers convert it. The last 24 bytes of the input are a text, too.
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
    " the garden of\tforking  paths e\xCC\x81 \xEF\xB7\xBA \xE2\x96\x81\xFF 1984<s>\n\n aaaabab ";

static void encode(const struct tokenizer *tokenizer, unsigned doubts, const char *text, size_t size)
{
    struct err err = ERR_INIT;
    struct tokenizer_encoder *encoder = NULL;
    struct token_ids ids;
    token_ids_init(&ids, MIB);
    if (tokenizer_encoder_new(tokenizer, &encoder, &err) == 0 &&
        tokenizer_encoder_set_doubts(encoder, doubts, &err) == 0) {
        int code = tokenizer_encode(encoder, text, size, &ids, &err);
        size_t count = ids.count;
        require((!code || count == 0) && code != ERR_INTERNAL);
        for (size_t i = 0; i < count; i++)
            require(ids.data[i] < tokenizer_id_limit(tokenizer));
        /* With a full cache the same comes out. */
        if (!code && !tokenizer_encode(encoder, text, size, &ids, &err))
            require(ids.count == 2 * count &&
                    (count == 0 || memcmp(ids.data, ids.data + count, count * sizeof *ids.data) == 0));
    }
    token_ids_free(&ids);
    tokenizer_encoder_free(encoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned doubts[] = {0, TOKENIZER_DOUBT_AS_LLAMA | TOKENIZER_DOUBT_AS_CONVERTED,
                                      TOKENIZER_DOUBT_AS_LEGACY_LLAMA | TOKENIZER_DOUBT_AS_CONVERTED_FIRST |
                                          TOKENIZER_DOUBT_CONTROLS};
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    const size_t text_size = size < 24 ? size : 24;
    if (tokenizer_load_sentencepiece(data, size, &tokenizer, &err)) {
        require(!tokenizer && err.code != ERR_INTERNAL);
        return 0;
    }
    for (size_t i = 0; i < sizeof doubts / sizeof doubts[0]; i++) {
        encode(tokenizer, doubts[i], plain, sizeof plain - 1);
        encode(tokenizer, doubts[i], (const char *)data + size - text_size, text_size);
    }
    tokenizer_free(tokenizer);
    return 0;
}
