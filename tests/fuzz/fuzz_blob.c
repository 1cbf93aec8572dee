/*
 * Stored counts: any bytes, once compressed, either decode to a distribution that encodes and decodes to
 * itself, or are refused.
 */
#include "store/blob.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define CODES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const uint64_t *counts)
{
    struct err err = ERR_INIT;
    struct blob blob;
    uint64_t *again = calloc(CODES, sizeof *again);
    blob_init(&blob);
    if (!again || blob_encode_counts(counts, CODES, &blob, &err) ||
        blob_decode_counts(blob.data.data, blob.data.size, BLOB_ENCODING, blob.size_raw, again, CODES,
                           &err) ||
        memcmp(counts, again, CODES * sizeof *again) != 0)
        abort();
    blob_free(&blob);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    size_t bound = ZSTD_compressBound(size);
    void *packed = malloc(bound);
    uint64_t *counts = calloc(CODES, sizeof *counts);
    float values[16];
    if (packed && counts) {
        size_t written = ZSTD_compress(packed, bound, data, size, 1);
        if (!blob_decode_counts(packed, written, BLOB_ENCODING, (int64_t)size, counts, CODES, &err))
            check_round_trip(counts);
        (void)blob_decode_reals(packed, written, BLOB_ENCODING, (int64_t)size, values, 16, sizeof *values,
                                &err);
        /* And as they are: not even compressed. */
        (void)blob_decode_counts(data, size, BLOB_ENCODING, 1000, counts, CODES, &err);
    }
    free(counts);
    free(packed);
    return 0;
}
