/*
 * Tensor statistics: what one device pass over a weight matrix produces, before any interpretation.
 *
 * A tensor is seen as a matrix of `rows` x `columns` (tensor_matrix). Two row sets are measured side by side:
 * `all` rows as stored, and `tokens`, the first `token_rows` rows, since the rest of an unembedding is
 * padding that never sees a gradient. For each row set there are
 *
 * - counts of 65,536 codes in ascending order of value, every element counted once:
 *     float16, bfloat16: the element's own bits, so that the counts hold the exact distribution;
 *     float32: the upper 16 bits (sign, exponent, 7 bits of fraction), so that one code is the interval from
 * its value, away from zero, up to the next; all NaNs fall into one code, and so does each infinity; float64:
 * converted to float32 first (round to nearest even); every statistic is then that of the converted tensor.
 *   Order: index = bits ^ 0xffff if the sign bit is set, else bits ^ 0x8000 (statistics_order_code).
 * - counts of the column-centred values: for column c with mean m over the finite elements of the row set,
 *   x = float32(w) - float32(m) in float32 arithmetic, divided by 2^centred_exponent and rounded to float16
 * (to nearest even); counted in the same ascending order. Relative resolution is thus 2^-11. NaN falls into
 * code 0x7e00, infinities keep theirs. The exponent is 0 wherever the row set's largest absolute centred
 * value is surely within [2^-8, 2^15) (statistics_centred_exponent), which weights are.
 * - per column: number, mean and central power sums of the finite elements in float64: the exact moments
 * behind the quantised centred counts, and (merged over columns) behind the quantised counts of float32.
 * - against each of up to two references of the same dtype and shape: float64 sums over the pairs in which
 * both elements are finite.
 *
 * NaN and infinities are counted and never enter a sum. Sums run over a grid of chunks that depends on the
 * shape alone and are reduced in a fixed order: the result is the same for any number of threads and any
 * instruction set of the CPU backend, bit by bit. Another backend agrees with it within rounding (counts:
 * exactly, except for centred values at the border of two codes).
 */
#ifndef BIFURCATED_GPU_STATISTICS_H
#define BIFURCATED_GPU_STATISTICS_H

#include "daemon/base/err.h"
#include "gpu/tensor.h"

#include <stdint.h>

#define STATISTICS_DEFINITION 1 /* raised when any number below would change its meaning */
#define STATISTICS_CODES 65536
#define STATISTICS_REFERENCES_MAX 2

enum statistics_row_set { STATISTICS_ROW_SET_ALL, STATISTICS_ROW_SET_TOKENS, STATISTICS_ROW_SET_COUNT };

struct statistics_request {
    enum tensor_dtype dtype; /* F16, BF16, F32 or F64 */
    uint64_t rows, columns;  /* both at least 1 */
    uint64_t token_rows;     /* 1 ... rows */
    const void *data;        /* rows * columns elements, row-major, little-endian, any alignment; borrowed */
    int reference_count;     /* 0 ... STATISTICS_REFERENCES_MAX */
    const void *references[STATISTICS_REFERENCES_MAX]; /* as data */
};

/* The finite elements of one column of a row set. */
struct statistics_column {
    uint64_t count;
    double mean;       /* 0 where count is 0 */
    double m2, m3, m4; /* sums of (w - mean)^k */
};

struct statistics_rows {
    uint64_t elements; /* rows of the set * columns */
    uint64_t nan_count, positive_inf_count, negative_inf_count;
    uint64_t zero_count;     /* +0 and -0 */
    double minimum, maximum; /* of the finite elements; NaN if there are none */
    double mean;          /* of the finite elements, from sums that keep what cancels; 0 if there are none */
    int centred_exponent; /* centred code value * 2^centred_exponent is the centred value */
    uint64_t *counts;     /* [STATISTICS_CODES] */
    uint64_t *centred_counts;          /* [STATISTICS_CODES] */
    struct statistics_column *columns; /* [columns] */
};

/* Sums over the pairs (w, r) of which both are finite. */
struct statistics_displacement {
    uint64_t elements;   /* pairs */
    double squared;      /* sum of (w - r)^2; MSD = squared / elements */
    double dot;          /* sum of w * r; cosine = dot / sqrt(norm_squared * reference_norm_squared) */
    double norm_squared; /* sum of w^2 */
    double reference_norm_squared; /* sum of r^2 */
};

struct statistics_result {
    uint64_t columns;
    struct statistics_rows rows[STATISTICS_ROW_SET_COUNT];
    struct statistics_displacement displacements[STATISTICS_REFERENCES_MAX][STATISTICS_ROW_SET_COUNT];
};

/* Whether a dtype can be measured. */
int statistics_is_supported(enum tensor_dtype dtype);

/* Checks a request: dtype, sizes within limits, pointers. ERR_UNSUPPORTED, ERR_INVALID or ERR_LIMIT. */
int statistics_request_check(const struct statistics_request *request, struct err *err);

/* Makes room for a result of `columns` columns, all zero. The caller owns it and frees it with
 * statistics_result_free, which takes half-built ones too. Reusable for any number of passes. */
int statistics_result_init(struct statistics_result *result, uint64_t columns, struct err *err);
void statistics_result_free(struct statistics_result *result);

/* Position of 16 bits (a float16, a bfloat16, or the upper half of a float32) in ascending order of value,
 * and back: negative NaNs, -Inf, ..., -0, +0, ..., +Inf, positive NaNs. */
static inline uint32_t statistics_order_code(uint32_t bits)
{
    return bits & 0x8000U ? bits ^ 0xffffU : bits ^ 0x8000U;
}

static inline uint32_t statistics_order_bits(uint32_t code)
{
    return code & 0x8000U ? code ^ 0x8000U : code ^ 0xffffU;
}

/* The exponent of the centred codes for a row set: 0 if largest (a bound on the absolute centred values) lies
 * in [2^-8, 2^15) or is 0; otherwise such that largest / 2^exponent lies in [2^14, 2^15). */
int statistics_centred_exponent(double largest);

#endif
