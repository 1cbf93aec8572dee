/*
 * A data set from anywhere, plain or packed, as each kind: every text it delivers can be read to its end, and
 * the digest does not depend on how much was read. The first byte chooses the kind.
 */
#include "daemon/base/limits.h"
#include "daemon/text/dataset.h"

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

#define TEXTS_MAX 10000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dataset_kind kinds[] = {DATASET_KIND_JSONL, DATASET_KIND_TEXT};
    struct err err = ERR_INIT;
    struct source *source = NULL;
    struct dataset *dataset = NULL;
    char expected[DIGEST_SHA256_HEX_SIZE], hex[DIGEST_SHA256_HEX_SIZE];
    uint64_t sum = 0;
    if (size == 0)
        return 0;
    struct dataset_options options = {.kind = kinds[data[0] % 2], .limit = data[0] / 2 ? TEXTS_MAX : 1};
    data++;
    size--;
    if (digest_sha256_hex(data, size, expected, &err) ||
        source_open_memory("fuzz", data, size, &source, &err))
        return 0;
    if (dataset_open(source, &options, &dataset, &err) == 0) {
        const char *text = "";
        size_t text_size = 0;
        int code = 0;
        for (uint64_t texts = 0; !code && text; texts++) {
            require(texts <= options.limit);
            code = dataset_next(dataset, &text, &text_size, &err);
            for (size_t i = 0; !code && text && i <= text_size; i++)
                sum += (unsigned char)text[i];
            require(code || !text || text[text_size] == 0);
        }
        require(code <= 0);
        if (!code) {
            code = dataset_digest(dataset, hex, &err);
            require(code == 0 && strcmp(hex, expected) == 0);
        }
    }
    dataset_close(dataset);
    source_close(source);
    /* Keeps the reading of the texts from being optimised away. */
    static volatile uint64_t sink;
    sink = sum;
    (void)sink;
    return 0;
}
