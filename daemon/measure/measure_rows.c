#include "daemon/measure/measure_rows.h"

#include "daemon/analysis/sample.h"
#include "daemon/analysis/summary.h"
#include "gpu/tensor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VARIANTS 4 /* row sets x raw and centred */
#define LINKS_MAX 2

struct measure_rows {
    int64_t token_rows;
    char backend[STORE_BACKEND_SIZE];
    struct statistics_result result;
    struct statistics_row statistics[VARIANTS];
    size_t statistics_count;
    struct distribution_row distributions[VARIANTS];
    struct columns_row columns[STATISTICS_ROW_SET_COUNT];
    size_t columns_count;
    struct sample_row sample;
    float *sample_values;
    double *column_values; /* mean and bimodality of every column of both row sets */
    struct task_displacement links[LINKS_MAX];
    struct content_row references[LINKS_MAX];
    struct displacement_row link_rows[LINKS_MAX][STATISTICS_ROW_SET_COUNT];
    size_t link_count;
};

int measure_rows_new(struct measure_rows **ret_rows, struct err *err)
{
    struct measure_rows *rows = calloc(1, sizeof *rows);
    if (!rows)
        return err_set(err, ERR_NO_MEMORY, "rows of a tensor: out of memory");
    *ret_rows = rows;
    return 0;
}

void measure_rows_free(struct measure_rows *rows)
{
    if (!rows)
        return;
    statistics_result_free(&rows->result);
    free(rows->column_values);
    free(rows->sample_values);
    free(rows);
}

void measure_rows_begin(struct measure_rows *rows, int64_t token_rows, const char *backend)
{
    rows->token_rows = token_rows;
    (void)snprintf(rows->backend, sizeof rows->backend, "%s", backend);
}

struct statistics_result *measure_rows_result(struct measure_rows *rows)
{
    return &rows->result;
}

static int64_t token_rows_of_set(const struct measure_rows *rows, int set)
{
    return set == STATISTICS_ROW_SET_TOKENS ? rows->token_rows : 0;
}

static enum row_set row_set_of(int set)
{
    return set == STATISTICS_ROW_SET_TOKENS ? ROW_SET_TOKENS : ROW_SET_ALL;
}

/* -- Statistics and distributions -- */

enum distribution_format measure_rows_format(enum tensor_dtype dtype)
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

void measure_rows_copy_summary(const struct summary *summary, struct statistics_row *row)
{
    row->elements = (int64_t)summary->elements;
    row->nan_count = (int64_t)summary->nan_count;
    row->positive_inf_count = (int64_t)summary->positive_inf_count;
    row->negative_inf_count = (int64_t)summary->negative_inf_count;
    row->zero_count = (int64_t)summary->zero_count;
    row->minimum = summary->minimum;
    row->maximum = summary->maximum;
    row->mean = summary->mean;
    row->variance = summary->variance;
    row->skewness = summary->skewness;
    row->kurtosis = summary->kurtosis;
    row->bimodality = summary->bimodality;
#define X(suffix, probability) row->q##suffix = summary->quantiles[SUMMARY_QUANTILE_##suffix];
    SUMMARY_QUANTILES(X)
#undef X
    row->sparsity = summary->sparsity;
    row->dip = summary->dip;
    row->dip_sqrt_n = summary->dip_sqrt_n;
    row->dip_p = summary->dip_p;
    row->dip_low = summary->dip_low;
    row->dip_high = summary->dip_high;
    row->mixture_weight1 = summary->mixture_weight;
    row->mixture_mean1 = summary->mixture_mean1;
    row->mixture_sd1 = summary->mixture_sd1;
    row->mixture_mean2 = summary->mixture_mean2;
    row->mixture_sd2 = summary->mixture_sd2;
    row->ashman_d = summary->ashman_d;
    row->delta_bic = summary->delta_bic;
    row->valley_to_peak = summary->valley_to_peak;
    row->modes = summary->modes;
}

static int add_variant(struct measure_rows *rows, enum tensor_dtype dtype, int set, int is_centred,
                       const struct moments_sums *columns, struct err *err)
{
    const struct statistics_rows *pass = &rows->result.rows[set];
    struct summary summary;
    struct summary_input input = {
        .distribution = {.format = is_centred ? DISTRIBUTION_FORMAT_F16_SCALED : measure_rows_format(dtype),
                         .exponent = is_centred ? pass->centred_exponent : 0,
                         .counts = is_centred ? pass->centred_counts : pass->counts},
        .is_centred = is_centred,
        .columns = columns,
        .column_count = (size_t)rows->result.columns,
        .zero_count = pass->zero_count,
        .minimum = pass->minimum,
        .maximum = pass->maximum,
        .mean = pass->mean,
    };
    int code = summary_compute(&input, &summary, err);
    if (code)
        return code;
    struct statistics_row *row = &rows->statistics[rows->statistics_count];
    statistics_row_init(row);
    row->row_set = row_set_of(set);
    row->token_rows = token_rows_of_set(rows, set);
    row->is_centred = is_centred;
    row->definition = MEASURE_DEFINITION;
    (void)snprintf(row->backend, sizeof row->backend, "%s", rows->backend);
    measure_rows_copy_summary(&summary, row);

    struct distribution_row *distribution = &rows->distributions[rows->statistics_count];
    *distribution = (struct distribution_row){.row_set = row->row_set,
                                              .token_rows = row->token_rows,
                                              .is_centred = is_centred,
                                              .definition = MEASURE_DEFINITION,
                                              .counts = input.distribution.counts};
    distribution_name(input.distribution.format, input.distribution.exponent, distribution->code);
    rows->statistics_count++;
    return 0;
}

/* Mean and bimodality of each column, and the sums that the summaries need. */
static void add_columns(struct measure_rows *rows, int set, struct moments_sums *columns)
{
    const struct statistics_rows *pass = &rows->result.rows[set];
    size_t count = (size_t)rows->result.columns;
    double *means = rows->column_values + 2 * count * (size_t)set, *bimodalities = means + count;
    for (size_t i = 0; i < count; i++) {
        const struct statistics_column *column = &pass->columns[i];
        columns[i] = (struct moments_sums){.count = column->count,
                                           .mean = column->mean,
                                           .m2 = column->m2,
                                           .m3 = column->m3,
                                           .m4 = column->m4};
        means[i] = column->count ? column->mean : (double)NAN;
        bimodalities[i] = moments_of(&columns[i]).bimodality;
    }
    rows->columns[rows->columns_count++] = (struct columns_row){.token_rows = token_rows_of_set(rows, set),
                                                                .definition = MEASURE_DEFINITION,
                                                                .columns = (int64_t)count,
                                                                .mean = means,
                                                                .bimodality = bimodalities};
}

static float element_at(enum tensor_dtype dtype, const void *data, uint64_t index)
{
    const unsigned char *place = (const unsigned char *)data + index * (tensor_dtype_bits(dtype) / 8);
    double wide;
    float single;
    uint16_t bits;
    switch (dtype) {
    case TENSOR_DTYPE_F64:
        memcpy(&wide, place, sizeof wide);
        return (float)wide;
    case TENSOR_DTYPE_F32:
        memcpy(&single, place, sizeof single);
        return single;
    default:
        memcpy(&bits, place, sizeof bits);
        return (float)distribution_code_value(measure_rows_format(dtype), 0, statistics_order_code(bits));
    }
}

/* The same entries of the token rows at every revision: trajectories. */
static int add_sample(struct measure_rows *rows, enum tensor_dtype dtype, const void *data, struct err *err)
{
    uint64_t columns = rows->result.columns, token_rows = (uint64_t)rows->token_rows;
    size_t count = sample_count(token_rows, columns);
    rows->sample_values = calloc(count ? count : 1, sizeof(float));
    if (!rows->sample_values)
        return err_set(err, ERR_NO_MEMORY, "sampled entries: out of memory");
    for (size_t i = 0; i < count; i++)
        rows->sample_values[i] = element_at(dtype, data, sample_index(SAMPLE_SEED, token_rows, columns, i));
    rows->sample = (struct sample_row){.definition = SAMPLE_DEFINITION,
                                       .seed = SAMPLE_SEED,
                                       .count = (int64_t)count,
                                       .values = rows->sample_values};
    return 0;
}

int measure_rows_add_statistics(struct measure_rows *rows, enum tensor_dtype dtype, const void *data,
                                struct err *err)
{
    size_t count = (size_t)rows->result.columns;
    int code = 0;
    struct moments_sums *columns = calloc(count, sizeof *columns);
    rows->column_values = calloc(count * STATISTICS_ROW_SET_COUNT * 2, sizeof(double));
    if (!columns || !rows->column_values)
        code = err_set(err, ERR_NO_MEMORY, "columns: out of memory");
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT && !code; set++) {
        add_columns(rows, set, columns);
        code = add_variant(rows, dtype, set, 0, columns, err);
        if (!code)
            code = add_variant(rows, dtype, set, 1, columns, err);
    }
    if (!code)
        code = add_sample(rows, dtype, data, err);
    free(columns);
    return code;
}

/* -- Displacements -- */

void measure_rows_add_link(struct measure_rows *rows, enum task_link link, int64_t reference_revision_id,
                           const struct content_row *reference, const struct statistics_displacement *sums)
{
    rows->references[rows->link_count] = *reference;
    struct displacement_row *link_rows = rows->link_rows[rows->link_count];
    struct task_displacement *displacement = &rows->links[rows->link_count];
    *displacement = (struct task_displacement){.link = link,
                                               .reference_revision_id = reference_revision_id,
                                               .reference_id = reference->id,
                                               .reference = &rows->references[rows->link_count],
                                               .token_rows = rows->token_rows,
                                               .definition = MEASURE_DEFINITION,
                                               .rows = link_rows,
                                               .count = sums ? STATISTICS_ROW_SET_COUNT : 0};
    (void)snprintf(displacement->backend, sizeof displacement->backend, "%s", rows->backend);
    for (int set = 0; sums && set < STATISTICS_ROW_SET_COUNT; set++) {
        struct displacement_row *row = &link_rows[set];
        double elements = (double)sums[set].elements;
        double norms = sqrt(sums[set].norm_squared * sums[set].reference_norm_squared);
        displacement_row_init(row);
        row->row_set = row_set_of(set);
        row->token_rows = token_rows_of_set(rows, set);
        row->definition = MEASURE_DEFINITION;
        (void)snprintf(row->backend, sizeof row->backend, "%s", rows->backend);
        row->elements = (int64_t)sums[set].elements;
        if (sums[set].elements == 0)
            continue;
        row->msd = sums[set].squared / elements;
        row->norm = sqrt(sums[set].norm_squared);
        row->reference_norm = sqrt(sums[set].reference_norm_squared);
        if (norms > 0)
            row->cosine = sums[set].dot / norms;
    }
    rows->link_count++;
}

void measure_rows_set_wasserstein(struct measure_rows *rows, const double distances[STATISTICS_ROW_SET_COUNT])
{
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++)
        rows->link_rows[rows->link_count - 1][set].wasserstein1 = distances[set];
}

void measure_rows_finish(struct measure_rows *rows, struct task_tensor *tensor)
{
    tensor->token_rows = rows->token_rows;
    tensor->definition = MEASURE_DEFINITION;
    (void)snprintf(tensor->backend, sizeof tensor->backend, "%s", rows->backend);
    tensor->statistics = rows->statistics;
    tensor->statistics_count = rows->statistics_count;
    tensor->distributions = rows->distributions;
    tensor->distribution_count = rows->statistics_count;
    tensor->columns = rows->columns;
    tensor->columns_count = rows->columns_count;
    tensor->samples = &rows->sample;
    tensor->sample_count = rows->sample_values ? 1 : 0;
    tensor->displacements = rows->links;
    tensor->displacement_count = rows->link_count;
}
