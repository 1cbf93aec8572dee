#include "daemon/analysis/distribution.h"

#include "api/form/csv.h"
#include "api/form/json.h"
#include "api/http/page.h"
#include "api/resource/context.h"
#include "api/resource/query.h"
#include "api/series/handlers.h"
#include "api/series/revision_page.h"
#include "api/series/run.h"
#include "store/distributions.h"

#include <math.h>
#include <stdlib.h>

#define LIMIT_STANDARD 1000
#define BINS_STANDARD 128
#define BINS_MAX 2048
#define RANGE_MAX 1e300

struct picture {
    enum series_variant variant;
    int64_t bin_count;
    double low, high;
    int limit;
};

struct rows {
    struct picture picture;
    enum api_format format;
    struct api_json json;
    struct api_csv csv;
    struct distribution_value *values; /* [DISTRIBUTION_CODES] */
    uint64_t *bins;                    /* [picture.bin_count] */
    struct revision_page page;
    int code; /* of a row that cannot be read */
    struct err *err;
};

static void append_cells(struct rows *rows, const struct revision_row *revision,
                         const struct distribution_census *census)
{
    api_query_print_csv(&rows->csv, revision);
    api_csv_integer(&rows->csv, (int64_t)census->elements);
    api_csv_integer(&rows->csv, (int64_t)(census->elements - census->finite));
    for (int64_t i = 0; i < rows->picture.bin_count; i++)
        api_csv_integer(&rows->csv, (int64_t)rows->bins[i]);
    api_csv_end_line(&rows->csv);
}

static void append_members(struct rows *rows, const struct revision_row *revision,
                           const struct distribution_census *census)
{
    api_json_open_object(&rows->json, NULL);
    api_query_print_json(&rows->json, revision);
    api_json_integer(&rows->json, "elements", (int64_t)census->elements);
    api_json_integer(&rows->json, "not_finite", (int64_t)(census->elements - census->finite));
    api_json_open_array(&rows->json, "counts");
    for (int64_t i = 0; i < rows->picture.bin_count; i++)
        api_json_integer(&rows->json, NULL, (int64_t)rows->bins[i]);
    api_json_close_array(&rows->json);
    api_json_close_object(&rows->json);
}

static int append_row(void *context, const struct revision_row *revision, const struct distribution_row *row)
{
    struct rows *rows = context;
    struct distribution distribution = {.counts = row->counts};
    if (revision_page_is_full(&rows->page))
        return 1;
    if (!row->counts) {
        revision_page_note_damaged(&rows->page, revision, rows->format == API_FORMAT_CSV ? &rows->csv : NULL,
                                   2 + rows->picture.bin_count);
        return 0;
    }
    rows->code = distribution_name_parse(row->code, &distribution.format, &distribution.exponent, rows->err);
    if (rows->code)
        return 1;
    struct distribution_census census = distribution_census_of(&distribution);
    size_t value_count = distribution_values(&distribution, rows->values);
    distribution_bins(rows->values, value_count, rows->picture.low, rows->picture.high, rows->bins,
                      (size_t)rows->picture.bin_count);
    if (rows->format == API_FORMAT_CSV)
        append_cells(rows, revision, &census);
    else
        append_members(rows, revision, &census);
    revision_page_note(&rows->page, revision);
    return rows->json.buf->failed ? 1 : 0;
}

static int read_query(const struct api_request *request, struct picture *picture, const char **ret_tensor,
                      struct api_response *response, struct err *err)
{
    int code = api_query_tensor(request, ret_tensor, response, err);
    if (!code)
        code = api_query_variant(request, &picture->variant, response, err);
    if (!code)
        code = api_request_integer(request, "bins", 1, BINS_MAX, &picture->bin_count, response, err);
    if (!code)
        code = api_query_real(request, "low", -RANGE_MAX, RANGE_MAX, &picture->low, response, err);
    if (!code)
        code = api_query_real(request, "high", -RANGE_MAX, RANGE_MAX, &picture->high, response, err);
    if (!code)
        code = api_page_limit(request, LIMIT_STANDARD, LIMIT_API_PAGE_ROWS, &picture->limit, response, err);
    return code;
}

/* Where the query leaves a bound open: the range of the quantiles 0.001 and 0.999 of all revisions, so that
 * every page has the same bins. */
static int choose_range(const struct api_run *run, struct picture *picture, struct api_response *response,
                        struct err *err)
{
    double low = (double)NAN, high = (double)NAN;
    for (size_t i = 0; i < run->count; i++) {
        low = fmin(low, run->points[i].low[picture->variant]);
        high = fmax(high, run->points[i].high[picture->variant]);
    }
    if (!(low < high)) { /* nothing measured, or no spread: any range around it shows that */
        double middle = isnan(low) ? 0 : low;
        low = middle - 1;
        high = middle + 1;
    }
    if (isnan(picture->low))
        picture->low = low;
    if (isnan(picture->high))
        picture->high = high;
    if (!(picture->low < picture->high))
        return api_response_refuse(response, "query", "low", err, ERR_INVALID,
                                   "low: %g is not below the upper end %g of the bins", picture->low,
                                   picture->high);
    return 0;
}

static void begin_page(struct rows *rows, const struct api_run *run, struct buf *body)
{
    const struct picture *picture = &rows->picture;
    if (rows->format == API_FORMAT_CSV) {
        double width = (picture->high - picture->low) / (double)picture->bin_count;
        buf_append_text(body, "revision,step,elements,not_finite");
        /* a column is named by the middle of its bin */
        for (int64_t i = 0; i < picture->bin_count; i++)
            buf_appendf(body, ",%.9g", picture->low + width * ((double)i + 0.5));
        buf_append_text(body, "\r\n");
        return;
    }
    api_json_open_object(&rows->json, NULL);
    api_json_text(&rows->json, "model", run->model.name);
    api_json_text_or_null(&rows->json, "tensor", run->tensor);
    api_json_text(&rows->json, "step_unit", step_unit_name(run->model.step_unit));
    api_json_text(&rows->json, "rows", api_query_rows_name(picture->variant));
    api_json_text(&rows->json, "view", api_query_view_name(picture->variant));
    api_json_integer(&rows->json, "bins", picture->bin_count);
    api_json_real(&rows->json, "low", picture->low);
    api_json_real(&rows->json, "high", picture->high);
    api_json_open_array(&rows->json, "revisions");
}

static int list(const struct api_request *request, struct rows *rows, const struct api_run *run,
                const struct revision_key *after, struct api_response *response, struct err *err)
{
    int is_tokens = rows->picture.variant % 2;
    struct distribution_row key = {.row_set = is_tokens ? ROW_SET_TOKENS : ROW_SET_ALL,
                                   .token_rows = is_tokens ? run->token_rows : 0,
                                   .is_centred = rows->picture.variant >= SERIES_VARIANT_CENTRED};
    const struct values_range range = {run->model.id, run->tensor, after, rows->page.left + 1};
    int code = 0;
    begin_page(rows, run, &response->body);
    if (run->measured)
        code = distributions_list(request->context->store, &range, &key, append_row, rows, err);
    if (!code)
        code = rows->code;
    return code ? code : revision_page_end(&rows->page, request, &rows->json, response, err);
}

static int answer(const struct api_request *request, const struct picture *picture, const struct api_run *run,
                  const struct revision_key *after, struct api_response *response, struct err *err)
{
    struct rows rows = {.picture = *picture, .format = request->format, .err = err};
    int code = 0;
    revision_page_init(&rows.page, picture->limit);
    api_json_init(&rows.json, &response->body);
    api_csv_init(&rows.csv, &response->body);
    rows.values = calloc(DISTRIBUTION_CODES, sizeof *rows.values);
    rows.bins = calloc((size_t)picture->bin_count, sizeof *rows.bins);
    if (!rows.values || !rows.bins)
        code = err_set(err, ERR_NO_MEMORY, "distributions: out of memory");
    if (!code)
        code = list(request, &rows, run, after, response, err);
    revision_page_free(&rows.page);
    free(rows.values);
    free(rows.bins);
    return code;
}

int api_get_distribution(struct api_request *request, struct api_response *response, struct err *err)
{
    struct picture picture = {.bin_count = BINS_STANDARD, .low = (double)NAN, .high = (double)NAN};
    struct model_row model;
    struct api_run run = {0};
    struct revision_key key;
    const char *tensor = NULL;
    int has_key = 0;
    int code = read_query(request, &picture, &tensor, response, err);
    if (!code)
        code = api_query_read_revision(request, &key, &has_key, response, err);
    if (!code)
        code = api_query_model(request, &model, err);
    if (!code)
        code = api_run_read(request->context->store, &model, tensor, &run, err);
    if (!code)
        code = choose_range(&run, &picture, response, err);
    if (!code)
        code = answer(request, &picture, &run, has_key ? &key : NULL, response, err);
    api_run_free(&run);
    return code;
}
