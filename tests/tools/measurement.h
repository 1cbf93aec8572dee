/*
 * A measured tensor: what a device pass counted (gpu/statistics.h), turned into the numbers of the series
 * (daemon/analysis), and its sampled entries.
 */
#ifndef BIFURCATED_TESTS_MEASUREMENT_H
#define BIFURCATED_TESTS_MEASUREMENT_H

#include "daemon/analysis/sample.h"
#include "daemon/analysis/summary.h"
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
    float sample[SAMPLE_COUNT]; /* SAMPLE_SEED, of the token rows */
    size_t sample_count;
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

/* Summary of one row set, raw or centred. */
static inline int measurement_make_view(enum tensor_dtype dtype, const struct statistics_rows *rows,
                                        const struct moments_sums *columns, size_t column_count,
                                        int is_centred, struct summary *ret_summary, struct err *err)
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
    return summary_compute(&input, ret_summary, err);
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
    int code = 0;
    for (int view = 0; view < MEASUREMENT_VIEW_COUNT && !code; view++)
        code = measurement_make_view(dtype, rows, columns, column_count, view == MEASUREMENT_VIEW_CENTRED,
                                     &measurement->summaries[set][view], err);
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

static inline void measurement_make_sample(const struct statistics_request *request,
                                           struct measurement *measurement)
{
    measurement->sample_count = sample_count(request->token_rows, request->columns);
    for (size_t i = 0; i < measurement->sample_count; i++)
        measurement->sample[i] =
            measurement_element_at(request->dtype, request->data,
                                   sample_index(SAMPLE_SEED, request->token_rows, request->columns, i));
}

/* Turns the result of a pass into a measurement; the request tells dtype, shape and data (for the sample). */
static inline int measurement_make(const struct statistics_request *request,
                                   const struct statistics_result *result,
                                   struct measurement *ret_measurement, struct err *err)
{
    int code = 0;
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT && !code; set++) {
        code = measurement_make_rows(request->dtype, result, set, ret_measurement, err);
        for (int i = 0; i < STATISTICS_REFERENCES_MAX; i++)
            ret_measurement->displacements[i][set] =
                measurement_displacement_of(&result->displacements[i][set]);
    }
    measurement_make_sample(request, ret_measurement);
    return code;
}

#endif
