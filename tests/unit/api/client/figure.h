/*
 * What tests ask of a figure.
 */
#ifndef BIFURCATED_TESTS_FIGURE_H
#define BIFURCATED_TESTS_FIGURE_H

#include "daemon/base/buf.h"

#include <string.h>

/* How often a text occurs in it. */
static inline size_t count_of(const struct buf *svg, const char *text)
{
    size_t count = 0;
    for (const char *at = buf_text(svg); (at = strstr(at, text)); at++)
        count++;
    return count;
}

#endif
