/*
 * tokenizer_probe TOKENIZER.json: encodes texts from standard input, for tests that compare with other
 * tokenizers.
 *
 * Each text is its size (4 bytes, little-endian) and its bytes. For each, one line: the ids, separated by
 * spaces.
 */
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/text/tokenizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int read_text(struct buf *text)
{
    unsigned char size[4];
    if (fread(size, 1, sizeof size, stdin) != sizeof size)
        return 0;
    size_t count = size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
    buf_clear(text);
    char *place = buf_reserve(text, count);
    if (!place || fread(place, 1, count, stdin) != count)
        return 0;
    text->size = count;
    return 1;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    struct tokenizer_encoder *encoder = NULL;
    struct token_ids ids;
    struct buf json, text;
    buf_init(&json, LIMIT_TOKENIZER_JSON_BYTES);
    buf_init(&text, LIMIT_TEXT_BYTES);
    token_ids_init(&ids, LIMIT_TEXT_BYTES);
    if (argc != 2) {
        (void)fprintf(stderr, "usage: tokenizer_probe TOKENIZER.json < TEXTS\n");
        return 2;
    }
    if (file_read(argv[1], &json, &err) || tokenizer_load(json.data, json.size, &tokenizer, &err) ||
        tokenizer_encoder_new(tokenizer, &encoder, &err))
        goto out;
    while (read_text(&text)) {
        ids.count = 0;
        if (tokenizer_encode(encoder, buf_text(&text), text.size, &ids, &err))
            goto out;
        for (size_t i = 0; i < ids.count; i++)
            (void)printf(i ? " %" PRIu32 : "%" PRIu32, ids.data[i]);
        (void)putchar('\n');
    }
out:
    if (err.code)
        (void)fprintf(stderr, "tokenizer_probe: %s\n", err.message);
    tokenizer_encoder_free(encoder);
    tokenizer_free(tokenizer);
    token_ids_free(&ids);
    buf_free(&json);
    buf_free(&text);
    return err.code ? 1 : 0;
}
