/*
 * Measures tensors that lie in raw files and prints everything as JSON, for tests that compare with other
 * programs.
 *
 *   statistics_probe DTYPE ROWS COLUMNS TOKEN_ROWS VARIANTS FILE [REFERENCE [REFERENCE]]
 *   statistics_probe dip < pairs     ("COUNT" and then COUNT pairs "VALUE TIMES", as often as wanted)
 *   statistics_probe isa             (the best instruction set here)
 *
 * VARIANTS: THREADS:ISA[,THREADS:ISA ...], ISA being portable, avx2, avx512 or best; all are measured, and it
 * is an error if one result differs from the first in a single bit. NaN is printed as null.
 */
#include "daemon/analysis/dip.h"
#include "daemon/analysis/mixture.h"
#include "daemon/analysis/valley.h"
#include "daemon/base/file.h"
#include "gpu/cpu/statistics.h"
#include "tests/tools/measurement.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_number(const char *name, double value, const char *end)
{
    if (isnan(value))
        (void)printf("\"%s\": null%s", name, end);
    else
        (void)printf("\"%s\": %.17g%s", name, value, end);
}

static void print_whole(const char *name, uint64_t value, const char *end)
{
    (void)printf("\"%s\": %" PRIu64 "%s", name, value, end);
}

static void print_summary(const char *name, const struct summary *summary, const char *end)
{
    (void)printf("\"%s\": {", name);
    print_whole("elements", summary->elements, ", ");
    print_whole("nan_count", summary->nan_count, ", ");
    print_whole("positive_inf_count", summary->positive_inf_count, ", ");
    print_whole("negative_inf_count", summary->negative_inf_count, ", ");
    print_whole("zero_count", summary->zero_count, ", ");
#define X(suffix, probability) print_number("q" #suffix, summary->quantiles[SUMMARY_QUANTILE_##suffix], ", ");
    SUMMARY_QUANTILES(X)
#undef X
    print_number("minimum", summary->minimum, ", ");
    print_number("maximum", summary->maximum, ", ");
    print_number("mean", summary->mean, ", ");
    print_number("variance", summary->variance, ", ");
    print_number("skewness", summary->skewness, ", ");
    print_number("kurtosis", summary->kurtosis, ", ");
    print_number("bimodality", summary->bimodality, ", ");
    print_number("sparsity", summary->sparsity, ", ");
    print_number("dip", summary->dip, ", ");
    print_number("dip_sqrt_n", summary->dip_sqrt_n, ", ");
    print_number("dip_p", summary->dip_p, ", ");
    print_number("dip_low", summary->dip_low, ", ");
    print_number("dip_high", summary->dip_high, ", ");
    print_number("mixture_weight", summary->mixture_weight, ", ");
    print_number("mixture_mean1", summary->mixture_mean1, ", ");
    print_number("mixture_sd1", summary->mixture_sd1, ", ");
    print_number("mixture_mean2", summary->mixture_mean2, ", ");
    print_number("mixture_sd2", summary->mixture_sd2, ", ");
    print_number("ashman_d", summary->ashman_d, ", ");
    print_number("delta_bic", summary->delta_bic, ", ");
    print_number("valley_to_peak", summary->valley_to_peak, ", ");
    print_number("modes", summary->modes, "");
    (void)printf("}%s\n", end);
}

static void print_counts(const char *name, const uint64_t *counts)
{
    int is_first = 1;
    (void)printf("\"%s\": [", name);
    for (uint32_t code = 0; code < STATISTICS_CODES; code++) {
        if (!counts[code])
            continue;
        (void)printf("%s[%u, %" PRIu64 "]", is_first ? "" : ", ", code, counts[code]);
        is_first = 0;
    }
    (void)printf("],\n");
}

static void print_columns(const struct statistics_column *columns, uint64_t count)
{
    (void)printf("\"columns\": [");
    for (uint64_t i = 0; i < count; i++)
        (void)printf("%s[%" PRIu64 ", %.17g, %.17g, %.17g, %.17g]", i ? ", " : "", columns[i].count,
                     columns[i].mean, columns[i].m2, columns[i].m3, columns[i].m4);
    (void)printf("]\n");
}

static void print_rows(const char *name, int set, const struct statistics_result *result,
                       const struct measurement *measurement)
{
    const struct statistics_rows *rows = &result->rows[set];
    (void)printf("\"%s\": {\n", name);
    print_summary("raw", &measurement->summaries[set][MEASUREMENT_VIEW_RAW], ",");
    print_summary("centred", &measurement->summaries[set][MEASUREMENT_VIEW_CENTRED], ",");
    (void)printf("\"displacements\": [");
    for (int i = 0; i < STATISTICS_REFERENCES_MAX; i++) {
        const struct measurement_displacement *displacement = &measurement->displacements[i][set];
        (void)printf("%s{", i ? ", " : "");
        print_whole("elements", displacement->elements, ", ");
        print_number("msd", displacement->msd, ", ");
        print_number("cosine", displacement->cosine, ", ");
        print_number("norm", displacement->norm, ", ");
        print_number("reference_norm", displacement->reference_norm, "}");
    }
    (void)printf("],\n");
    (void)printf("\"centred_exponent\": %d,\n", rows->centred_exponent);
    print_counts("counts", rows->counts);
    print_counts("centred_counts", rows->centred_counts);
    print_columns(rows->columns, result->columns);
    (void)printf("}");
}

static int read_file(const char *path, uint64_t size_bytes, struct buf *buf, struct err *err)
{
    buf_init(buf, (size_t)size_bytes);
    int code = file_read(path, buf, err);
    if (!code && buf->size != size_bytes)
        code = err_set(err, ERR_FORMAT, "%s has %zu bytes, not %" PRIu64, path, buf->size, size_bytes);
    return code;
}

static int find_isa(const char *name, enum cpu_isa *ret_isa, struct err *err)
{
    *ret_isa = cpu_isa_best();
    if (strcmp(name, "best") == 0)
        return 0;
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        if (strcmp(name, cpu_isa_name((enum cpu_isa)isa)) == 0 && isa <= (int)cpu_isa_best()) {
            *ret_isa = (enum cpu_isa)isa;
            return 0;
        }
    }
    return err_set(err, ERR_UNSUPPORTED, "no instruction set %s here", name);
}

static int rows_differ(const struct statistics_rows *a, const struct statistics_rows *b, uint64_t columns)
{
    struct statistics_rows x = *a, y = *b;
    x.counts = y.counts = x.centred_counts = y.centred_counts = NULL;
    x.columns = y.columns = NULL;
    return memcmp(&x, &y, sizeof(x)) || memcmp(a->counts, b->counts, STATISTICS_CODES * sizeof(*a->counts)) ||
           memcmp(a->centred_counts, b->centred_counts, STATISTICS_CODES * sizeof(*a->counts)) ||
           memcmp(a->columns, b->columns, columns * sizeof(*a->columns));
}

static int results_differ(const struct statistics_result *a, const struct statistics_result *b)
{
    int differ = memcmp(a->displacements, b->displacements, sizeof(a->displacements)) != 0;
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++)
        differ |= rows_differ(&a->rows[set], &b->rows[set], a->columns);
    return differ;
}

/* Measures once per variant into `result`, using `other` for all but the first. */
static int measure_variants(const char *variants, const struct statistics_request *request,
                            struct statistics_result *result, struct statistics_result *other,
                            struct err *err)
{
    int code = 0, is_first = 1;
    while (*variants && !code) {
        struct cpu_threads *threads = NULL;
        enum cpu_isa isa = CPU_ISA_PORTABLE;
        char *end = NULL, name[32];
        int count = (int)strtol(variants, &end, 10);
        end += *end == ':';
        size_t length = strcspn(end, ",");
        (void)snprintf(name, sizeof(name), "%.*s", (int)length, end);
        code = find_isa(name, &isa, err);
        if (!code)
            code = cpu_threads_new(count, &threads, err);
        if (!code)
            code = cpu_statistics(threads, isa, request, is_first ? result : other, err);
        if (!code && !is_first && results_differ(result, other))
            code = err_set(err, ERR_MISMATCH, "%d threads, %s: another result than before", count, name);
        cpu_threads_free(threads);
        is_first = 0;
        variants = end + length + (end[length] == ',');
    }
    return code;
}

static int measure(int argc, char **argv, struct err *err)
{
    struct statistics_request request = {.rows = strtoull(argv[2], NULL, 10),
                                         .columns = strtoull(argv[3], NULL, 10),
                                         .token_rows = strtoull(argv[4], NULL, 10),
                                         .reference_count = argc - 7};
    struct tensor_shape shape = {.ndim = 2, .dim = {request.rows, request.columns}};
    struct buf files[1 + STATISTICS_REFERENCES_MAX] = {{0}};
    struct statistics_result result = {0}, other = {0};
    struct measurement measurement = {0};
    uint64_t size_bytes = 0;
    int code = tensor_dtype_parse(argv[1], &request.dtype, err);
    if (!code)
        code = tensor_size_bytes(request.dtype, &shape, &size_bytes, err);
    for (int i = 0; i < argc - 6 && !code; i++)
        code = read_file(argv[6 + i], size_bytes, &files[i], err);
    request.data = files[0].data;
    for (int i = 0; i < request.reference_count; i++)
        request.references[i] = files[i + 1].data;
    if (!code)
        code = statistics_request_check(&request, err);
    if (!code)
        code = statistics_result_init(&result, request.columns, err);
    if (!code)
        code = statistics_result_init(&other, request.columns, err);
    if (!code)
        code = measure_variants(argv[5], &request, &result, &other, err);
    if (!code)
        code = measurement_make(&request, &result, &measurement, err);
    if (!code) {
        (void)printf("{\n");
        print_rows("all", STATISTICS_ROW_SET_ALL, &result, &measurement);
        (void)printf(",\n");
        print_rows("tokens", STATISTICS_ROW_SET_TOKENS, &result, &measurement);
        (void)printf(",\n");
        (void)printf("\"sample\": [");
        for (size_t i = 0; i < measurement.sample_count; i++)
            (void)printf("%s\"%a\"", i ? ", " : "", (double)measurement.sample[i]);
        (void)printf("]\n");
        (void)printf("}\n");
    }
    statistics_result_free(&result);
    statistics_result_free(&other);
    for (int i = 0; i <= STATISTICS_REFERENCES_MAX; i++)
        buf_free(&files[i]);
    return code;
}

/* Dips, and mixtures and valleys of the body, of distributions that are given as pairs; one line of JSON
 * each. */
static int shapes(struct err *err)
{
    size_t count = 0;
    int code = 0;
    while (!code && scanf("%zu", &count) == 1) {
        struct distribution_value *values = calloc(count + 1, sizeof(*values));
        struct dip dip;
        struct mixture mixture;
        size_t body_count = 0;
        for (size_t i = 0; values && i < count; i++) {
            if (scanf("%lf %" SCNu64, &values[i].value, &values[i].count) != 2)
                code = err_set(err, ERR_FORMAT, "a pair is missing");
        }
        if (!values)
            code = err_set(err, ERR_NO_MEMORY, "no memory for %zu values", count);
        if (!code)
            code = dip_measure(values, count, &dip, err);
        const struct distribution_value *body = distribution_body(values, count, &body_count);
        if (!code)
            code = mixture_fit(body, body_count, &mixture, err);
        if (!code) {
            (void)printf("{");
            print_number("dip", dip.dip, ", ");
            print_number("low", dip.low, ", ");
            print_number("high", dip.high, ", ");
            print_number("weight1", mixture.components[0].weight, ", ");
            print_number("mean1", mixture.components[0].mean, ", ");
            print_number("sd1", mixture.components[0].sd, ", ");
            print_number("mean2", mixture.components[1].mean, ", ");
            print_number("sd2", mixture.components[1].sd, ", ");
            print_number("ashman_d", mixture.ashman_d, ", ");
            print_number("delta_bic", mixture.delta_bic, ", ");
            print_number("log_likelihood", mixture.log_likelihood, ", ");
            struct valley valley = valley_find(body, body_count);
            print_number("valley_to_peak", valley.ratio, ", ");
            print_whole("modes", (uint64_t)valley.mode_count, "}\n");
        }
        free(values);
    }
    return code;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    int code;
    if (argc == 2 && strcmp(argv[1], "isa") == 0)
        return printf("%s\n", cpu_isa_name(cpu_isa_best())) < 0;
    if (argc == 2 && strcmp(argv[1], "dip") == 0)
        code = shapes(&err);
    else if (argc >= 7 && argc <= 7 + STATISTICS_REFERENCES_MAX)
        code = measure(argc, argv, &err);
    else
        code = err_set(&err, ERR_INVALID,
                       "usage: statistics_probe DTYPE ROWS COLUMNS TOKEN_ROWS VARIANTS "
                       "FILE [REFERENCE [REFERENCE]] | dip | isa");
    if (code)
        (void)fprintf(stderr, "%s\n", err.message);
    return code ? 1 : 0;
}
