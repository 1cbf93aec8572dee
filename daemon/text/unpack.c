#include "daemon/text/unpack.h"

#include "daemon/base/digest.h"
#include "daemon/base/limits.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define CHUNK_BYTES ((size_t)128 * 1024)
#define ZSTD_WINDOW_LOG_MAX 27 /* 128 MiB, what the zstd program accepts by default */

enum packing { PACKING_UNKNOWN, PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

struct unpack {
    struct source *source; /* borrowed */
    struct digest *digest;
    uint64_t offset; /* of the next raw byte to be read */
    uint64_t unpacked_bytes;
    enum packing packing;
    z_stream gzip;
    int has_gzip;
    ZSTD_DCtx *zstd;
    int is_between; /* no gzip member or zstd frame is open */
    size_t begin;   /* raw bytes [begin, end) of chunk are not used yet */
    size_t end;
    unsigned char chunk[CHUNK_BYTES];
};

int unpack_new(struct source *source, struct unpack **ret_unpack, struct err *err)
{
    if (source->size_bytes > LIMIT_DATASET_BYTES)
        return err_set(err, ERR_LIMIT, "%s: larger than the limit of %zu bytes", source->name,
                       LIMIT_DATASET_BYTES);
    struct unpack *unpack = calloc(1, sizeof *unpack);
    if (!unpack)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", source->name);
    unpack->source = source;
    if (digest_new(DIGEST_KIND_SHA256, &unpack->digest, err)) {
        unpack_free(unpack);
        return err_wrap(err, "%s", source->name);
    }
    *ret_unpack = unpack;
    return 0;
}

void unpack_free(struct unpack *unpack)
{
    if (!unpack)
        return;
    if (unpack->has_gzip)
        (void)inflateEnd(&unpack->gzip);
    (void)ZSTD_freeDCtx(unpack->zstd);
    digest_free(unpack->digest);
    free(unpack);
}

/* Refills the chunk when it is used up; it stays empty at the end of the source. */
static int refill(struct unpack *unpack, struct err *err)
{
    if (unpack->begin < unpack->end)
        return 0;
    uint64_t left = unpack->source->size_bytes - unpack->offset;
    size_t count = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
    unpack->begin = unpack->end = 0;
    if (count == 0)
        return 0;
    if (source_read(unpack->source, unpack->offset, unpack->chunk, count, err) ||
        digest_update(unpack->digest, unpack->chunk, count, err))
        return err->code;
    unpack->offset += count;
    unpack->end = count;
    return 0;
}

static int begins_with(const struct unpack *unpack, const char *magic, size_t size)
{
    return unpack->end >= size && memcmp(unpack->chunk, magic, size) == 0;
}

/* Would otherwise be scored as a text of broken characters. */
static int refuse_others(const struct unpack *unpack, struct err *err)
{
    static const struct {
        const char *magic;
        size_t size;
        const char *name;
    } others[] = {
        {"PAR1", 4, "a parquet file"},
        {"ARROW1", 6, "an Arrow file"},
        {"\xFF\xFF\xFF\xFF", 4, "an Arrow stream"}, /* as the package `datasets` keeps its cache */
        {"PK\x03\x04", 4, "a zip file"},
        {"\xFD"
         "7zXZ",
         5, "xz data"},
        {"BZh91AY&SY", 10, "bzip2 data"},
        {"\x04\x22\x4D\x18", 4, "lz4 data"},
        {"\xFF\xFE", 2, "text in UTF-16"},
        {"\xFE\xFF", 2, "text in UTF-16"},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (begins_with(unpack, others[i].magic, others[i].size))
            return err_set(err, ERR_UNSUPPORTED,
                           "%s: only text in UTF-8 is read, plain or packed with gzip or zstd",
                           others[i].name);
    }
    return 0;
}

/* Of the format's own frames, or of those that are passed over: pzstd begins with one. */
static int begins_as_zstd(const struct unpack *unpack)
{
    return begins_with(unpack, "\x28\xB5\x2F\xFD", 4) ||
           (unpack->end >= 4 && (unpack->chunk[0] & 0xF0) == 0x50 &&
            memcmp(unpack->chunk + 1, "\x2A\x4D\x18", 3) == 0);
}

static int detect(struct unpack *unpack, struct err *err)
{
    if (begins_with(unpack, "\x1F\x8B", 2)) {
        unpack->packing = PACKING_GZIP;
        if (inflateInit2(&unpack->gzip, 16 + MAX_WBITS) != Z_OK)
            return err_set(err, ERR_NO_MEMORY, "gzip: out of memory");
        unpack->has_gzip = 1;
    } else if (begins_as_zstd(unpack)) {
        unpack->packing = PACKING_ZSTD;
        unpack->zstd = ZSTD_createDCtx();
        if (!unpack->zstd ||
            ZSTD_isError(ZSTD_DCtx_setParameter(unpack->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)))
            return err_set(err, ERR_NO_MEMORY, "zstd: out of memory");
    } else {
        if (refuse_others(unpack, err))
            return err->code;
        unpack->packing = PACKING_NONE;
    }
    unpack->is_between = 1;
    return 0;
}

static int step_gzip(struct unpack *unpack, void *data, size_t capacity, size_t *ret_count, struct err *err)
{
    z_stream *stream = &unpack->gzip;
    stream->next_in = unpack->chunk + unpack->begin;
    stream->avail_in = (uInt)(unpack->end - unpack->begin);
    stream->next_out = data;
    stream->avail_out = (uInt)(capacity < CHUNK_BYTES ? capacity : CHUNK_BYTES);
    uInt room = stream->avail_out;
    int code = inflate(stream, Z_NO_FLUSH);
    unpack->begin = unpack->end - stream->avail_in;
    *ret_count = room - stream->avail_out;
    unpack->is_between = code == Z_STREAM_END;
    if (code == Z_STREAM_END)
        code = inflateReset(stream);
    if (code == Z_MEM_ERROR)
        return err_set(err, ERR_NO_MEMORY, "gzip: out of memory");
    if (code != Z_OK && code != Z_BUF_ERROR)
        return err_set(err, ERR_FORMAT, "gzip: %s", stream->msg ? stream->msg : "damaged");
    return 0;
}

static int step_zstd(struct unpack *unpack, void *data, size_t capacity, size_t *ret_count, struct err *err)
{
    ZSTD_inBuffer in = {unpack->chunk, unpack->end, unpack->begin};
    ZSTD_outBuffer out = {data, capacity, 0};
    size_t code = ZSTD_decompressStream(unpack->zstd, &out, &in);
    if (ZSTD_isError(code))
        return err_set(err, ERR_FORMAT, "zstd: %s", ZSTD_getErrorName(code));
    unpack->begin = in.pos;
    unpack->is_between = code == 0;
    *ret_count = out.pos;
    return 0;
}

static int step_plain(struct unpack *unpack, void *data, size_t capacity, size_t *ret_count)
{
    size_t count = unpack->end - unpack->begin;
    if (count > capacity)
        count = capacity;
    memcpy(data, unpack->chunk + unpack->begin, count);
    unpack->begin += count;
    *ret_count = count;
    return 0;
}

/* Steps until something comes out, or the end. */
static int read_some(struct unpack *unpack, void *data, size_t capacity, size_t *ret_count, struct err *err)
{
    *ret_count = 0;
    for (;;) {
        int code;
        if (refill(unpack, err) || (unpack->packing == PACKING_UNKNOWN && detect(unpack, err)))
            return err->code;
        int is_end = unpack->begin == unpack->end;
        if (is_end && unpack->is_between)
            return 0;
        if (unpack->packing == PACKING_GZIP)
            code = step_gzip(unpack, data, capacity, ret_count, err);
        else if (unpack->packing == PACKING_ZSTD)
            code = step_zstd(unpack, data, capacity, ret_count, err);
        else
            code = step_plain(unpack, data, capacity, ret_count);
        if (code || *ret_count)
            return code;
        if (is_end && !unpack->is_between)
            return err_set(err, ERR_FORMAT, "%s: truncated",
                           unpack->packing == PACKING_GZIP ? "gzip" : "zstd");
    }
}

int unpack_read(struct unpack *unpack, void *data, size_t capacity, size_t *ret_count, struct err *err)
{
    size_t count;
    if (read_some(unpack, data, capacity, &count, err))
        return err_wrap(err, "%s", unpack->source->name);
    unpack->unpacked_bytes += count;
    if (unpack->unpacked_bytes > LIMIT_DATASET_BYTES)
        return err_set(err, ERR_LIMIT, "%s: unpacks to more than the limit of %zu bytes",
                       unpack->source->name, LIMIT_DATASET_BYTES);
    *ret_count = count;
    return 0;
}

int unpack_digest(struct unpack *unpack, const atomic_bool *cancel, char *hex, struct err *err)
{
    int code;
    do {
        unpack->begin = unpack->end;
        code = cancel && atomic_load(cancel) ? err_set(err, ERR_CANCELLED, "hashing was cancelled")
                                             : refill(unpack, err);
    } while (!code && unpack->begin < unpack->end);
    if (!code)
        code = digest_finish_hex(unpack->digest, hex, DIGEST_SHA256_HEX_SIZE, err);
    return code ? err_wrap(err, "%s", unpack->source->name) : 0;
}
