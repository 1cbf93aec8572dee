#include "api/workers/workers.h"

#include "api/form/json.h"
#include "api/http/listing.h"
#include "api/http/metrics.h"
#include "api/http/page.h"
#include "api/resource/context.h"
#include "api/workers/handlers.h"
#include "api/workers/state.h"
#include "daemon/base/clock.h"
#include "store/sweeps.h"
#include "store/tasks.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(API_WORKERS_LEFT_MAX == API_GATED_SWEEPS_MAX, "they are the same");

#define LIMIT_STANDARD 1000
#define LOCAL "local" /* what the daemon calls its own workers */
#define TASKS_MAX 10000

int api_workers_start(const struct api_claims_options *options, struct store *store,
                      struct api_workers **ret_workers, struct err *err)
{
    struct api_workers *workers = calloc(1, sizeof *workers);
    if (workers) {
        workers->list = api_worker_list_new();
        workers->gated = api_gated_new(API_GATED_MS);
        workers->models = api_gated_new(API_GATED_MODEL_MS);
        workers->askers = api_askers_new();
    }
    int code = workers && workers->list && workers->gated && workers->models && workers->askers
                   ? 0
                   : err_set(err, ERR_NO_MEMORY, "workers: out of memory");
    if (!code)
        code = api_claim_waits_start(store, &workers->waits, err);
    if (code) {
        api_workers_free(workers);
        return code;
    }
    workers->options = *options;
    workers->store = store;
    workers->started_ms = clock_wall_ms();
    *ret_workers = workers;
    return 0;
}

void api_workers_end(struct api_workers *workers)
{
    api_claim_waits_end(workers->waits);
}

void api_workers_free(struct api_workers *workers)
{
    if (!workers)
        return;
    api_claim_waits_free(workers->waits);
    api_worker_list_free(workers->list);
    api_gated_free(workers->gated);
    api_gated_free(workers->models);
    api_askers_free(workers->askers);
    free(workers);
}

static int some_other_may_read(struct api_workers *workers, const char *name, int64_t sweep_id)
{
    struct err ignored = ERR_INIT;
    int64_t now_ms = clock_monotonic_ms(), up_ms = clock_wall_ms() - workers->started_ms;
    int was_with_other = 0;
    if (workers->options.has_local && strcmp(name, LOCAL) != 0 &&
        !api_gated_is(workers->gated, LOCAL, sweep_id, now_ms))
        return 1;
    if (api_worker_list_some_may_read(workers->list, workers->gated, name, sweep_id, sweep_id))
        return 1;
    if (up_ms >= 0 && up_ms < API_WORKER_SILENT_MS)
        (void)tasks_were_with_others(workers->store, sweep_id, name, workers->started_ms, &was_with_other,
                                     &ignored);
    return was_with_other;
}

int api_workers_leave(struct api_workers *workers, const char *worker, int64_t sweep_id)
{
    char name[STORE_WORKER_SIZE];
    struct sweep_row sweep;
    struct err ignored = ERR_INIT;
    api_worker_name(worker, name);
    api_gated_note(workers->gated, name, sweep_id, clock_monotonic_ms());
    if (!sweeps_get(workers->store, sweep_id, &sweep, &ignored))
        api_gated_note(workers->models, name, sweep.model_id, clock_monotonic_ms());
    return some_other_may_read(workers, name, sweep_id);
}

int api_workers_have_other(struct api_workers *workers, const char *worker, int64_t sweep_id)
{
    char name[STORE_WORKER_SIZE];
    api_worker_name(worker, name);
    return some_other_may_read(workers, name, sweep_id);
}

void api_workers_note_access(struct api_workers *workers, const char *worker, int64_t model_id)
{
    char name[STORE_WORKER_SIZE];
    api_worker_name(worker, name);
    api_gated_take_back(workers->models, name, model_id);
}

void api_workers_forget_left(struct api_workers *workers, const char *worker)
{
    char name[STORE_WORKER_SIZE];
    api_worker_name(worker, name);
    api_gated_forget(workers->gated, name);
    api_gated_forget(workers->models, name);
}

int api_workers_may_read(struct api_workers *workers, int64_t model_id, int has_daemon_access)
{
    int some_may = api_worker_list_some_may_read(workers->list, workers->models, "", 0, model_id);
    if (!has_daemon_access)
        return some_may;
    return workers->options.has_local || some_may ||
           !api_worker_list_count(workers->list, API_WORKER_SILENT_MS);
}

size_t api_workers_list_left(struct api_workers *workers, const char *worker, int64_t *ids)
{
    char name[STORE_WORKER_SIZE];
    size_t kept = 0;
    api_worker_name(worker, name);
    size_t count = api_gated_list(workers->gated, name, clock_monotonic_ms(), ids);
    for (size_t i = 0; i < count; i++) {
        if (some_other_may_read(workers, name, ids[i]))
            ids[kept++] = ids[i];
    }
    return kept;
}

void api_workers_append_metrics(struct api_workers *workers, struct buf *text)
{
    api_metrics_append(text, "bifurcated_remote_workers", "gauge",
                       "Remote workers that were heard of within their lease.",
                       (double)api_worker_list_count(workers->list, workers->options.lease_ms));
    api_metrics_append(text, "bifurcated_remote_workers_waiting", "gauge",
                       "Requests of remote workers that wait for work.",
                       (double)api_claim_waits_count(workers->waits));
}

/* -- GET /v1/workers: who is connected, and what each works on -- */

static const struct api_listing listing = {
    "workers",
    " name is_local version device backend since last_seen_at recorded failed hub_problem running ",
    " tasks "};

struct claimed {
    char name[STORE_WORKER_SIZE];
    int64_t sweep_id;
    char revision[LIMIT_REVISION_NAME_BYTES + 1];
    int64_t claimed_ms, bytes_fetched;
};

struct claimed_list {
    struct claimed *rows;
    size_t count, capacity;
    int has_no_memory;
};

static int add_claimed(void *context, const struct task_row *row)
{
    struct claimed_list *list = context;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        struct claimed *rows = realloc(list->rows, capacity * sizeof *rows);
        if (!rows) {
            list->has_no_memory = 1;
            return 1;
        }
        list->rows = rows;
        list->capacity = capacity;
    }
    struct claimed *claimed = &list->rows[list->count++];
    api_worker_name(row->worker, claimed->name);
    claimed->sweep_id = row->sweep_id;
    claimed->claimed_ms = row->claimed_ms;
    claimed->bytes_fetched = row->bytes_fetched;
    memcpy(claimed->revision, row->revision, sizeof claimed->revision);
    return 0;
}

static int compare_claimed(const void *a, const void *b)
{
    return strcmp(((const struct claimed *)a)->name, ((const struct claimed *)b)->name);
}

static int compare_workers(const void *a, const void *b)
{
    return strcmp(((const struct api_worker *)a)->name, ((const struct api_worker *)b)->name);
}

/* The first of the worker's tasks in the list, which is by name, and how many there are. */
static const struct claimed *tasks_of(const struct claimed_list *list, const char *name, size_t *ret_count)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(list->rows[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (high = low; high < list->count && strcmp(list->rows[high].name, name) == 0; high++)
        ;
    *ret_count = high - low;
    return *ret_count ? &list->rows[low] : NULL;
}

static void append_worker(const struct api_worker *worker, const struct claimed_list *list,
                          struct api_json *json)
{
    size_t count = 0;
    const struct claimed *tasks = tasks_of(list, worker->name, &count);
    api_json_open_object(json, NULL);
    api_json_text(json, "name", worker->name);
    api_json_boolean(json, "is_local", strcmp(worker->name, "local") == 0);
    api_json_text_or_null(json, "version", worker->version);
    api_json_text_or_null(json, "device", worker->device);
    api_json_text_or_null(json, "backend", worker->backend);
    api_json_time(json, "since", worker->first_ms);
    api_json_time(json, "last_seen_at", worker->last_ms);
    api_json_integer(json, "recorded", worker->recorded);
    api_json_integer(json, "failed", worker->failed);
    api_json_text_or_null(json, "hub_problem", worker->hub_problem);
    api_json_integer(json, "running", (int64_t)count);
    api_json_open_array(json, "tasks");
    for (size_t i = 0; i < count; i++) {
        api_json_open_object(json, NULL);
        api_json_integer(json, "sweep", tasks[i].sweep_id);
        api_json_text(json, "revision", tasks[i].revision);
        api_json_time(json, "claimed_at", tasks[i].claimed_ms);
        api_json_integer(json, "bytes_fetched", tasks[i].bytes_fetched);
        api_json_close_object(json);
    }
    api_json_close_array(json);
    api_json_close_object(json);
}

/* All workers by name: those that were heard of, and holders of claims of whom nothing was heard since the
 * daemon started (its own, and silent ones). `workers` has room for API_WORKERS_MAX + list->count. */
static size_t gather(const struct api_workers *all, const struct claimed_list *list,
                     struct api_worker *workers)
{
    size_t known = api_worker_list_copy(all->list, workers, API_WORKERS_MAX), count = known;
    for (size_t i = 0; i < list->count; i++) {
        struct api_worker worker = {.first_ms = 0};
        memcpy(worker.name, list->rows[i].name, sizeof worker.name);
        if ((i == 0 || strcmp(worker.name, list->rows[i - 1].name) != 0) &&
            !bsearch(&worker, workers, known, sizeof *workers, compare_workers))
            workers[count++] = worker;
    }
    qsort(workers, count, sizeof *workers, compare_workers);
    return count;
}

static int render(const struct api_request *request, const struct api_worker *workers, size_t count,
                  const struct claimed_list *list, const char *after, int limit,
                  struct api_response *response, struct err *err)
{
    struct api_json json;
    char cursor[API_CURSOR_SIZE] = "";
    const char *last = NULL;
    api_json_init(&json, &response->body);
    api_json_open_object(&json, NULL);
    api_json_open_array(&json, "workers");
    for (size_t i = 0; i < count; i++) {
        if (strcmp(workers[i].name, after) <= 0)
            continue;
        if (limit-- == 0) {
            api_page_write_cursor(last, cursor);
            break;
        }
        append_worker(&workers[i], list, &json);
        last = workers[i].name;
    }
    api_json_close_array(&json);
    int code = api_page_end(request, &json, cursor, response, err);
    return code ? code : api_listing_finish(request, &listing, response, err);
}

int api_list_workers(struct api_request *request, struct api_response *response, struct err *err)
{
    struct claimed_list list = {0};
    struct api_worker *workers = NULL;
    char after[STORE_WORKER_SIZE] = "";
    int has_cursor = 0, limit = 0;
    response->cache_control = "no-store";
    int code = api_page_limit(request, LIMIT_STANDARD, LIMIT_API_PAGE_ROWS, &limit, response, err);
    if (!code)
        code = api_page_read_cursor(request, after, sizeof after, &has_cursor, response, err);
    if (!code)
        code = api_listing_check(request, &listing, response, err);
    if (!code)
        code = tasks_list_claimed(request->context->store, TASKS_MAX, add_claimed, &list, err);
    if (!code)
        workers = calloc(API_WORKERS_MAX + list.count, sizeof *workers);
    if (!code && (!workers || list.has_no_memory))
        code = err_set(err, ERR_NO_MEMORY, "workers: out of memory");
    if (!code) {
        if (list.count)
            qsort(list.rows, list.count, sizeof *list.rows, compare_claimed);
        size_t count = gather(request->context->workers, &list, workers);
        code = render(request, workers, count, &list, after, limit, response, err);
    }
    free(list.rows);
    free(workers);
    return code;
}
