/*
 * A piece of a source that is kept in memory, so that neighbouring small reads cost one. Private to the zip
 * reader.
 */
#ifndef BIFURCATED_CHECKPOINT_WINDOW_H
#define BIFURCATED_CHECKPOINT_WINDOW_H

#include "daemon/base/err.h"
#include "daemon/base/source.h"

#include <stddef.h>
#include <stdint.h>

struct window {
    uint64_t begin; /* offset in the source */
    size_t size;
    unsigned char *data; /* NULL while nothing is kept */
};

/* Replaces the content by [begin, begin + size) of the source; on failure the old one stays. */
int window_fill(struct window *window, struct source *source, uint64_t begin, size_t size, struct err *err);

/* Copies what the window holds of [offset, offset + size) from its beginning on; returns how many bytes. */
size_t window_copy(const struct window *window, uint64_t offset, unsigned char *data, size_t size);

/* Whether the window holds the byte at `offset`. */
int window_holds(const struct window *window, uint64_t offset);

void window_done(struct window *window);

#endif
