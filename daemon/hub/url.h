/*
 * Addresses: percent-encoding as the hub expects it, joining a redirect's target to its base, and the
 * comparison of origins that decides who may see the token.
 */
#ifndef BIFURCATED_HUB_URL_H
#define BIFURCATED_HUB_URL_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

/* Appends text with everything but [A-Za-z0-9_.~-] percent-encoded: a revision, '/' becomes %2F. */
void url_append_segment(struct buf *url, const char *text);

/* As url_append_segment, but '/' stays: a path inside a repository. */
void url_append_path(struct buf *url, const char *path);

/* The absolute address that `location` means on a page at `base`; both must be http or https. The caller
 * frees *ret_url. ERR_HTTP for an address that cannot be followed, or that goes from https to http. */
int url_follow(const char *base, const char *location, char **ret_url, struct err *err);

/* Whether both addresses have the same scheme, host (ignoring case) and port. */
int url_is_same_origin(const char *a, const char *b);

/* Whether the address starts with https. */
int url_is_https(const char *url);

/* Whether text is an http or https address without user, query and fragment: an endpoint. */
int url_is_endpoint(const char *text);

#endif
