/*
 * Files that were put into the program at build time (migrations, the dashboard, openapi.json).
 * deploy/cmake/Embed.cmake makes the arrays; each has a 0 byte after its end, so text is a C string too.
 */
#ifndef BIFURCATED_BASE_EMBEDDED_H
#define BIFURCATED_BASE_EMBEDDED_H

#include <stddef.h>

struct base_embedded {
    const char *name;           /* file name without its folder */
    const unsigned char *begin; /* first byte */
    const unsigned char *end;   /* one past the last byte */
};

extern const struct base_embedded migrations_embedded[];
extern const size_t migrations_embedded_count;
extern const struct base_embedded assets_embedded[];
extern const size_t assets_embedded_count;

#endif
