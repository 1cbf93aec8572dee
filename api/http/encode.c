#include "api/http/encode.h"

#include "api/http/accept.h"

#include <stdint.h>
#include <zlib.h>
#include <zstd.h>

const char *api_encoding_name(enum api_encoding encoding)
{
    static const char *const names[API_ENCODING_COUNT] = {"identity", "gzip", "zstd"};
    return names[encoding];
}

enum api_encoding api_encoding_choose(const char *accept)
{
    if (!accept)
        return API_ENCODING_IDENTITY;
    int gzip = api_accept_weigh(accept, "gzip"), zstd = api_accept_weigh(accept, "zstd");
    if (zstd && zstd >= gzip)
        return API_ENCODING_ZSTD;
    return gzip ? API_ENCODING_GZIP : API_ENCODING_IDENTITY;
}

int api_encoding_takes(const char *accept, enum api_encoding encoding)
{
    return api_accept_weigh(accept, api_encoding_name(encoding)) > 0;
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
