/*
 * A file as a stream of its content: plain, or unpacked from gzip or zstd, which its first bytes tell.
 *
 * What comes out is bounded by LIMIT_DATASET_BYTES and produced piece by piece, so a small file that unpacks
 * to terabytes costs little and fails. The raw bytes are digested on the way.
 */
#ifndef BIFURCATED_TEXT_UNPACK_H
#define BIFURCATED_TEXT_UNPACK_H

#include "daemon/base/err.h"
#include "daemon/base/source.h"

#include <stdatomic.h>
#include <stddef.h>

struct unpack;

/* Starts at the beginning of `source`, which is borrowed. ERR_LIMIT if it is larger than LIMIT_DATASET_BYTES.
 */
int unpack_new(struct source *source, struct unpack **ret_unpack, struct err *err);
void unpack_free(struct unpack *unpack);

/* Fills up to `capacity` (at least 1) bytes; *ret_count is 0 only at the end. Messages name the source.
 * ERR_FORMAT for damaged or truncated packing, ERR_UNSUPPORTED for what is packed or encoded in another way,
 * ERR_LIMIT, and what the source reports. */
int unpack_read(struct unpack *unpack, void *data, size_t capacity, size_t *ret_count, struct err *err);

/* Reads the rest of the source and writes the SHA-256 of all its raw bytes (DIGEST_SHA256_HEX_SIZE);
 * ERR_CANCELLED once *cancel, or NULL, is true. Nothing else can be done afterwards but unpack_free. */
int unpack_digest(struct unpack *unpack, const atomic_bool *cancel, char *hex, struct err *err);

#endif
