/*
 * GET /v1/workers: who is connected, and what each works on.
 */
#include "api/handlers.h"
#include "api/json.h"
#include "api/state.h"
#include "store/tasks.h"

#include <stdlib.h>
#include <string.h>

#define TASKS_MAX 10000

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

static void append_tasks(const struct claimed_list *list, const char *name, struct api_json *json)
{
    api_json_open_array(json, "tasks");
    for (size_t i = 0; i < list->count; i++) {
        const struct claimed *claimed = &list->rows[i];
        if (strcmp(claimed->name, name) != 0)
            continue;
        api_json_open_object(json, NULL);
        api_json_integer(json, "sweep", claimed->sweep_id);
        api_json_text(json, "revision", claimed->revision);
        api_json_time(json, "claimed_at", claimed->claimed_ms);
        api_json_integer(json, "bytes_fetched", claimed->bytes_fetched);
        api_json_close_object(json);
    }
    api_json_close_array(json);
}

static size_t count_tasks(const struct claimed_list *list, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += strcmp(list->rows[i].name, name) == 0;
    return count;
}

static void append_worker(const struct api_worker *worker, const struct claimed_list *list,
                          struct api_json *json)
{
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
    api_json_integer(json, "running", (int64_t)count_tasks(list, worker->name));
    append_tasks(list, worker->name, json);
    api_json_close_object(json);
}

/* Holders of claims of whom nothing was heard since the daemon started: its own, and silent ones. */
static void append_others(const struct api_worker *workers, size_t count, const struct claimed_list *list,
                          struct api_json *json)
{
    for (size_t i = 0; i < list->count; i++) {
        struct api_worker worker = {.first_ms = 0};
        int is_known = i > 0 && strcmp(list->rows[i].name, list->rows[i - 1].name) == 0;
        for (size_t j = 0; j < count && !is_known; j++)
            is_known = strcmp(workers[j].name, list->rows[i].name) == 0;
        if (is_known)
            continue;
        memcpy(worker.name, list->rows[i].name, sizeof worker.name);
        append_worker(&worker, list, json);
    }
}

int api_list_workers(struct api_request *request, struct api_response *response, struct err *err)
{
    struct claimed_list list = {0};
    struct api_json json;
    response->cache_control = "no-store";
    struct api_worker *workers = calloc(API_WORKERS_MAX, sizeof *workers);
    int code = workers
                   ? tasks_list_claimed(request->server->options.store, TASKS_MAX, add_claimed, &list, err)
                   : err_set(err, ERR_NO_MEMORY, "out of memory");
    if (!code && list.has_no_memory)
        code = err_set(err, ERR_NO_MEMORY, "out of memory");
    if (!code) {
        size_t count = api_worker_list_copy(request->server->workers, workers, API_WORKERS_MAX);
        api_json_init(&json, &response->body);
        api_json_open_object(&json, NULL);
        api_json_open_array(&json, "workers");
        for (size_t i = 0; i < count; i++)
            append_worker(&workers[i], &list, &json);
        append_others(workers, count, &list, &json);
        api_json_close_array(&json);
        api_json_close_object(&json);
    }
    free(list.rows);
    free(workers);
    return code;
}
