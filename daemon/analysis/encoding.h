/*
 * What is kept of a distribution, as bytes: compact, versioned, the same on every machine. The store
 * compresses it further with zstd; a reader needs nothing but this file to compute any statistic again.
 *
 * Counts (version 1): the byte 1; the byte of enum distribution_format; the exponent as a signed number;
 * then, from code 0 on in ascending order of value, runs until the codes end: the number of codes with count
 * 0, the number of codes with other counts, and for each of these the difference of its count to that of the
 * code before it in the run (the first: to 0) as a signed number. Numbers are LEB128 (7 bits a byte, lowest
 * first), signed ones as zigzag (0, -1, 1, -2 ...). A run of zeros at the end is left out.
 *
 * Columns (version 1): the byte 1; the number of columns; then float32, little-endian, of all columns: the
 * means, the standard deviations, the bimodality coefficients (NaN where not defined).
 *
 * Sample (version 1): the byte 1; seed, rows, columns and the number of values as numbers; the values as
 * float32, little-endian (sample.h says which entries they are).
 */
#ifndef BIFURCATED_ANALYSIS_ENCODING_H
#define BIFURCATED_ANALYSIS_ENCODING_H

#include "daemon/analysis/distribution.h"
#include "daemon/analysis/moments.h"
#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define ENCODING_VERSION 1

/* Appends the counts; the result is smaller than ENCODING_COUNTS_BYTES_MAX. */
#define ENCODING_COUNTS_BYTES_MAX ((size_t)DISTRIBUTION_CODES * 11 + 64)
int encoding_counts_write(const struct distribution *distribution, struct buf *buf, struct err *err);

/* Reads counts back; counts must hold DISTRIBUTION_CODES. ERR_FORMAT for bytes that no writer made, with all
 * out-parameters but the content of counts untouched. */
int encoding_counts_read(const void *data, size_t size, enum distribution_format *ret_format,
                         int *ret_exponent, uint64_t *counts, struct err *err);

int encoding_columns_write(const struct moments_sums *columns, size_t column_count, struct buf *buf,
                           struct err *err);

/* Reads up to `room` columns into three arrays (each may be NULL); tells how many there are. ERR_LIMIT if
 * room is too small. */
int encoding_columns_read(const void *data, size_t size, size_t room, float *means, float *deviations,
                          float *bimodalities, size_t *ret_count, struct err *err);

struct encoding_sample {
    uint64_t seed, rows, columns;
    size_t count;
};
int encoding_sample_write(const struct encoding_sample *sample, const float *values, struct buf *buf,
                          struct err *err);

/* values must hold SAMPLE_COUNT. */
int encoding_sample_read(const void *data, size_t size, struct encoding_sample *ret_sample, float *values,
                         struct err *err);

#endif
