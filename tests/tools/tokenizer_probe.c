/*
 * tokenizer_probe TOKENIZER.json|TOKENIZER.model [CONFIG.json|- MODEL_TYPE]: encodes texts from standard
 * input, for tests that compare with other tokenizers.
 *
 * Each text is its size (4 bytes, little-endian) and its bytes. For each, one line: the ids, separated by
 * spaces. With the tokenizer_config.json of a model ("-": it has none) the first line is the token before a
 * text, and of a text that is refused as cut otherwise by some version of transformers the line is "refused".
 */
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/text/tokenizer_config.h"
#include "daemon/text/tokenizer_encoder.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int is_sentencepiece(const char *path)
{
    return fnmatch("*.model", path, 0) == 0;
}

/* The doubts and, on a line, the token before a text; of a tokenizer.model the one before each text, too. */
static int read_config(char **argv, const struct tokenizer *tokenizer, struct tokenizer_encoder *encoder,
                       struct err *err)
{
    const char *path = argv[2], *model_type = argv[3];
    const int has_start = is_sentencepiece(argv[1]);
    struct buf text;
    struct tokenizer_use use = {.doubts = 0};
    struct tokenizer_config files = {.tokenizer_class = "", .model_type = model_type};
    buf_init(&text, LIMIT_TOKENIZER_CONFIG_BYTES);
    if (strcmp(path, "-") != 0) {
        (void)file_read(path, &text, err);
        files.config = &text;
    }
    if (!err->code &&
        (has_start ? tokenizer_config_check_sentencepiece(&files, tokenizer, &use, err)
                   : tokenizer_config_check(&files, tokenizer, &use, err)) == 0 &&
        tokenizer_encoder_set_doubts(encoder, use.doubts, err) == 0 &&
        tokenizer_encoder_set_foreign(encoder, use.foreign, err) == 0)
        (void)printf(has_start ? "%" PRId64 " %" PRId64 "\n" : "%" PRId64 "\n", use.prefix_id, use.start_id);
    buf_free(&text);
    return err->code;
}

static int encode_all(struct tokenizer_encoder *encoder, struct err *err)
{
    struct token_ids ids;
    struct buf text;
    buf_init(&text, LIMIT_TEXT_BYTES);
    token_ids_init(&ids, LIMIT_TEXT_BYTES);
    while (!err->code && read_text(&text)) {
        ids.count = 0;
        if (tokenizer_encode(encoder, buf_text(&text), text.size, &ids, err) == ERR_UNSUPPORTED) {
            *err = (struct err)ERR_INIT;
            (void)printf("refused");
        }
        for (size_t i = 0; i < ids.count; i++)
            (void)printf(i ? " %" PRIu32 : "%" PRIu32, ids.data[i]);
        (void)putchar('\n');
    }
    token_ids_free(&ids);
    buf_free(&text);
    return err->code;
}

static int load(const char *path, const struct buf *file, struct tokenizer **ret_tokenizer, struct err *err)
{
    return is_sentencepiece(path) ? tokenizer_load_sentencepiece(file->data, file->size, ret_tokenizer, err)
                                  : tokenizer_load(file->data, file->size, ret_tokenizer, err);
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    struct tokenizer_encoder *encoder = NULL;
    struct buf json;
    if (argc != 2 && argc != 4) {
        (void)fprintf(
            stderr,
            "usage: tokenizer_probe TOKENIZER.json|TOKENIZER.model [CONFIG.json|- MODEL_TYPE] < TEXTS\n");
        return 2;
    }
    buf_init(&json, LIMIT_TOKENIZER_JSON_BYTES);
    if (file_read(argv[1], &json, &err) == 0 && load(argv[1], &json, &tokenizer, &err) == 0 &&
        tokenizer_encoder_new(tokenizer, &encoder, &err) == 0 &&
        (argc == 2 || read_config(argv, tokenizer, encoder, &err) == 0))
        (void)encode_all(encoder, &err);
    if (err.code)
        (void)fprintf(stderr, "tokenizer_probe: %s\n", err.message);
    tokenizer_encoder_free(encoder);
    tokenizer_free(tokenizer);
    buf_free(&json);
    return err.code ? 1 : 0;
}
