/*
 * SHA-256 (identity of tensors and LFS files) and SHA-1 (git's identity of small files), through libcrypto.
 */
#ifndef BIFURCATED_BASE_DIGEST_H
#define BIFURCATED_BASE_DIGEST_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SHA256_BYTES 32
#define DIGEST_SHA1_BYTES 20
#define DIGEST_SHA256_HEX_SIZE 65 /* with the final 0 */
#define DIGEST_SHA1_HEX_SIZE 41

enum digest_kind { DIGEST_KIND_SHA256, DIGEST_KIND_SHA1 };

struct digest; /* a running digest */

/* Starts libcrypto, and looks up the digests. A program does so before it starts threads: what libcrypto
 * cannot start for lack of memory it does not start later either, and then it crashes. ERR_NO_MEMORY. */
int digest_start(struct err *err);

/* Starts a digest; the caller frees it. */
int digest_new(enum digest_kind kind, struct digest **ret_digest, struct err *err);
void digest_free(struct digest *digest);

int digest_update(struct digest *digest, const void *data, size_t size, struct err *err);

/* Writes the lower-case hexadecimal form with a final 0 into hex (65 or 41 bytes). Ends the digest. */
int digest_finish_hex(struct digest *digest, char *hex, size_t hex_size, struct err *err);

/* SHA-256 of some bytes at once; hex has DIGEST_SHA256_HEX_SIZE bytes. */
int digest_sha256_hex(const void *data, size_t size, char *hex, struct err *err);

/* HMAC-SHA256 of some bytes (RFC 2104); hex has DIGEST_SHA256_HEX_SIZE bytes. */
int digest_hmac_sha256_hex(const void *key, size_t key_size, const void *data, size_t size, char *hex,
                           struct err *err);

/* The same as 32 bytes. */
int digest_sha256(const void *data, size_t size, unsigned char bytes[DIGEST_SHA256_BYTES], struct err *err);

/* Whether two digests are equal, in a time that does not tell where they differ. */
int digest_is_equal(const unsigned char *one, const unsigned char *other, size_t size);

/* Starts git's blob digest: SHA-1 over "blob <size>\0" and then the content, which the caller feeds. */
int digest_new_git_blob(uint64_t size_bytes, struct digest **ret_digest, struct err *err);

/* Whether text is exactly `digits` lower-case hexadecimal digits. */
int digest_is_hex(const char *text, size_t digits);

/* The reverse: exactly 2 * size lower-case digits to bytes. Returns 1, or 0 for other text. */
int digest_of_hex(const char *text, unsigned char *bytes, size_t size);

/* Lower-case hex of bytes; hex must hold 2 * size + 1. */
void digest_to_hex(const unsigned char *bytes, size_t size, char *hex);

#endif
