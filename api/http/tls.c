#include "api/http/tls.h"

#include "daemon/base/buf.h"
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 8
#define RENEWAL_MS_MAX (30 * INT64_C(86400000))

/* A certificate with its key. Handshakes may still use it after it was replaced, so it lives as long as the
 * server. */
struct pair {
    struct pair *older;
    unsigned char digest[DIGEST_SHA256_BYTES]; /* of the texts that it was made of */
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned chain_size;
    gnutls_privkey_t key;
    int64_t from_ms, until_ms; /* of the certificate that ends first */
};

struct api_tls {
    struct pair *newest;
};

static pthread_mutex_t current_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct pair *current;

static void free_pair(struct pair *pair)
{
    for (unsigned i = 0; i < pair->chain_size; i++)
        gnutls_pcert_deinit(&pair->chain[i]);
    if (pair->key)
        gnutls_privkey_deinit(pair->key);
    free(pair);
}

static int fail(struct err *err, const char *what, int code)
{
    return err_set(err, ERR_INVALID, "%s: %s", what, gnutls_strerror(code));
}

static int read_times(struct pair *pair, struct err *err)
{
    for (unsigned i = 0; i < pair->chain_size; i++) {
        gnutls_x509_crt_t certificate;
        int code = gnutls_pcert_export_x509(&pair->chain[i], &certificate);
        if (code < 0)
            return fail(err, "tls-certificate", code);
        int64_t until_ms = (int64_t)gnutls_x509_crt_get_expiration_time(certificate) * 1000;
        if (i == 0 || until_ms < pair->until_ms) {
            pair->from_ms = (int64_t)gnutls_x509_crt_get_activation_time(certificate) * 1000;
            pair->until_ms = until_ms;
        }
        gnutls_x509_crt_deinit(certificate);
    }
    return 0;
}

/* What one signs the other must be able to check. */
static int check_match(const struct pair *pair, struct err *err)
{
    static const char text[] = "bifurcated";
    gnutls_datum_t data = {(unsigned char *)(uintptr_t)text, sizeof text - 1}, signature = {NULL, 0};
    int code = gnutls_privkey_sign_data(pair->key, GNUTLS_DIG_SHA256, 0, &data, &signature);
    if (code >= 0) {
        int algorithm = gnutls_pubkey_get_pk_algorithm(pair->chain[0].pubkey, NULL);
        gnutls_sign_algorithm_t sign = gnutls_pk_to_sign(
            algorithm < 0 ? GNUTLS_PK_UNKNOWN : (gnutls_pk_algorithm_t)algorithm, GNUTLS_DIG_SHA256);
        code = gnutls_pubkey_verify_data2(pair->chain[0].pubkey, sign, 0, &data, &signature);
    }
    gnutls_free(signature.data);
    if (code == GNUTLS_E_PK_SIG_VERIFY_FAILED)
        return err_set(err, ERR_INVALID,
                       "tls-key: is not the key of the first certificate in tls-certificate");
    return code < 0 ? fail(err, "tls-key", code) : 0;
}

static int load(const char *certificate, const char *key, struct pair **ret_pair, struct err *err)
{
    struct pair *pair = calloc(1, sizeof *pair);
    if (!pair)
        return err_set(err, ERR_NO_MEMORY, "TLS: out of memory");
    gnutls_datum_t certificate_data = {(unsigned char *)(uintptr_t)certificate,
                                       (unsigned)strlen(certificate)};
    gnutls_datum_t key_data = {(unsigned char *)(uintptr_t)key, (unsigned)strlen(key)};
    unsigned size = CHAIN_MAX;
    int code = 0;
    int result =
        gnutls_pcert_list_import_x509_raw(pair->chain, &size, &certificate_data, GNUTLS_X509_FMT_PEM, 0);
    if (result < 0) {
        code = fail(err, "tls-certificate", result);
        goto out;
    }
    pair->chain_size = size;
    if ((code = read_times(pair, err)))
        goto out;
    result = gnutls_privkey_init(&pair->key);
    if (result >= 0)
        result = gnutls_privkey_import_x509_raw(pair->key, &key_data, GNUTLS_X509_FMT_PEM, NULL, 0);
    code = result < 0 ? fail(err, "tls-key", result) : check_match(pair, err);
out:
    if (code)
        free_pair(pair);
    else
        *ret_pair = pair;
    return code;
}

/* Called by GnuTLS at each handshake. */
static int hand_out(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **ret_chain,
                    unsigned *ret_chain_size, gnutls_privkey_t *ret_key)
{
    (void)session;
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    (void)pthread_mutex_lock(&current_mutex);
    struct pair *pair = current;
    (void)pthread_mutex_unlock(&current_mutex);
    if (!pair)
        return -1;
    *ret_chain = pair->chain;
    *ret_chain_size = pair->chain_size;
    *ret_key = pair->key;
    return 0;
}

/* Of both texts with their ends, so that nothing moves from one to the other. */
static int digest_texts(const char *certificate, const char *key, unsigned char digest[DIGEST_SHA256_BYTES],
                        struct err *err)
{
    struct buf both;
    buf_init(&both, 4 * MIB);
    (void)buf_append(&both, certificate, strlen(certificate) + 1);
    (void)buf_append_text(&both, key);
    int code = buf_check(&both, "TLS", err);
    if (!code)
        code = digest_sha256(buf_text(&both), both.size, digest, err);
    if (both.data)
        explicit_bzero(both.data, both.size);
    buf_free(&both);
    return code;
}

int api_tls_replace(struct api_tls *tls, const char *certificate, const char *key, struct err *err)
{
    struct pair *pair = NULL;
    unsigned char digest[DIGEST_SHA256_BYTES];
    int code = digest_texts(certificate, key, digest, err);
    if (!code && tls->newest && memcmp(digest, tls->newest->digest, sizeof digest) == 0)
        return 0;
    if (!code)
        code = load(certificate, key, &pair, err);
    if (code)
        return code;
    memcpy(pair->digest, digest, sizeof digest);
    pair->older = tls->newest;
    (void)pthread_mutex_lock(&current_mutex);
    tls->newest = pair;
    current = pair;
    (void)pthread_mutex_unlock(&current_mutex);
    return 1;
}

void api_tls_read_times(const struct api_tls *tls, int64_t *ret_from_ms, int64_t *ret_until_ms)
{
    (void)pthread_mutex_lock(&current_mutex);
    *ret_from_ms = tls->newest->from_ms;
    *ret_until_ms = tls->newest->until_ms;
    (void)pthread_mutex_unlock(&current_mutex);
}

int api_tls_read(const char *certificate_path, const char *key_path, struct buf *certificate, struct buf *key,
                 struct err *err)
{
    buf_init(certificate, 1 * MIB);
    buf_init(key, 1 * MIB);
    if (!certificate_path[0] || !key_path[0])
        return err_set(err, ERR_INVALID,
                       "TLS needs both tls-certificate and tls-key; one of them is not set");
    int code = file_read(certificate_path, certificate, err);
    if (code)
        return err_wrap(err, "tls-certificate");
    code = file_read(key_path, key, err);
    return code ? err_wrap(err, "tls-key, which the daemon's user must be able to read") : 0;
}

/* How long before its end a certificate is to be renewed. */
static int64_t renewal_ms(int64_t from_ms, int64_t until_ms)
{
    const int64_t tenth_ms = (until_ms - from_ms) / 10;
    return tenth_ms < RENEWAL_MS_MAX ? tenth_ms : RENEWAL_MS_MAX;
}

int api_tls_doubt(const char *certificate, int64_t now_ms, char *doubt, size_t size)
{
    static const char renew[] = "renew it, then systemctl reload bifurcated (SIGHUP)";
    gnutls_datum_t data = {(unsigned char *)(uintptr_t)certificate, (unsigned)strlen(certificate)};
    gnutls_x509_crt_t *chain = NULL;
    unsigned count = 0;
    char when[CLOCK_TEXT_SIZE];
    int level = 0;
    if (gnutls_x509_crt_list_import2(&chain, &count, &data, GNUTLS_X509_FMT_PEM, 0) < 0)
        return 0;
    for (unsigned i = 0; i < count; i++) {
        int64_t from_ms = (int64_t)gnutls_x509_crt_get_activation_time(chain[i]) * 1000;
        int64_t until_ms = (int64_t)gnutls_x509_crt_get_expiration_time(chain[i]) * 1000;
        int found =
            now_ms < from_ms || now_ms > until_ms ? 2 : now_ms > until_ms - renewal_ms(from_ms, until_ms);
        gnutls_x509_crt_deinit(chain[i]);
        if (found <= level)
            continue;
        level = found;
        clock_format(now_ms < from_ms ? from_ms : until_ms, when, sizeof when);
        if (now_ms < from_ms)
            (void)snprintf(doubt, size,
                           "clients refuse it until %s: see whether this machine's clock is right", when);
        else
            (void)snprintf(doubt, size, "clients refuse it %s %s: %s", found == 2 ? "since" : "from", when,
                           renew);
    }
    gnutls_free(chain);
    return level;
}

int api_tls_new(const char *certificate, const char *key, struct api_tls **ret_tls, struct err *err)
{
    struct api_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return err_set(err, ERR_NO_MEMORY, "TLS: out of memory");
    int code = api_tls_replace(tls, certificate, key, err);
    if (code < 0) {
        api_tls_free(tls);
        return code;
    }
    *ret_tls = tls;
    return 0;
}

void api_tls_free(struct api_tls *tls)
{
    if (!tls)
        return;
    (void)pthread_mutex_lock(&current_mutex);
    current = NULL;
    (void)pthread_mutex_unlock(&current_mutex);
    while (tls->newest) {
        struct pair *pair = tls->newest;
        tls->newest = pair->older;
        free_pair(pair);
    }
    free(tls);
}

struct MHD_OptionItem api_tls_option(void)
{
    struct MHD_OptionItem item = {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, NULL};
    gnutls_certificate_retrieve_function2 *function = hand_out;
    /* libmicrohttpd takes functions as pointers to data here; POSIX lets them have the same size. */
    memcpy(&item.ptr_value, &function, sizeof item.ptr_value);
    return item;
}
