#include "api/http/encode.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>

const char *api_encoding_name(enum api_encoding encoding)
{
    static const char *const names[API_ENCODING_COUNT] = {"identity", "gzip", "zstd"};
    return names[encoding];
}

/* The weight of one element, "gzip;q=0.8", in thousandths. */
static int weight_of(const char *element, size_t size)
{
    const char *q = memmem(element, size, "q=", 2);
    if (!q)
        return 1000;
    q += 2;
    size_t left = size - (size_t)(q - element);
    int weight = 0;
    int scale = 1000;
    for (size_t i = 0; i < left && scale > 0; i++) {
        if (q[i] == '.' && i == 1)
            continue;
        if (q[i] < '0' || q[i] > '9')
            break;
        weight += (q[i] - '0') * scale;
        scale /= 10;
    }
    return weight > 1000 ? 1000 : weight;
}

static void weigh(const char *accept, int weights[API_ENCODING_COUNT])
{
    while (accept && *accept) {
        accept += strspn(accept, ", \t");
        size_t size = strcspn(accept, ",");
        size_t name = strcspn(accept, ",; \t");
        for (int i = API_ENCODING_GZIP; i < API_ENCODING_COUNT; i++) {
            const char *wanted = api_encoding_name((enum api_encoding)i);
            if (name == strlen(wanted) && strncasecmp(accept, wanted, name) == 0)
                weights[i] = weight_of(accept, size);
        }
        accept += size;
    }
}

enum api_encoding api_encoding_choose(const char *accept)
{
    int weights[API_ENCODING_COUNT] = {0, 0, 0};
    weigh(accept, weights);
    if (weights[API_ENCODING_ZSTD] > 0 && weights[API_ENCODING_ZSTD] >= weights[API_ENCODING_GZIP])
        return API_ENCODING_ZSTD;
    return weights[API_ENCODING_GZIP] > 0 ? API_ENCODING_GZIP : API_ENCODING_IDENTITY;
}

int api_encoding_takes(const char *accept, enum api_encoding encoding)
{
    int weights[API_ENCODING_COUNT] = {0, 0, 0};
    weigh(accept, weights);
    return weights[encoding] > 0;
}

static int encode_gzip(int effort, const void *data, size_t size, struct buf *out, struct err *err)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, effort ? 6 : 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return err_set(err, ERR_NO_MEMORY, "gzip: out of memory");
    int code = 0;
    uLong bound = deflateBound(&stream, size);
    char *room = bound < UINT32_MAX && size < UINT32_MAX ? buf_reserve(out, bound) : NULL;
    if (!room) {
        code = err_set(err, ERR_LIMIT, "gzip: %zu bytes are too many", size);
        goto out;
    }
    stream.next_in = (Bytef *)(uintptr_t)data; /* zlib only reads it */
    stream.avail_in = (uInt)size;
    stream.next_out = (Bytef *)room;
    stream.avail_out = (uInt)bound;
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
        code = err_set(err, ERR_INTERNAL, "gzip: the stream did not end");
    else
        out->size += bound - stream.avail_out;
out:
    (void)deflateEnd(&stream);
    return code;
}

static int encode_zstd(int effort, const void *data, size_t size, struct buf *out, struct err *err)
{
    size_t bound = ZSTD_compressBound(size);
    char *room = buf_reserve(out, bound);
    if (!room)
        return err_set(err, ERR_LIMIT, "zstd: %zu bytes are too many", size);
    size_t written = ZSTD_compress(room, bound, data, size, effort ? 6 : 1);
    if (ZSTD_isError(written))
        return err_set(err, ERR_NO_MEMORY, "zstd: %s", ZSTD_getErrorName(written));
    out->size += written;
    return 0;
}

int api_encode(enum api_encoding encoding, int effort, const void *data, size_t size, struct buf *out,
               struct err *err)
{
    switch (encoding) {
    case API_ENCODING_GZIP:
        return encode_gzip(effort, data, size, out, err);
    case API_ENCODING_ZSTD:
        return encode_zstd(effort, data, size, out, err);
    default:
        buf_append(out, data, size);
        return buf_check(out, "body", err);
    }
}
