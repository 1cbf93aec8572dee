#include "store/blob.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define COMPRESSION_LEVEL 9
#define LEB128_BYTES_MAX 10

void blob_init(struct blob *blob)
{
    buf_init(&blob->data, BLOB_RAW_BYTES_MAX);
    blob->size_raw = 0;
}

void blob_free(struct blob *blob)
{
    if (blob)
        buf_free(&blob->data);
}

static int compress(const void *raw, size_t size, struct blob *blob, struct err *err)
{
    size_t bound = ZSTD_compressBound(size);
    char *place = buf_reserve(&blob->data, bound);
    if (!place)
        return buf_check(&blob->data, "compressed value", err);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (!context)
        return err_set(err, ERR_NO_MEMORY, "compress: out of memory");
    (void)ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, COMPRESSION_LEVEL);
    (void)ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    size_t written = ZSTD_compress2(context, place, bound, raw, size);
    (void)ZSTD_freeCCtx(context);
    if (ZSTD_isError(written))
        return err_set(err, ERR_NO_MEMORY, "compress: %s", ZSTD_getErrorName(written));
    blob->data.size += written;
    blob->size_raw = (int64_t)size;
    return 0;
}

static int damaged(const char *what, struct err *err)
{
    return err_set(err, ERR_DATABASE, "stored value is damaged: %s: bifurcated check says what to do", what);
}

/* The caller frees *ret_raw. */
static int decompress(const void *data, size_t size, int64_t encoding, int64_t size_raw,
                      unsigned char **ret_raw, struct err *err)
{
    if (encoding != BLOB_ENCODING)
        return err_set(err, ERR_UNSUPPORTED,
                       "stored value has encoding %lld, which this version does not know",
                       (long long)encoding);
    if (size_raw < 0 || (uint64_t)size_raw > BLOB_RAW_BYTES_MAX)
        return damaged("its size is out of bounds", err);
    unsigned char *raw = malloc(size_raw ? (size_t)size_raw : 1);
    if (!raw)
        return err_set(err, ERR_NO_MEMORY, "decompress: out of memory");
    size_t written = ZSTD_decompress(raw, (size_t)size_raw, data, size);
    if (ZSTD_isError(written) || written != (size_t)size_raw) {
        free(raw);
        return damaged(ZSTD_isError(written) ? ZSTD_getErrorName(written) : "it has another size", err);
    }
    *ret_raw = raw;
    return 0;
}

int blob_check(const void *data, size_t size, int64_t encoding, int64_t size_raw, struct err *err)
{
    unsigned char *raw = NULL;
    int code = decompress(data, size, encoding, size_raw, &raw, err);
    free(raw);
    return code;
}

/* -- Counts --------------------------------------------------------------------------------------------- */

static size_t put_number(unsigned char *place, uint64_t value)
{
    size_t size = 0;
    while (value >= 0x80) {
        place[size++] = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    place[size++] = (unsigned char)value;
    return size;
}

static int get_number(const unsigned char **at, const unsigned char *end, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        unsigned char byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return 1;
        }
    }
    return 0;
}

int blob_encode_counts(const uint64_t *counts, size_t count, struct blob *blob, struct err *err)
{
    if (count > BLOB_RAW_BYTES_MAX / (2 * LEB128_BYTES_MAX))
        return err_set(err, ERR_LIMIT, "distribution: too many codes");
    unsigned char *raw = malloc(count ? count * 2 * LEB128_BYTES_MAX : 1);
    if (!raw)
        return err_set(err, ERR_NO_MEMORY, "distribution: out of memory");
    size_t size = 0, next = 0;
    for (size_t i = 0; i < count; i++) {
        if (!counts[i])
            continue;
        size += put_number(raw + size, i - next);
        size += put_number(raw + size, counts[i]);
        next = i + 1;
    }
    int code = compress(raw, size, blob, err);
    free(raw);
    return code;
}

int blob_decode_counts(const void *data, size_t size, int64_t encoding, int64_t size_raw, uint64_t *counts,
                       size_t count, struct err *err)
{
    unsigned char *raw = NULL;
    int code = decompress(data, size, encoding, size_raw, &raw, err);
    if (code)
        return code;
    const unsigned char *at = raw, *end = raw + size_raw;
    uint64_t next = 0;
    memset(counts, 0, count * sizeof *counts);
    while (at < end) {
        uint64_t distance, value;
        if (!get_number(&at, end, &distance) || !get_number(&at, end, &value) || distance >= count - next) {
            code = damaged("its counts are not well-formed", err);
            break;
        }
        next += distance;
        counts[next++] = value;
    }
    free(raw);
    return code;
}

/* -- Reals ---------------------------------------------------------------------------------------------- */

int blob_encode_reals(const void *values, size_t count, size_t width, struct blob *blob, struct err *err)
{
    if (count > BLOB_RAW_BYTES_MAX / 2 / width)
        return err_set(err, ERR_LIMIT, "values: %zu are too many", count);
    const unsigned char *bytes = values;
    unsigned char *raw = malloc(count ? count * width : 1);
    if (!raw)
        return err_set(err, ERR_NO_MEMORY, "values: out of memory");
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < width; j++)
            raw[j * count + i] = bytes[i * width + j];
    }
    int code = compress(raw, count * width, blob, err);
    free(raw);
    return code;
}

int blob_decode_reals(const void *data, size_t size, int64_t encoding, int64_t size_raw, void *values,
                      size_t count, size_t width, struct err *err)
{
    unsigned char *raw = NULL, *bytes = values;
    int code = decompress(data, size, encoding, size_raw, &raw, err);
    if (code)
        return code;
    if ((size_t)size_raw / width != count || (size_t)size_raw % width)
        code = damaged("its size does not fit", err);
    for (size_t i = 0; !code && i < count; i++) {
        for (size_t j = 0; j < width; j++)
            bytes[i * width + j] = raw[j * count + i];
    }
    free(raw);
    return code;
}
