/*
 * GET /v1/jobs: the job arrays of workers that were submitted to the cluster, for whichever sweep.
 */
#include "store/jobs.h"

#include "api/http/listing.h"
#include "api/http/page.h"
#include "api/resource/context.h"
#include "api/sweeps/handlers.h"
#include "api/sweeps/sweep_view.h"

#define LIMIT_STANDARD 100
#define PAGE_ROWS_MAX 1000

static const struct api_listing listing = {
    "jobs",
    " id sweep state workers pending running completed failed "
    "cancelled attempts reason submitted_at ended_at is_sweep_removed ",
    ""};

static int append_row(void *context, const struct job_row *row)
{
    struct api_page *page = context;
    if (!api_page_take(page, row->id))
        return 1;
    api_sweep_append_job(&page->json, row);
    return 0;
}

int api_list_jobs(struct api_request *request, struct api_response *response, struct err *err)
{
    int64_t before = 0;
    int limit = 0;
    enum job_state state;
    const char *name = api_uri_find(&request->uri, "state");
    if (name && !job_state_parse(name, &state))
        return api_response_refuse(response, "query", "state", err, ERR_INVALID,
                                   "state: not one of submitting, pending, running, ended, refused");
    int code = api_page_limit(request, LIMIT_STANDARD, PAGE_ROWS_MAX, &limit, response, err);
    if (!code)
        code = api_page_read_number(request, &before, response, err);
    if (!code)
        code = api_listing_check(request, &listing, response, err);
    if (code)
        return code;
    struct api_page page = {.left = limit};
    api_json_init(&page.json, &response->body);
    api_json_open_object(&page.json, NULL);
    api_json_open_array(&page.json, "jobs");
    code = jobs_list_all(request->context->store, name ? &state : NULL, before, page.left + 1, append_row,
                         &page, err);
    if (code)
        return code;
    api_json_close_array(&page.json);
    code = api_page_end_numbers(request, &page, response, err);
    return code ? code : api_listing_finish(request, &listing, response, err);
}
