/*
 * Compressed bodies: which coding a client takes, and the coding itself.
 */
#ifndef BIFURCATED_API_HTTP_ENCODE_H
#define BIFURCATED_API_HTTP_ENCODE_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <stddef.h>

enum api_encoding { API_ENCODING_IDENTITY, API_ENCODING_GZIP, API_ENCODING_ZSTD, API_ENCODING_COUNT };

/* "identity", "gzip", "zstd" */
const char *api_encoding_name(enum api_encoding encoding);

/* The best of what an Accept-Encoding header takes (RFC 9110): zstd before gzip at equal weight. NULL or
 * nothing known: identity. */
enum api_encoding api_encoding_choose(const char *accept);

/* Whether an Accept-Encoding header takes this coding by name. */
int api_encoding_takes(const char *accept, enum api_encoding encoding);

/* Appends the coded form of data[size] to `out`; `effort` 0 for an answer that is sent once, 1 for one that
 * is kept. ERR_LIMIT, ERR_NO_MEMORY. */
int api_encode(enum api_encoding encoding, int effort, const void *data, size_t size, struct buf *out,
               struct err *err);

#endif
