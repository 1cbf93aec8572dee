/*
 * URLs, as far as every layer looks into them.
 */
#ifndef BIFURCATED_BASE_URL_H
#define BIFURCATED_BASE_URL_H

#include <stddef.h>

/* How many bytes of a URL name its scheme, host and port; 0 of what has no host. */
size_t url_origin_length(const char *url);

#endif
