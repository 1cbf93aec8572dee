#include "daemon/base/digest.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct digest {
    EVP_MD_CTX *context;
    size_t size;
};

static EVP_MD *fetched[2]; /* by kind; for as long as the program runs */

static const EVP_MD *method_of(enum digest_kind kind)
{
    if (fetched[kind])
        return fetched[kind];
    return kind == DIGEST_KIND_SHA256 ? EVP_sha256() : EVP_sha1();
}

int digest_start(struct err *err)
{
    /* Without its context, libcrypto's functions crash or fail for ever: it is looked for before any of them.
     */
    int is_there = OPENSSL_init_crypto(OPENSSL_INIT_ADD_ALL_DIGESTS, NULL) == 1 &&
                   OSSL_LIB_CTX_get0_global_default() != NULL;
    if (is_there && !fetched[DIGEST_KIND_SHA256])
        fetched[DIGEST_KIND_SHA256] = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    if (is_there && !fetched[DIGEST_KIND_SHA1])
        fetched[DIGEST_KIND_SHA1] = EVP_MD_fetch(NULL, "SHA1", NULL);
    if (!fetched[DIGEST_KIND_SHA256] || !fetched[DIGEST_KIND_SHA1])
        return err_set(err, ERR_NO_MEMORY, "digest: libcrypto does not start: out of memory");
    return 0;
}

int digest_new(enum digest_kind kind, struct digest **ret_digest, struct err *err)
{
    struct digest *digest = calloc(1, sizeof *digest);
    if (!digest)
        return err_set(err, ERR_NO_MEMORY, "digest: out of memory");
    digest->size = kind == DIGEST_KIND_SHA256 ? DIGEST_SHA256_BYTES : DIGEST_SHA1_BYTES;
    digest->context = EVP_MD_CTX_new();
    if (!digest->context || EVP_DigestInit_ex(digest->context, method_of(kind), NULL) != 1) {
        digest_free(digest);
        return err_set(err, ERR_INTERNAL, "digest: libcrypto does not start");
    }
    *ret_digest = digest;
    return 0;
}

void digest_free(struct digest *digest)
{
    if (!digest)
        return;
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

int digest_update(struct digest *digest, const void *data, size_t size, struct err *err)
{
    if (EVP_DigestUpdate(digest->context, data, size) != 1)
        return err_set(err, ERR_INTERNAL, "digest: libcrypto failed");
    return 0;
}

void digest_to_hex(const unsigned char *bytes, size_t size, char *hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * size] = 0;
}

int digest_finish_hex(struct digest *digest, char *hex, size_t hex_size, struct err *err)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    assert(hex_size >= 2 * digest->size + 1);
    (void)hex_size;
    if (EVP_DigestFinal_ex(digest->context, bytes, NULL) != 1)
        return err_set(err, ERR_INTERNAL, "digest: libcrypto failed");
    digest_to_hex(bytes, digest->size, hex);
    return 0;
}

int digest_sha256_hex(const void *data, size_t size, char *hex, struct err *err)
{
    struct digest *digest = NULL;
    int code = digest_new(DIGEST_KIND_SHA256, &digest, err);
    if (!code)
        code = digest_update(digest, data, size, err);
    if (!code)
        code = digest_finish_hex(digest, hex, DIGEST_SHA256_HEX_SIZE, err);
    digest_free(digest);
    return code;
}

int digest_hmac_sha256_hex(const void *key, size_t key_size, const void *data, size_t size, char *hex,
                           struct err *err)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned bytes_size = 0;
    if (key_size > INT32_MAX ||
        !HMAC(method_of(DIGEST_KIND_SHA256), key, (int)key_size, data, size, bytes, &bytes_size) ||
        bytes_size != DIGEST_SHA256_BYTES)
        return err_set(err, ERR_INTERNAL, "digest: libcrypto failed");
    digest_to_hex(bytes, bytes_size, hex);
    return 0;
}

int digest_sha256(const void *data, size_t size, unsigned char bytes[DIGEST_SHA256_BYTES], struct err *err)
{
    return EVP_Digest(data, size, bytes, NULL, method_of(DIGEST_KIND_SHA256), NULL) == 1
               ? 0
               : err_set(err, ERR_INTERNAL, "digest: libcrypto failed");
}

int digest_is_equal(const unsigned char *one, const unsigned char *other, size_t size)
{
    return CRYPTO_memcmp(one, other, size) == 0;
}

int digest_of_hex(const char *text, unsigned char *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    if (!digest_is_hex(text, 2 * size))
        return 0;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)((strchr(digits, text[2 * i]) - digits) * 16 +
                                   (strchr(digits, text[2 * i + 1]) - digits));
    return 1;
}

int digest_new_git_blob(uint64_t size_bytes, struct digest **ret_digest, struct err *err)
{
    char head[32];
    int length = snprintf(head, sizeof head, "blob %" PRIu64, size_bytes);
    struct digest *digest = NULL;
    int code = digest_new(DIGEST_KIND_SHA1, &digest, err);
    if (!code)
        code = digest_update(digest, head, (size_t)length + 1, err);
    if (code) {
        digest_free(digest);
        return code;
    }
    *ret_digest = digest;
    return 0;
}

int digest_is_hex(const char *text, size_t digits)
{
    return strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}
