/*
 * bench_tokenizer TOKENIZER.json PASSES < TEXTS: seconds per pass over texts on one thread.
 *
 * Texts come as for tokenizer_probe: size (4 bytes, little-endian), bytes. All are read before the clock
 * starts. One line per pass: "pass seconds bytes tokens"; the first pass starts with an empty word cache.
 */
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/text/tokenizer_encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static size_t size_at(const unsigned char *bytes)
{
    return bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
}

static int run_pass(struct tokenizer_encoder *encoder, const struct buf *texts, struct token_ids *ids,
                    size_t *ret_bytes, size_t *ret_tokens, struct err *err)
{
    *ret_bytes = *ret_tokens = 0;
    for (size_t at = 0; at + 4 <= texts->size;) {
        size_t size = size_at((const unsigned char *)texts->data + at);
        at += 4;
        if (size > texts->size - at)
            return err_set(err, ERR_FORMAT, "standard input: truncated");
        ids->count = 0;
        if (tokenizer_encode(encoder, texts->data + at, size, ids, err))
            return err->code;
        at += size;
        *ret_bytes += size;
        *ret_tokens += ids->count;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    struct tokenizer_encoder *encoder = NULL;
    struct token_ids ids;
    struct buf json, texts;
    if (argc != 3) {
        (void)fprintf(stderr, "usage: bench_tokenizer TOKENIZER.json PASSES < TEXTS\n");
        return 2;
    }
    long passes = strtol(argv[2], NULL, 10);
    buf_init(&json, LIMIT_TOKENIZER_JSON_BYTES);
    buf_init(&texts, LIMIT_TEXT_BYTES);
    token_ids_init(&ids, LIMIT_TEXT_BYTES);
    for (char *place; (place = buf_reserve(&texts, MIB)) != NULL;) {
        size_t count = fread(place, 1, MIB, stdin);
        texts.size += count;
        if (count == 0)
            break;
    }
    double start = now_s();
    if (buf_check(&texts, "standard input", &err) || file_read(argv[1], &json, &err) ||
        tokenizer_load(json.data, json.size, &tokenizer, &err) ||
        tokenizer_encoder_new(tokenizer, &encoder, &err))
        goto out;
    (void)printf("load %.6f\n", now_s() - start);
    for (long pass = 0; pass < passes; pass++) {
        size_t bytes, tokens;
        start = now_s();
        if (run_pass(encoder, &texts, &ids, &bytes, &tokens, &err))
            goto out;
        (void)printf("pass %.6f %zu %zu\n", now_s() - start, bytes, tokens);
    }
out:
    if (err.code)
        (void)fprintf(stderr, "bench_tokenizer: %s\n", err.message);
    tokenizer_encoder_free(encoder);
    tokenizer_free(tokenizer);
    token_ids_free(&ids);
    buf_free(&json);
    buf_free(&texts);
    return err.code ? 1 : 0;
}
