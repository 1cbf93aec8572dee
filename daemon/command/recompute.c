#include "daemon/command/recompute.h"

#include "daemon/analysis/distribution.h"
#include "daemon/analysis/summary.h"
#include "daemon/measure/measure_rows.h"
#include "store/distributions.h"
#include "store/models.h"
#include "store/recompute.h"
#include "store/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 256

struct rows {
    struct statistics_row rows[STATISTICS_LIST_MAX];
    size_t count;
};

struct page {
    int64_t ids[PAGE];
    size_t count;
};

static int take_content(void *context, int64_t content_id)
{
    struct page *page = context;
    page->ids[page->count++] = content_id;
    return 0;
}

/* Those of the newest definition, which come first: older rows are history. */
static int take_row(void *context, const struct statistics_row *row)
{
    struct rows *rows = context;
    if (rows->count && row->definition != rows->rows[0].definition)
        return 1;
    rows->rows[rows->count++] = *row;
    return 0;
}

/* Central sums whose moments are those of the row, as if of one column: they give the standard deviation that
 * other numbers are measured in. */
static struct moments_sums sums_of(const struct statistics_row *row)
{
    uint64_t count =
        (uint64_t)(row->elements - row->nan_count - row->positive_inf_count - row->negative_inf_count);
    double mean = isnan(row->mean) ? 0 : row->mean;
    double variance = isnan(row->variance) ? 0 : row->variance;
    return (struct moments_sums){.count = count, .mean = mean, .m2 = variance * (double)count};
}

static void keep_measured(const struct statistics_row *from, struct statistics_row *to, int is_interval)
{
    to->mean = from->mean;
    to->variance = from->variance;
    to->skewness = from->skewness;
    to->kurtosis = from->kurtosis;
    to->bimodality = from->bimodality;
    if (is_interval) {
        to->minimum = from->minimum;
        to->maximum = from->maximum;
        to->zero_count = from->zero_count;
    }
}

static int compute(const struct statistics_row *row, const struct distribution_row *kept,
                   struct statistics_row *ret_row, struct err *err)
{
    struct summary summary;
    struct moments_sums column = sums_of(row);
    struct summary_input input = {.distribution = {.counts = kept->counts},
                                  .is_centred = row->is_centred,
                                  .columns = &column,
                                  .column_count = 1,
                                  .zero_count = (uint64_t)row->zero_count,
                                  .minimum = row->minimum,
                                  .maximum = row->maximum,
                                  .mean = column.mean};
    int code =
        distribution_name_parse(kept->code, &input.distribution.format, &input.distribution.exponent, err);
    if (!code)
        code = summary_compute(&input, &summary, err);
    if (code)
        return code;
    *ret_row = *row;
    ret_row->definition = MEASURE_DEFINITION;
    measure_rows_copy_summary(&summary, ret_row);
    if (input.distribution.format == DISTRIBUTION_FORMAT_F32_TOP ||
        input.distribution.format == DISTRIBUTION_FORMAT_F16_SCALED)
        keep_measured(row, ret_row, input.distribution.format == DISTRIBUTION_FORMAT_F32_TOP);
    return 0;
}

static int is_same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static int64_t count_changes(const struct statistics_row *a, const struct statistics_row *b)
{
    int64_t count = a->definition != b->definition;
#define X(name) count += a->name != b->name;
    STATISTICS_COUNTS(X)
#undef X
#define X(name) count += !is_same(a->name, b->name);
    STATISTICS_REALS(X)
#undef X
    return count;
}

/* All rows of one definition, so that a content never shows numbers of two. */
static int run_definition(struct store *store, int64_t content_id, const struct rows *all, uint64_t *counts,
                          struct rows *made, struct recompute_counts *totals, struct err *err)
{
    int64_t changes = 0, definition = all->count ? all->rows[0].definition : 0;
    made->count = 0;
    for (size_t i = 0; i < all->count; i++) {
        const struct statistics_row *row = &all->rows[i];
        struct distribution_row key = {.row_set = row->row_set,
                                       .token_rows = row->token_rows,
                                       .is_centred = row->is_centred,
                                       .definition = definition};
        struct distribution_row kept;
        int code = distributions_find(store, content_id, &key, counts, &kept, err);
        if (code == ERR_NOT_FOUND) {
            *err = (struct err)ERR_INIT;
            totals->skipped++;
            continue;
        }
        if (!code)
            code = compute(row, &kept, &made->rows[made->count], err);
        if (code)
            return err_wrap(err, "content %lld", (long long)content_id);
        totals->distributions++;
        changes += count_changes(row, &made->rows[made->count++]);
    }
    totals->numbers += changes;
    totals->contents_changed += changes > 0;
    return changes ? recompute_replace(store, content_id, definition, made->rows, made->count, err) : 0;
}

static int run_content(struct store *store, int64_t content_id, uint64_t *counts, struct rows *all,
                       struct rows *made, struct recompute_counts *totals, struct err *err)
{
    all->count = 0;
    int code = statistics_list(store, content_id, take_row, all, err);
    if (!code && all->count == STATISTICS_LIST_MAX)
        code = err_set(err, ERR_LIMIT,
                       "content %lld has %d statistics or more of one definition: no model's tensor has as "
                       "many, so the store was written by something else",
                       (long long)content_id, STATISTICS_LIST_MAX);
    if (!code && all->count && all->rows[0].definition > MEASURE_DEFINITION)
        code = err_set(err, ERR_UNSUPPORTED,
                       "content %lld was measured with definition %lld, newer than this program's %d",
                       (long long)content_id, (long long)all->rows[0].definition, MEASURE_DEFINITION);
    if (!code)
        code = run_definition(store, content_id, all, counts, made, totals, err);
    totals->contents++;
    return code;
}

int recompute_run(struct store *store, const char *model, struct recompute_counts *ret_counts,
                  struct err *err)
{
    struct recompute_counts totals = {0};
    struct page page = {.count = PAGE};
    int64_t model_id = 0, after = 0;
    uint64_t version = 0;
    int code = model ? models_version(store, model, &model_id, &version, err) : 0;
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof *counts);
    struct rows *all = calloc(2, sizeof *all);
    if (!code && (!counts || !all))
        code = err_set(err, ERR_NO_MEMORY, "recompute: out of memory");
    while (!code && page.count == PAGE) {
        page.count = 0;
        code = recompute_list(store, model_id, after, PAGE, take_content, &page, err);
        for (size_t i = 0; i < page.count && !code; i++) {
            code = run_content(store, page.ids[i], counts, &all[0], &all[1], &totals, err);
            after = page.ids[i];
        }
    }
    free(counts);
    free(all);
    if (!code)
        *ret_counts = totals;
    return code;
}
