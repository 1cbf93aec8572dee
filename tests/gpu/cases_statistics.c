#include "tests/gpu/cases.h"

#include "gpu/half.h"
#include "tests/tools/random_model.h"

/* Sums agree to this, relative to the sum of their terms' magnitudes. */
#define SUM_TOLERANCE 1e-11
/* Centred values at the border of two codes may fall on either side: this share of the elements. */
#define BORDER_TOLERANCE 1e-5

enum fill {
    FILL_NORMAL,
    FILL_SPECIAL,  /* NaN, infinities, zeros of both signs, subnormals among the others */
    FILL_CONSTANT, /* one code takes every count: counters run over many times */
    FILL_NAN,      /* nothing finite */
    FILL_HUGE,     /* a centred exponent other than 0 */
    FILL_WIDE,     /* values on both sides of -2, where tables of counters end, with centres of 0.8 */
    FILL_GAPS      /* only the references have what is not finite */
};

static const struct statistics_case {
    enum tensor_dtype dtype;
    uint64_t rows, columns, token_rows;
    int references;
    enum fill fill;
    enum case_cost cost;
    int is_full; /* the device has no room for whole tensors: they go part by part */
} table[] = {
    {TENSOR_DTYPE_F16, 1, 1, 1, 0, FILL_NORMAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F16, 1, 1000, 1, 2, FILL_NORMAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F16, 777, 1, 700, 1, FILL_NORMAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F16, 300, 37, 299, 2, FILL_SPECIAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F16, 513, 128, 513, 2, FILL_NORMAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F16, 257, 23, 257, 0, FILL_SPECIAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_BF16, 700, 9, 350, 0, FILL_SPECIAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F16, 100, 333, 1, 2, FILL_SPECIAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F16, 2000, 64, 1990, 1, FILL_CONSTANT, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F16, 50, 50, 50, 1, FILL_NAN, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F16, 64, 72, 60, 1, FILL_HUGE, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_BF16, 300, 40, 290, 2, FILL_SPECIAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_BF16, 129, 1023, 129, 1, FILL_NORMAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_BF16, 64, 72, 60, 1, FILL_HUGE, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F32, 300, 37, 280, 2, FILL_SPECIAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F32, 65, 260, 65, 1, FILL_NORMAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F32, 200, 260, 150, 2, FILL_NORMAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F16, 40, 1300, 35, 2, FILL_NORMAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F32, 50, 50, 40, 0, FILL_NAN, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F16, 900, 72, 850, 2, FILL_WIDE, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_BF16, 700, 300, 690, 1, FILL_WIDE, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F32, 400, 36, 390, 2, FILL_WIDE, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F16, 300, 37, 250, 2, FILL_GAPS, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F32, 200, 260, 150, 2, FILL_GAPS, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F64, 90, 33, 80, 2, FILL_SPECIAL, CASE_COST_SMALL, 0},
    {TENSOR_DTYPE_F16, 50304, 512, 50254, 2, FILL_NORMAL, CASE_COST_LARGE, 0},
    {TENSOR_DTYPE_F16, 50304, 128, 50254, 2, FILL_SPECIAL, CASE_COST_LARGE, 0},
    {TENSOR_DTYPE_F16, 40000, 1000, 40000, 0, FILL_CONSTANT, CASE_COST_LARGE, 0},
    {TENSOR_DTYPE_F16, 1, 5000000, 1, 1, FILL_NORMAL, CASE_COST_LARGE, 0},
    {TENSOR_DTYPE_BF16, 20000, 2560, 19900, 2, FILL_NORMAL, CASE_COST_LARGE, 0},
    {TENSOR_DTYPE_F32, 30000, 768, 29000, 2, FILL_NORMAL, CASE_COST_LARGE, 0},
    {TENSOR_DTYPE_F16, 20000, 1024, 19000, 2, FILL_WIDE, CASE_COST_LARGE, 0},
    /* More tiles than pairs of blocks, up to 172 multiprocessors: the third pass sums the displacements. */
    {TENSOR_DTYPE_F16, 200, 45000, 149, 2, FILL_NORMAL, CASE_COST_LARGE, 0},
    {TENSOR_DTYPE_F32, 200, 23000, 149, 1, FILL_NORMAL, CASE_COST_LARGE, 0},
    {TENSOR_DTYPE_F16, 20000, 128, 19000, 2, FILL_NORMAL, CASE_COST_LARGE, 1},
    {TENSOR_DTYPE_BF16, 20000, 128, 19000, 2, FILL_SPECIAL, CASE_COST_LARGE, 1},
};

static float draw(enum fill fill, uint64_t seed, uint64_t place)
{
    uint64_t bits = random_at(seed, place);
    /* Four uniform draws make a bell. */
    float sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (float)(bits >> (16 * i) & 0xffff) / 65536.0F - 0.5F;
    if (fill == FILL_CONSTANT)
        return 0.125F;
    if (fill == FILL_NAN)
        return bits & 1 ? NAN : INFINITY;
    if (fill == FILL_HUGE)
        return sum * 6e4F;
    if (fill == FILL_WIDE)
        return sum * 1.6F + 0.8F;
    if (fill == FILL_SPECIAL) {
        const float specials[] = {NAN, -NAN, INFINITY, -INFINITY, 0.0F, -0.0F, 3e-7F, -1e-40F};
        uint64_t other = random_at(seed ^ 1, place);
        if (other % 16 == 0)
            return specials[other / 16 % 8];
    }
    return sum * 0.03F + (float)(place % 7) * 0.001F;
}

static void store(enum tensor_dtype dtype, unsigned char *data, uint64_t place, float value)
{
    uint32_t bits = half_bits_of_float(value);
    uint16_t half = dtype == TENSOR_DTYPE_F16 ? half_to_f16(value) : (uint16_t)(bits >> 16);
    double wide = (double)value * 1.0000000001;
    if (dtype == TENSOR_DTYPE_F32)
        memcpy(data + 4 * place, &value, 4);
    else if (dtype == TENSOR_DTYPE_F64)
        memcpy(data + 8 * place, &wide, 8);
    else
        memcpy(data + 2 * place, &half, 2);
}

/* The largest difference so far, in units of its tolerance. */
struct worst {
    double value;
    const char *what;
};

static void differ(struct worst *worst, const char *what, double a, double b, double tolerance)
{
    double difference = fabs(a - b);
    double value = difference == 0 || (isnan(a) && isnan(b)) ? 0 : difference / tolerance;
    if (!(value <= worst->value)) {
        worst->value = isnan(value) ? INFINITY : value;
        worst->what = what;
    }
}

static void differ_exactly(struct worst *worst, const char *what, uint64_t a, uint64_t b)
{
    differ(worst, what, 0, a == b ? 0 : 1, 1e-9);
}

static void compare_rows(const struct statistics_rows *a, const struct statistics_rows *b, uint64_t columns,
                         struct worst *worst)
{
    uint64_t moved = 0;
    double largest = fmax(fabs(a->minimum), fabs(a->maximum));
    differ_exactly(worst, "elements", a->elements, b->elements);
    differ_exactly(worst, "NaN", a->nan_count, b->nan_count);
    differ_exactly(worst, "+Inf", a->positive_inf_count, b->positive_inf_count);
    differ_exactly(worst, "-Inf", a->negative_inf_count, b->negative_inf_count);
    differ_exactly(worst, "zeros", a->zero_count, b->zero_count);
    differ_exactly(worst, "centred exponent", (uint64_t)(unsigned)a->centred_exponent,
                   (uint64_t)(unsigned)b->centred_exponent);
    differ(worst, "minimum", a->minimum, b->minimum, 1e-300);
    differ(worst, "maximum", a->maximum, b->maximum, 1e-300);
    differ(worst, "mean", a->mean, b->mean, largest * SUM_TOLERANCE);
    for (int code = 0; code < STATISTICS_CODES; code++) {
        uint64_t x = a->centred_counts[code], y = b->centred_counts[code];
        differ_exactly(worst, "counts", a->counts[code], b->counts[code]);
        moved += x > y ? x - y : y - x;
    }
    differ(worst, "centred counts", 0, (double)moved, 4 + BORDER_TOLERANCE * (double)a->elements);
    for (uint64_t c = 0; c < columns; c++) {
        const struct statistics_column *x = &a->columns[c], *y = &b->columns[c];
        differ_exactly(worst, "column count", x->count, y->count);
        differ(worst, "column mean", x->mean, y->mean, largest * SUM_TOLERANCE);
        double n = (double)x->count, floor2 = n * largest * largest * 1e-20;
        differ(worst, "m2", x->m2, y->m2, (x->m2 + floor2) * SUM_TOLERANCE * 10);
        differ(worst, "m3", x->m3, y->m3, (sqrt(x->m2 * x->m4) + floor2 * largest) * SUM_TOLERANCE * 10);
        differ(worst, "m4", x->m4, y->m4, (x->m4 + floor2 * largest * largest) * SUM_TOLERANCE * 10);
    }
}

static void compare(const struct statistics_result *a, const struct statistics_result *b, int references,
                    struct worst *worst)
{
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
        compare_rows(&a->rows[set], &b->rows[set], a->columns, worst);
        for (int i = 0; i < references; i++) {
            const struct statistics_displacement *x = &a->displacements[i][set],
                                                 *y = &b->displacements[i][set];
            double scale = (x->norm_squared + x->reference_norm_squared) * SUM_TOLERANCE;
            differ_exactly(worst, "pairs", x->elements, y->elements);
            differ(worst, "squared", x->squared, y->squared, scale);
            differ(worst, "dot", x->dot, y->dot, scale);
            differ(worst, "norm", x->norm_squared, y->norm_squared, scale);
            differ(worst, "reference norm", x->reference_norm_squared, y->reference_norm_squared, scale);
        }
    }
}

/* Whether two results are the same bit by bit. */
static int is_same(const struct statistics_result *a, const struct statistics_result *b)
{
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
        const struct statistics_rows *x = &a->rows[set], *y = &b->rows[set];
        if (memcmp(x->counts, y->counts, STATISTICS_CODES * sizeof(*x->counts)) ||
            memcmp(x->centred_counts, y->centred_counts, STATISTICS_CODES * sizeof(*x->counts)) ||
            memcmp(x->columns, y->columns, a->columns * sizeof(*x->columns)) ||
            memcmp(&x->mean, &y->mean, sizeof(x->mean)))
            return 0;
    }
    return memcmp(a->displacements, b->displacements, sizeof(a->displacements)) == 0;
}

static void run_case(struct cases *cases, const struct statistics_case *row, const char *name)
{
    struct statistics_result results[3];
    struct err err = ERR_INIT;
    struct worst worst = {0, "nothing differs"};
    uint64_t elements = row->rows * row->columns;
    size_t element_bytes = tensor_dtype_bits(row->dtype) / 8;
    struct device *device = row->is_full ? cases->full : cases->cuda;
    /* One byte off: data may have any alignment. */
    unsigned char *data[3] = {NULL};
    struct statistics_request request = {.dtype = row->dtype,
                                         .rows = row->rows,
                                         .columns = row->columns,
                                         .token_rows = row->token_rows,
                                         .reference_count = row->references};
    int code = 0;
    memset(results, 0, sizeof(results));
    for (int i = 0; i <= row->references; i++) {
        const enum fill fill = row->fill == FILL_GAPS ? (i ? FILL_SPECIAL : FILL_NORMAL) : row->fill;
        data[i] = malloc(elements * element_bytes + 1);
        for (uint64_t place = 0; data[i] && place < elements; place++)
            store(row->dtype, data[i] + 1, place, draw(fill, (uint64_t)i * 77 + 5, place));
        if (i)
            request.references[i - 1] = data[i] + 1;
        else
            request.data = data[i] + 1;
    }
    for (int i = 0; i < 3 && !code; i++)
        if (!(code = statistics_result_init(&results[i], row->columns, &err)))
            code = device_statistics(i ? device : cases->cpu, &request, &results[i], &err);
    if (code) {
        case_breaks(cases, name, &err);
    } else {
        compare(&results[0], &results[1], row->references, &worst);
        if (!is_same(&results[1], &results[2]))
            worst = (struct worst){INFINITY, "two runs differ"};
        case_ends(cases, name, worst.value, worst.what);
    }
    for (int i = 0; i < 3; i++) {
        statistics_result_free(&results[i]);
        free(data[i]);
    }
}

void cases_statistics(struct cases *cases)
{
    static const char *const fills[] = {"normal", "special", "constant", "nan", "huge", "wide", "gaps"};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char name[128];
        (void)snprintf(name, sizeof(name), "statistics %s %llux%llu tokens %llu refs %d %s%s",
                       tensor_dtype_name(table[i].dtype), (unsigned long long)table[i].rows,
                       (unsigned long long)table[i].columns, (unsigned long long)table[i].token_rows,
                       table[i].references, fills[table[i].fill], table[i].is_full ? ", part by part" : "");
        if (case_begins(cases, name, table[i].cost))
            run_case(cases, &table[i], name);
    }
}
