/*
 * passages_probe TOKENIZER.json DATASET MODE CONTEXT WINDOW STRIDE PREFIX: the passages of a data set, for
 * tests that compare with other programs.
 *
 * PREFIX is a token id or -1. One line per passage: number of the text, first scored token, number of scored
 * tokens, and the tokens. The last line: "texts N skipped N truncated N sha256 HEX".
 */
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/text/dataset.h"
#include "daemon/text/passages.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void print_passages(const struct passages *passages, const char *hex)
{
    for (size_t i = 0; i < passages->count; i++) {
        (void)printf("%" PRIu64 " %" PRIu32 " %" PRIu32, passages->text[i], passages->target_first[i],
                     passages->target_count[i]);
        for (uint32_t j = 0; j < passages->length[i]; j++)
            (void)printf(" %" PRIu32, passages->tokens[passages->begin[i] + j]);
        (void)putchar('\n');
    }
    (void)printf("texts %" PRIu64 " skipped %" PRIu64 " truncated %" PRIu64 " sha256 %s\n",
                 passages->text_count, passages->skipped_count, passages->truncated_count, hex);
}

static int build(struct dataset *dataset, struct passages_builder *builder, struct err *err)
{
    const char *text;
    size_t size;
    for (;;) {
        if (dataset_next(dataset, &text, &size, err))
            return err->code;
        if (!text)
            return 0;
        if (passages_builder_add(builder, text, size, err))
            return err->code;
    }
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    struct tokenizer_encoder *encoder = NULL;
    struct source *source = NULL;
    struct dataset *dataset = NULL;
    struct passages_builder *builder = NULL;
    struct passages passages = {0};
    struct passages_options options = {0};
    struct buf json;
    char hex[DIGEST_SHA256_HEX_SIZE];
    if (argc != 8) {
        (void)fprintf(stderr,
                      "usage: passages_probe TOKENIZER.json DATASET MODE CONTEXT WINDOW STRIDE PREFIX\n");
        return 2;
    }
    buf_init(&json, LIMIT_TOKENIZER_JSON_BYTES);
    options.context_tokens = (uint32_t)strtoul(argv[4], NULL, 10);
    options.window_tokens = (uint32_t)strtoul(argv[5], NULL, 10);
    options.stride_tokens = (uint32_t)strtoul(argv[6], NULL, 10);
    options.prefix_id = strtol(argv[7], NULL, 10);
    if (passages_mode_parse(argv[3], &options.mode, &err) || file_read(argv[1], &json, &err) ||
        tokenizer_load(json.data, json.size, &tokenizer, &err) ||
        tokenizer_encoder_new(tokenizer, &encoder, &err) || source_open_file(argv[2], &source, &err) ||
        dataset_open(source, NULL, &dataset, &err) ||
        passages_builder_new(&options, encoder, &builder, &err) || build(dataset, builder, &err) ||
        passages_builder_finish(builder, &passages, &err) || dataset_digest(dataset, hex, &err))
        goto out;
    print_passages(&passages, hex);
out:
    if (err.code)
        (void)fprintf(stderr, "passages_probe: %s\n", err.message);
    passages_free(&passages);
    passages_builder_free(builder);
    dataset_close(dataset);
    source_close(source);
    tokenizer_encoder_free(encoder);
    tokenizer_free(tokenizer);
    buf_free(&json);
    return err.code ? 1 : 0;
}
