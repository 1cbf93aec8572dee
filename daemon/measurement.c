#include "daemon/measurement.h"

#include "daemon/analysis/encoding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum distribution_format format_of(enum tensor_dtype dtype)
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

static struct measurement_displacement displacement_of(const struct statistics_displacement *sums)
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
static int make_view(enum tensor_dtype dtype, const struct statistics_rows *rows,
                     const struct moments_sums *columns, size_t column_count, int is_centred,
                     struct summary *ret_summary, struct buf *buf, struct err *err)
{
    struct summary_input input = {
        .distribution = {.format = is_centred ? DISTRIBUTION_FORMAT_F16_SCALED : format_of(dtype),
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

static int make_rows(enum tensor_dtype dtype, const struct statistics_result *result, int set,
                     struct measurement *measurement, struct err *err)
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
        code = make_view(dtype, rows, columns, column_count, view == MEASUREMENT_VIEW_CENTRED,
                         &measurement->summaries[set][view], &measurement->distributions[set][view], err);
    free(columns);
    return code;
}

static float element_at(enum tensor_dtype dtype, const void *data, uint64_t index)
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
    return (float)distribution_code_value(format_of(dtype), 0, statistics_order_code(bits));
}

static int make_sample(const struct statistics_request *request, struct buf *buf, struct err *err)
{
    struct encoding_sample sample = {.seed = SAMPLE_SEED,
                                     .rows = request->token_rows,
                                     .columns = request->columns,
                                     .count = sample_count(request->token_rows, request->columns)};
    float values[SAMPLE_COUNT];
    for (size_t i = 0; i < sample.count; i++)
        values[i] = element_at(request->dtype, request->data,
                               sample_index(sample.seed, sample.rows, sample.columns, i));
    return encoding_sample_write(&sample, values, buf, err);
}

int measurement_make(const struct statistics_request *request, const struct statistics_result *result,
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
        code = make_rows(request->dtype, result, set, &measurement, err);
        for (int i = 0; i < STATISTICS_REFERENCES_MAX; i++)
            measurement.displacements[i][set] = displacement_of(&result->displacements[i][set]);
    }
    if (!code)
        code = make_sample(request, &measurement.sample, err);
    if (code)
        measurement_free(&measurement);
    else
        *ret_measurement = measurement;
    return code;
}

void measurement_free(struct measurement *measurement)
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

/* The distinct values behind stored bytes. */
static int read_values(const void *data, size_t size, uint64_t *counts, struct distribution_value *values,
                       size_t *ret_count, struct err *err)
{
    struct distribution distribution = {.counts = counts};
    int code = encoding_counts_read(data, size, &distribution.format, &distribution.exponent, counts, err);
    if (!code)
        *ret_count = distribution_values(&distribution, values);
    return code;
}

int measurement_wasserstein1(const void *a, size_t a_size, const void *b, size_t b_size, double *ret_distance,
                             struct err *err)
{
    size_t a_count = 0, b_count = 0;
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof(*counts));
    struct distribution_value *values = calloc(2 * (size_t)DISTRIBUTION_CODES, sizeof(*values));
    int code = 0;
    if (!counts || !values)
        code = err_set(err, ERR_NO_MEMORY, "no memory to compare two distributions");
    if (!code)
        code = read_values(a, a_size, counts, values, &a_count, err);
    if (!code)
        code = read_values(b, b_size, counts, values + DISTRIBUTION_CODES, &b_count, err);
    if (!code)
        *ret_distance = distribution_wasserstein1(values, a_count, values + DISTRIBUTION_CODES, b_count);
    free(counts);
    free(values);
    return code;
}
