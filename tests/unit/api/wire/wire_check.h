/*
 * What the tests of the codec share: a sample to write, and whether what was read is equal to it.
 */
#ifndef BIFURCATED_TESTS_API_WIRE_WIRE_CHECK_H
#define BIFURCATED_TESTS_API_WIRE_WIRE_CHECK_H

#include "tests/unit/api/wire/wire_sample.h"
#include "tests/unit/base/fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* On the heap, since it is large. The caller frees. */
static inline struct wire_sample *new_sample(void)
{
    struct wire_sample *sample = calloc(1, sizeof *sample);
    assert_non_null(sample);
    wire_sample_make(sample);
    return sample;
}

/* Bit by bit, but for NaN. */
static inline int same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static inline void check_statistics(const struct statistics_row *a, const struct statistics_row *b)
{
    assert_int_equal(a->row_set, b->row_set);
    assert_int_equal(a->token_rows, b->token_rows);
    assert_int_equal(a->is_centred, b->is_centred);
    assert_int_equal(a->definition, b->definition);
    assert_string_equal(a->backend, b->backend);
#define X(name) assert_int_equal(a->name, b->name);
    STATISTICS_COUNTS(X)
#undef X
#define X(name) assert_true(same(a->name, b->name));
    STATISTICS_REALS(X)
#undef X
}

#endif
