/*
 * Names of revisions, for searching among many.
 */
#ifndef BIFURCATED_SWEEP_REVISION_NAMES_H
#define BIFURCATED_SWEEP_REVISION_NAMES_H

#include "daemon/base/err.h"

#include <stddef.h>

struct revision_name {
    const char *text; /* borrowed */
    size_t at;        /* its place where it comes from; of equal names the first counts */
};

struct revision_names {
    struct revision_name *rows; /* after revision_names_index() each name once, in order */
    size_t count;
};

/* Room for so many. The caller frees. */
int revision_names_init(struct revision_names *names, size_t capacity, struct err *err);
void revision_names_free(struct revision_names *names);

/* Adds one; there must be room. */
void revision_names_add(struct revision_names *names, const char *text, size_t at);

/* Once all are added. */
void revision_names_index(struct revision_names *names);

/* NULL: it is none of them. */
const struct revision_name *revision_names_find(const struct revision_names *names, const char *text);

#endif
