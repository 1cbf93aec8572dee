/*
 * How large values are laid out and compressed: in the database, and on the way from a remote worker.
 *
 * Encoding 1 of counts: for each code that occurs, in order, the distance from the code before (or from -1)
 * and the count, as LEB128 numbers; then zstd. Encoding 1 of reals: little-endian IEEE 754 (float64 for
 * columns: all means, then all bimodalities; float32 for samples), the bytes of each significance together,
 * which compresses; then zstd. The frames end with zstd's checksum, which early ones lack.
 */
#ifndef BIFURCATED_STORE_BLOB_H
#define BIFURCATED_STORE_BLOB_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define BLOB_ENCODING 1
#define BLOB_RAW_BYTES_MAX ((size_t)64 << 20) /* of any value before compression */

struct blob {
    struct buf data;  /* compressed */
    int64_t size_raw; /* bytes before compression */
};

void blob_init(struct blob *blob);
void blob_free(struct blob *blob);

/* Whether the bytes are those that were written, as far as they tell. ERR_DATABASE. */
int blob_check(const void *data, size_t size, int64_t encoding, int64_t size_raw, struct err *err);

int blob_encode_counts(const uint64_t *counts, size_t count, struct blob *blob, struct err *err);

/* Values of `width` bytes (4 or 8). */
int blob_encode_reals(const void *values, size_t count, size_t width, struct blob *blob, struct err *err);

/* counts[count] is filled. ERR_DATABASE if the bytes are not what the encoder makes. */
int blob_decode_counts(const void *data, size_t size, int64_t encoding, int64_t size_raw, uint64_t *counts,
                       size_t count, struct err *err);
int blob_decode_reals(const void *data, size_t size, int64_t encoding, int64_t size_raw, void *values,
                      size_t count, size_t width, struct err *err);

#endif
