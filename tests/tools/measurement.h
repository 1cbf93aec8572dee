/*
 * A measured tensor, ready to be recorded: what a device pass counted (gpu/statistics.h), turned into the
 * numbers of the series (daemon/analysis) and into the bytes that are kept.
 */
#ifndef BIFURCATED_TESTS_MEASUREMENT_H
#define BIFURCATED_TESTS_MEASUREMENT_H

#include "daemon/analysis/encoding.h"
#include "daemon/analysis/sample.h"
#include "daemon/analysis/summary.h"
#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "gpu/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum measurement_view { MEASUREMENT_VIEW_RAW, MEASUREMENT_VIEW_CENTRED, MEASUREMENT_VIEW_COUNT };

struct measurement_displacement {
    uint64_t elements;           /* pairs of finite elements; 0: there was no such reference */
    double msd;                  /* NaN without pairs */
    double cosine;               /* NaN where a norm is 0 */
    double norm, reference_norm; /* Euclidean */
};

struct measurement {
    struct summary summaries[STATISTICS_ROW_SET_COUNT][MEASUREMENT_VIEW_COUNT];
    struct measurement_displacement displacements[STATISTICS_REFERENCES_MAX][STATISTICS_ROW_SET_COUNT];
    /* Bytes as in analysis/encoding.h. */
    struct buf distributions[STATISTICS_ROW_SET_COUNT][MEASUREMENT_VIEW_COUNT];
    struct buf columns[STATISTICS_ROW_SET_COUNT];
    struct buf sample; /* SAMPLE_SEED, of the token rows */
};

static inline enum distribution_format measurement_format_of(enum tensor_dtype dtype)
{
    switch (dtype) {
    case TENSOR_DTYPE_F16:
        return DISTRIBUTION_FORMAT_F16;
    case TENSOR_DTYPE_BF16:
        return DISTRIBUTION_FORMAT_BF16;
    default:
        return DISTRIBUTION_FORMAT_F32_TOP;
    }
}

static inline struct measurement_displacement
measurement_displacement_of(const struct statistics_displacement *sums)
{
    double norms = sqrt(sums->norm_squared) * sqrt(sums->reference_norm_squared);
    return (struct measurement_displacement){
        .elements = sums->elements,
        .msd = sums->elements ? sums->squared / (double)sums->elements : (double)NAN,
        .cosine = norms > 0 ? sums->dot / norms : (double)NAN,
        .norm = sqrt(sums->norm_squared),
        .reference_norm = sqrt(sums->reference_norm_squared),
    };
}

/* Summary and bytes of one row set, raw or centred. */
static inline int measurement_make_view(enum tensor_dtype dtype, const struct statistics_rows *rows,
                                        const struct moments_sums *columns, size_t column_count,
                                        int is_centred, struct summary *ret_summary, struct buf *buf,
                                        struct err *err)
{
    struct summary_input input = {
        .distribution = {.format = is_centred ? DISTRIBUTION_FORMAT_F16_SCALED : measurement_format_of(dtype),
                         .exponent = is_centred ? rows->centred_exponent : 0,
                         .counts = is_centred ? rows->centred_counts : rows->counts},
        .is_centred = is_centred,
        .columns = columns,
        .column_count = column_count,
        .zero_count = rows->zero_count,
        .minimum = rows->minimum,
        .maximum = rows->maximum,
        .mean = rows->mean,
    };
    int code = summary_compute(&input, ret_summary, err);
    return code ? code : encoding_counts_write(&input.distribution, buf, err);
}

static inline int measurement_make_rows(enum tensor_dtype dtype, const struct statistics_result *result,
                                        int set, struct measurement *measurement, struct err *err)
{
    const struct statistics_rows *rows = &result->rows[set];
    size_t column_count = (size_t)result->columns;
    struct moments_sums *columns = calloc(column_count, sizeof(*columns));
    if (!columns)
        return err_set(err, ERR_NO_MEMORY, "no memory for the moments of %zu columns", column_count);
    for (size_t i = 0; i < column_count; i++) {
        const struct statistics_column *column = &rows->columns[i];
        columns[i] = (struct moments_sums){.count = column->count,
                                           .mean = column->mean,
                                           .m2 = column->m2,
                                           .m3 = column->m3,
                                           .m4 = column->m4};
    }
    int code = encoding_columns_write(columns, column_count, &measurement->columns[set], err);
    for (int view = 0; view < MEASUREMENT_VIEW_COUNT && !code; view++)
        code = measurement_make_view(dtype, rows, columns, column_count, view == MEASUREMENT_VIEW_CENTRED,
                                     &measurement->summaries[set][view],
                                     &measurement->distributions[set][view], err);
    free(columns);
    return code;
}

static inline float measurement_element_at(enum tensor_dtype dtype, const void *data, uint64_t index)
{
    const unsigned char *at = (const unsigned char *)data + index * (tensor_dtype_bits(dtype) / 8);
    if (dtype == TENSOR_DTYPE_F64) {
        double value;
        memcpy(&value, at, sizeof(value));
        return (float)value;
    }
    if (dtype == TENSOR_DTYPE_F32) {
        float value;
        memcpy(&value, at, sizeof(value));
        return value;
    }
    uint16_t bits;
    memcpy(&bits, at, sizeof(bits));
    return (float)distribution_code_value(measurement_format_of(dtype), 0, statistics_order_code(bits));
}

static inline int measurement_make_sample(const struct statistics_request *request, struct buf *buf,
                                          struct err *err)
{
    struct encoding_sample sample = {.seed = SAMPLE_SEED,
                                     .rows = request->token_rows,
                                     .columns = request->columns,
                                     .count = sample_count(request->token_rows, request->columns)};
    float values[SAMPLE_COUNT];
    for (size_t i = 0; i < sample.count; i++)
        values[i] = measurement_element_at(request->dtype, request->data,
                                           sample_index(sample.seed, sample.rows, sample.columns, i));
    return encoding_sample_write(&sample, values, buf, err);
}

/* Takes half-built ones. */
static inline void measurement_free(struct measurement *measurement)
{
    if (!measurement)
        return;
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
        for (int view = 0; view < MEASUREMENT_VIEW_COUNT; view++)
            buf_free(&measurement->distributions[set][view]);
        buf_free(&measurement->columns[set]);
    }
    buf_free(&measurement->sample);
}

/* Turns the result of a pass into a measurement; the request tells dtype, shape and data (for the sample).
 * The caller frees it with measurement_free. */
static inline int measurement_make(const struct statistics_request *request,
                                   const struct statistics_result *result,
                                   struct measurement *ret_measurement, struct err *err)
{
    struct measurement measurement = {0};
    int code = 0;
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
        for (int view = 0; view < MEASUREMENT_VIEW_COUNT; view++)
            buf_init(&measurement.distributions[set][view], ENCODING_COUNTS_BYTES_MAX);
        buf_init(&measurement.columns[set], (size_t)result->columns * 12 + 64);
    }
    buf_init(&measurement.sample, (size_t)SAMPLE_COUNT * 4 + 64);
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT && !code; set++) {
        code = measurement_make_rows(request->dtype, result, set, &measurement, err);
        for (int i = 0; i < STATISTICS_REFERENCES_MAX; i++)
            measurement.displacements[i][set] = measurement_displacement_of(&result->displacements[i][set]);
    }
    if (!code)
        code = measurement_make_sample(request, &measurement.sample, err);
    if (code)
        measurement_free(&measurement);
    else
        *ret_measurement = measurement;
    return code;
}

#endif
