/*
 * Revisions of equal content, found by sorting.
 */
#ifndef BIFURCATED_ANALYSIS_EQUAL_CONTENT_H
#define BIFURCATED_ANALYSIS_EQUAL_CONTENT_H

#include <stddef.h>
#include <stdint.h>

struct equal_content {
    uint64_t content;
    size_t index; /* of the revision in its series */
};

/* Brings equal contents together, each group in the order of the series. */
void equal_content_sort(struct equal_content *contents, size_t count);

/* One past the group that begins at `begin`, of sorted ones. */
size_t equal_content_end(const struct equal_content *contents, size_t count, size_t begin);

/* Whether the revisions of a group follow each other without a gap. */
int equal_content_is_run(const struct equal_content *group, size_t count);

#endif
