#include "api/client/commands.h"

#include "api/client/answer.h"
#include "api/client/model_name.h"
#include "api/client/pages.h"
#include "api/client/plain.h"
#include "api/client/progress.h"
#include "api/client/sweep_ids.h"
#include "daemon/base/limits.h"

#include <inttypes.h>
#include <string.h>

#define FIELDS_MAX 64

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

int client_list(const struct client_arguments *arguments, const char *target, const char *key,
                const struct client_column *columns, size_t column_count, const char *hint)
{
    const char *wanted = arguments->values[CLIENT_OPTION_FIELDS];
    struct client_column chosen[FIELDS_MAX];
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    struct buf url, fields;
    json_t *document = NULL;
    buf_init(&url, LIMIT_URL_BYTES);
    buf_init(&fields, LIMIT_URL_BYTES);
    buf_append_text(&url, target);
    client_link_append(&url, "fields", wanted);
    if (wanted)
        buf_append_text(&fields, wanted);
    int code = buf_check(&url, "URL", &err);
    if (!code)
        code = client_link_open(arguments, &link, &err);
    if (!code)
        code = pages_get(link, buf_text(&url), key, &document, &err);
    if (!code && wanted) {
        column_count = client_table_split(fields.data, chosen, FIELDS_MAX);
        columns = chosen;
    }
    int status =
        code ? client_report(&err) : client_print_list(arguments, document, key, columns, column_count, hint);
    json_decref(document);
    client_link_close(link);
    buf_free(&url);
    buf_free(&fields);
    return status;
}

int client_run_models(const struct client_arguments *arguments)
{
    static const struct client_column columns[] = {
        {"name", "MODEL"},
        {"model_type", "TYPE"},
        {"parameter_count", "PARAMETERS"},
        {"revision_count", "REVISIONS"},
        {"measured_count", "MEASURED"},
        {"tensor", "TENSOR"},
        {"updated_at", "CHANGED"},
    };
    return client_list(arguments, "/v1/models?limit=10000", "models", columns, COUNT(columns),
                       "no model yet; `bifurcate sweep owner/name` measures one");
}

int client_run_tensors(const struct client_arguments *arguments)
{
    static const struct client_column columns[] = {{"tensor", "TENSOR"}, {"measured_count", "MEASURED"}};
    struct client_answer answer;
    int status = CLIENT_EXIT_DONE;
    client_answer_begin(&answer, arguments, arguments->words[0]);
    client_answer_get(&answer, NULL);
    client_answer_check_model(&answer, 0);
    if (!answer.code)
        status = client_print_list(arguments, answer.document, "tensors", columns, COUNT(columns),
                                   "nothing of it is measured; `bifurcate sweep` measures it");
    const int end = client_answer_end(&answer);
    return status ? status : end;
}

int client_run_devices(const struct client_arguments *arguments)
{
    static const struct client_column columns[] = {
        {"name", "DEVICE"}, {"backend", "BACKEND"}, {"is_available", "AVAILABLE"}, {"reason", "REASON"}};
    return client_list(arguments, "/v1/devices", "devices", columns, COUNT(columns), NULL);
}

int client_run_workers(const struct client_arguments *arguments)
{
    static const struct client_column columns[] = {
        {"name", "WORKER"},
        {"version", "VERSION"},
        {"device", "DEVICE"},
        {"running", "RUNNING"},
        {"recorded", "RECORDED"},
        {"failed", "FAILED"},
        {"last_seen_at", "LAST SEEN"},
        {"hub_problem", "HUB"},
    };
    return client_list(
        arguments, "/v1/workers", "workers", columns, COUNT(columns),
        "nobody works now; `bifurcated worker --connect URL` connects a worker, `bifurcate status` "
        "tells of the daemon's own");
}

int client_run_jobs(const struct client_arguments *arguments)
{
    static const struct client_column columns[] = {
        {"id", "JOB"},          {"sweep", "SWEEP"},
        {"state", "STATE"},     {"workers", "WORKERS"},
        {"pending", "PENDING"}, {"running", "RUNNING"},
        {"failed", "FAILED"},   {"submitted_at", "SUBMITTED"},
        {"ended_at", "ENDED"},  {"is_sweep_removed", "SWEEP REMOVED"},
        {"reason", "REASON"},
    };
    struct err err = ERR_INIT;
    struct buf target;
    buf_init(&target, LIMIT_URL_BYTES);
    buf_append_text(&target, "/v1/jobs?limit=1000");
    client_link_append(&target, "state", arguments->values[CLIENT_OPTION_STATE]);
    int code = buf_check(&target, "URL", &err);
    int status = code ? client_report(&err)
                      : client_list(arguments, buf_text(&target), "jobs", columns, COUNT(columns),
                                    "no job was submitted; `bifurcated --slurm-workers-max N` submits some");
    buf_free(&target);
    return status;
}

int client_run_sweeps(const struct client_arguments *arguments)
{
    static const struct client_column columns[] = {
        {"id", "SWEEP"},
        {"model", "MODEL"},
        {"state", "STATE"},
        {"metrics", "METRICS"},
        {"progress.done", "DONE"},
        {"progress.failed", "FAILED"},
        {"progress.revisions_total", "REVISIONS"},
        {"progress.bytes_fetched", "BYTES"},
        {"created_at", "CREATED"},
        {"requested_by", "BY"},
        {"error.message", "ERROR"},
    };
    const char *model = arguments->values[CLIENT_OPTION_MODEL];
    const char *state = arguments->values[CLIENT_OPTION_STATE];
    struct err err = ERR_INIT;
    struct buf target, name;
    buf_init(&target, LIMIT_URL_BYTES);
    buf_init(&name, LIMIT_MODEL_NAME_BYTES);
    buf_append_text(&target, "/v1/sweeps?limit=1000");
    int code = 0;
    if (model) {
        code = client_model_name(model, &name, &err);
        client_link_append(&target, "model", buf_text(&name));
    }
    client_link_append(&target, "state", state);
    if (!code)
        code = buf_check(&target, "URL", &err);
    int status = code ? client_report(&err)
                      : client_list(arguments, buf_text(&target), "sweeps", columns, COUNT(columns),
                                    model || state
                                        ? "no sweep is like that; without --model and --state all are listed"
                                        : "no sweep yet; `bifurcate sweep owner/name` starts one");
    buf_free(&name);
    buf_free(&target);
    return status;
}

static void print_member(const json_t *document, const char *key, const char *title)
{
    char text[CLIENT_CELL_SIZE];
    client_table_format(json_object_get(document, key), text);
    (void)printf("%-12s %s\n", title, text);
}

static const char *bytes_of(const json_t *object, const char *key, char text[32])
{
    client_progress_format_bytes((double)member_integer(object, key), text, 32);
    return text;
}

/* "3 of 8 are busy" and "4 run as jobs of Slurm, 2 wait for a node, at most 8" */
static void print_workers(const json_t *daemon)
{
    const json_t *slurm = json_object_get(daemon, "slurm"), *error = json_object_get(slurm, "error");
    char text[CLIENT_CELL_SIZE];
    (void)printf("%-12s %" PRId64 " of %" PRId64 " are busy\n", "workers",
                 member_integer(daemon, "busy_workers"), member_integer(daemon, "workers"));
    if (!json_is_object(slurm))
        return;
    (void)printf("%-12s %" PRId64 " run, %" PRId64 " wait for a node, at most %" PRId64 "; %" PRId64
                 " arrays submitted\n",
                 "slurm", member_integer(slurm, "workers_running"), member_integer(slurm, "workers_pending"),
                 member_integer(slurm, "workers_max"), member_integer(slurm, "jobs_submitted"));
    if (json_is_string(error)) {
        client_table_format(error, text);
        (void)printf("%-12s DOES NOT ANSWER: %s\n", "", text);
    }
}

/* "2432 requests, 20.7 MB", and why requests wait; "1.2 GB of 3.4 GB are free" */
static void print_limits(const json_t *daemon)
{
    const json_t *hub = json_object_get(daemon, "hub"), *disk = json_object_get(daemon, "disk");
    char until[CLIENT_CELL_SIZE], reason[CLIENT_CELL_SIZE], detail[ERR_MESSAGE_BYTES], left[32], size[32];
    (void)printf("%-12s %" PRId64 " requests, %s received\n", "hub", member_integer(daemon, "hub_requests"),
                 bytes_of(daemon, "hub_received_bytes", size));
    if (json_is_string(json_object_get(hub, "reason"))) {
        client_table_format(json_object_get(hub, "waiting_until"), until);
        client_table_format(json_object_get(hub, "reason"), reason);
        client_plain_copy(json_object_get(hub, "detail"), "", detail, sizeof detail);
        if (strcmp(reason, "cache_budget") == 0)
            (void)printf("%-12s %" PRId64 " downloads wait: %s\n", "",
                         member_integer(hub, "waiting_requests"), detail);
        else if (detail[0])
            (void)printf("%-12s DOES NOT ANSWER, asked again at %s: %s\n", "", until, detail);
        else
            (void)printf("%-12s requests wait until %s (%s)\n", "", until, reason);
    }
    if (disk)
        (void)printf("%-12s %s of %s are free%s\n", "disk", bytes_of(disk, "free_bytes", left),
                     bytes_of(disk, "size_bytes", size),
                     json_is_true(json_object_get(disk, "is_full")) ? ": FULL, nothing more can be recorded"
                                                                    : "");
}

static void print_status(const json_t *document)
{
    const json_t *daemon = json_object_get(document, "daemon"), *tasks = json_object_get(document, "tasks");
    json_t *sweeps = json_object_get(document, "sweeps");
    char size[32];
    const char *key;
    json_t *value;
    print_member(document, "version", "version");
    print_member(document, "url", "listens at");
    print_member(document, "started_at", "since");
    if (json_is_string(json_object_get(document, "certificate_ends_at")))
        print_member(document, "certificate_ends_at", "TLS until");
    (void)printf("%-12s %s\n%-12s", "database", bytes_of(document, "database_bytes", size), "sweeps");
    json_object_foreach(sweeps, key, value)(void)
        printf(" %s %lld", key, (long long)json_integer_value(value));
    (void)printf("\n%-12s queued %" PRId64 " running %" PRId64 "\n", "tasks", member_integer(tasks, "queued"),
                 member_integer(tasks, "running"));
    if (!daemon)
        return;
    print_workers(daemon);
    print_member(daemon, "device", "device");
    (void)printf("%-12s %s of tensors\n", "memory", bytes_of(daemon, "tensor_bytes_in_memory", size));
    print_limits(daemon);
}

int client_run_status(const struct client_arguments *arguments)
{
    struct client_answer answer;
    client_answer_begin(&answer, arguments, NULL);
    buf_append_text(&answer.target, "/v1/status");
    client_answer_get(&answer, NULL);
    if (!answer.code && !json_is_string(json_object_get(answer.document, "version")))
        answer.code =
            err_set(&answer.err, ERR_FORMAT, "%s/v1/status: the answer has no version; is it a bifurcated?",
                    client_link_server(answer.link));
    client_answer_print(&answer, print_status);
    return client_answer_end(&answer);
}

/* Lists below /v1/sweeps/ID. */
static int list_of_sweep(const struct client_arguments *arguments, const char *resource, const char *key,
                         const struct client_column *columns, size_t column_count, const char *hint)
{
    struct err err = ERR_INIT;
    struct buf target;
    int64_t sweep_id = 0, task_id = 0;
    int code = client_parse_id(arguments->words[0], "sweep", "sweeps", &sweep_id, &err);
    if (!code && arguments->word_count > 1)
        code = client_parse_id(arguments->words[1], "task", "tasks ID", &task_id, &err);
    if (code)
        return client_report(&err);
    buf_init(&target, LIMIT_URL_BYTES);
    buf_appendf(&target, "/v1/sweeps/%" PRId64 "/tasks", sweep_id);
    if (task_id)
        buf_appendf(&target, "/%" PRId64, task_id);
    buf_append_text(&target, resource);
    client_link_append(&target, "state", arguments->values[CLIENT_OPTION_STATE]);
    code = buf_check(&target, "URL", &err);
    int status = code ? client_report(&err)
                      : client_list(arguments, buf_text(&target), key, columns, column_count, hint);
    buf_free(&target);
    return status;
}

int client_run_tasks(const struct client_arguments *arguments)
{
    static const struct client_column columns[] = {
        {"id", "TASK"},
        {"revision", "REVISION"},
        {"state", "STATE"},
        {"attempts", "ATTEMPTS"},
        {"bytes_fetched", "BYTES"},
        {"worker", "WORKER"},
        {"finished_at", "FINISHED"},
        {"error", "ERROR"},
    };
    return list_of_sweep(arguments, "?limit=1000", "tasks", columns, COUNT(columns),
                         arguments->values[CLIENT_OPTION_STATE]
                             ? "no task is in this state; without --state all are listed"
                             : "no task; `bifurcate show ID` says how the sweep fares");
}

int client_run_history(const struct client_arguments *arguments)
{
    static const struct client_column columns[] = {
        {"at", "AT"}, {"event", "EVENT"}, {"worker", "WORKER"}, {"detail", "DETAIL"}};
    return list_of_sweep(arguments, "/events?limit=1000", "events", columns, COUNT(columns),
                         "nothing yet: the task waits");
}
