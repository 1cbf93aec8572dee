/*
 * URLs, as far as every layer looks into them.
 */
#ifndef BIFURCATED_BASE_URL_H
#define BIFURCATED_BASE_URL_H

#include <stddef.h>

/* How many bytes of a URL name its scheme, host and port; 0 of what has no host. */
size_t url_origin_length(const char *url);

/* Whether text[length], the beginning of a text, is an origin as browsers write it: scheme://host or
 * scheme://host:port, in small letters, without the port that the scheme has anyway. */
int url_is_origin(const char *text, size_t length);

/* Whether `host`, without brackets and port, is a numeric address that reaches this machine alone: ::1, or
 * 127.0.0.0/8, also as IPv6 writes it. A name that only begins like one ("127.example.com") is none. */
int url_host_is_loopback(const char *host);

/* Whether `host`, as above, means this machine: such an address, or "localhost", also as a whole name with
 * the dot at its end. */
int url_host_is_local(const char *host);

#endif
