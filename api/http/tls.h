/*
 * The server's certificate, which can be replaced while it serves (SIGHUP).
 *
 * libmicrohttpd asks for the certificate at each handshake and hands over no context, so there is one current
 * certificate for the whole process; the tests are the only ones that might want two.
 */
#ifndef BIFURCATED_API_HTTP_TLS_H
#define BIFURCATED_API_HTTP_TLS_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <microhttpd.h>
#include <stddef.h>
#include <stdint.h>

struct api_tls;

/* Reads the two files of the options; "": none is named, which is ERR_INVALID. Initialises the buffers, which
 * the caller frees, also after an error. */
int api_tls_read(const char *certificate_path, const char *key_path, struct buf *certificate, struct buf *key,
                 struct err *err);

/* Takes a certificate with its chain and the key of it, both PEM; checks that they belong together.
 * ERR_INVALID. */
int api_tls_new(const char *certificate, const char *key, struct api_tls **ret_tls, struct err *err);

/* Whether clients will refuse a certificate (PEM) for its times: 0, or 1 in the last tenth of them, 30 days
 * at most, 2 outside of them; then `doubt` says so, and what to do. Of a chain all count. What is no
 * certificate gives 0: api_tls_new() says so. */
int api_tls_doubt(const char *certificate, int64_t now_ms, char *doubt, size_t size);

/* When the pair that is served now can be used: the certificate of its chain that ends first. */
void api_tls_read_times(const struct api_tls *tls, int64_t *ret_from_ms, int64_t *ret_until_ms);

/* After the server has stopped. NULL is allowed. */
void api_tls_free(struct api_tls *tls);

/* From the next handshake on; the old pair stays, and stays valid, if this one is refused. Returns 1, or 0 if
 * it is the pair that is served already: old pairs are kept, so that a server which is often told to reload
 * must not gather them. */
int api_tls_replace(struct api_tls *tls, const char *certificate, const char *key, struct err *err);

/* What MHD_start_daemon must be told. */
struct MHD_OptionItem api_tls_option(void);

#endif
