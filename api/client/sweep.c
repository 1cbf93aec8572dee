#include "api/client/commands.h"

#include "api/client/plain.h"
#include "api/client/progress.h"
#include "api/client/terminal.h"
#include "daemon/base/clock.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 512
#define WIDTH_STANDARD 80
#define ERRORS_MAX 100 /* of a sweep, which are compared with each other; a daemon sends fewer */
#define RETRIES_MAX 30
#define RETRY_MS 1000

/* What is on the screen of a sweep that is followed. */
struct view {
    const struct client_link *link;
    int is_terminal;
    size_t width;
    char last[LINE_SIZE]; /* the line printed last */
    json_t *sweep;        /* the newest state */
    int64_t taken_ms;     /* when it came, monotonic */
    int has_begun;        /* an event came since the stream was opened */
};

int client_parse_number(const char *name, const char *text, json_t *object, const char *key, struct err *err)
{
    char *end = NULL;
    if (!text)
        return 0;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end)
        return err_set(err, ERR_INVALID, "--%s %.60s: not an integer", name, text);
    (void)json_object_set_new(object, key, json_integer(value));
    return 0;
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text)
        (void)json_object_set_new(object, key, json_string(text));
}

static void set_list(json_t *object, const char *key, const struct client_arguments *arguments,
                     enum client_option option)
{
    json_t *list = json_array();
    for (size_t i = 0; i < arguments->list_count; i++) {
        if (arguments->list[i].option == option)
            (void)json_array_append_new(list, json_string(arguments->list[i].value));
    }
    if (json_array_size(list))
        (void)json_object_set(object, key, list);
    json_decref(list);
}

int client_sweep_set_texts(const struct client_arguments *arguments, json_t *request, struct err *err)
{
    static const struct {
        const char *key;
        enum client_option option;
    } numbers[] = {
        {"limit", CLIENT_OPTION_LIMIT}, {"window", CLIENT_OPTION_WINDOW}, {"stride", CLIENT_OPTION_STRIDE}};
    int code = 0;
    set_text(request, "field", arguments->values[CLIENT_OPTION_FIELD]);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && !code; i++)
        code = client_parse_number(numbers[i].key, arguments->values[numbers[i].option], request,
                                   numbers[i].key, err);
    return code;
}

int client_sweep_request(const struct client_arguments *arguments, json_t **ret_root, struct err *err)
{
    json_t *root = json_object();
    json_t *revisions = json_object();
    struct buf name;
    buf_init(&name, LIMIT_MODEL_NAME_BYTES);
    int code = client_link_model_name(arguments->words[0], &name, err);
    set_text(root, "model", buf_text(&name));
    set_text(root, "reference", arguments->values[CLIENT_OPTION_REFERENCE]);
    set_text(root, "dataset", arguments->values[CLIENT_OPTION_DATASET]);
    set_text(root, "mode", arguments->values[CLIENT_OPTION_MODE]);
    set_list(root, "tensors", arguments, CLIENT_OPTION_TENSOR);
    set_list(root, "metrics", arguments, CLIENT_OPTION_METRIC);
    set_list(revisions, "names", arguments, CLIENT_OPTION_REVISION);
    if (!code)
        code =
            client_parse_number("priority", arguments->values[CLIENT_OPTION_PRIORITY], root, "priority", err);
    if (!code)
        code = client_sweep_set_texts(arguments, root, err);
    if (!code)
        code = client_parse_number("from", arguments->values[CLIENT_OPTION_FROM], revisions, "from", err);
    if (!code)
        code = client_parse_number("to", arguments->values[CLIENT_OPTION_TO], revisions, "to", err);
    if (!code)
        code = client_parse_number("every", arguments->values[CLIENT_OPTION_EVERY], revisions, "every", err);
    if (json_object_size(revisions))
        (void)json_object_set(root, "revisions", revisions);
    json_decref(revisions);
    buf_free(&name);
    if (code)
        json_decref(root);
    else
        *ret_root = root;
    return code;
}

/* The same as text; the caller frees it. */
static int make_request(const struct client_arguments *arguments, char **ret_text, struct err *err)
{
    json_t *root = NULL;
    int code = client_sweep_request(arguments, &root, err);
    if (code)
        return code;
    *ret_text = json_text_dump(root, JSON_COMPACT);
    json_decref(root);
    return *ret_text ? 0 : err_set(err, ERR_INVALID, "an argument is not UTF-8");
}

static void show(struct view *view)
{
    struct client_progress progress;
    char line[LINE_SIZE];
    client_progress_read(view->sweep, &progress);
    progress.wait_seconds -= (double)(clock_monotonic_ms() - view->taken_ms) / 1000.0;
    client_progress_format(&progress, view->width, view->is_terminal, line, sizeof line);
    if (strcmp(line, view->last) == 0)
        return;
    if (view->is_terminal)
        (void)fprintf(stderr, "\r%s\033[K", line); /* no colour */
    else
        (void)fprintf(stderr, "%s\n", line);
    (void)fflush(stderr);
    (void)snprintf(view->last, sizeof view->last, "%s", line);
}

/* A wait is counted down where a line can be written anew. */
static void tick(void *context)
{
    struct view *view = context;
    if (view->is_terminal && view->sweep && json_is_object(json_object_get(view->sweep, "hub_wait")))
        show(view);
}

static int take_event(void *context, const char *event, const char *data)
{
    struct view *view = context;
    struct client_progress progress;
    json_t *sweep = client_link_load(view->link, data, strlen(data));
    (void)event;
    if (!sweep)
        return 0;
    json_decref(view->sweep);
    view->sweep = sweep;
    view->taken_ms = clock_monotonic_ms();
    view->has_begun = 1;
    show(view);
    client_progress_read(sweep, &progress);
    return client_progress_is_over(&progress);
}

/* "  step512: the file is cut short"; with --json the document is not plain, and this goes to a terminal. */
static void print_error(const json_t *name, const json_t *message)
{
    char left[CLIENT_CELL_SIZE], right[ERR_MESSAGE_BYTES];
    client_plain_copy(name, "-", left, sizeof left);
    client_plain_copy(message, "-", right, sizeof right);
    (void)fprintf(stderr, "  %s: %s\n", left, right);
}

/* "  step0 and 24 more: there is no such data set": once for all revisions that failed alike. */
static void print_errors(const json_t *sweep)
{
    const json_t *error = json_object_get(sweep, "error");
    const json_t *list = json_object_get(sweep, "errors");
    struct client_progress progress;
    client_progress_read(sweep, &progress);
    size_t count = json_array_size(list) < ERRORS_MAX ? json_array_size(list) : ERRORS_MAX;
    if (json_is_object(error)) {
        json_t *message = json_object_get(error, "message");
        const char *text = json_string_value(message);
        const char *first =
            text && count ? strstr(text, "; the first, ") : NULL; /* which the list has, too */
        json_t *said = first ? json_stringn(text, (size_t)(first - text)) : json_incref(message);
        print_error(json_object_get(error, "code"), said);
        json_decref(said);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(list, i), *message = json_object_get(row, "message");
        size_t others = 0, before = 0;
        for (size_t k = 0; k < count; k++) {
            int is_alike = json_equal(json_object_get(json_array_get(list, k), "message"), message);
            before += is_alike && k < i;
            others += is_alike && k > i;
        }
        if (before)
            continue;
        char name[CLIENT_CELL_SIZE];
        client_plain_copy(json_object_get(row, "revision"), "-", name, sizeof name);
        json_t *whom = others ? json_sprintf("%s and %zu more", name, others) : json_string(name);
        print_error(whom, message);
        json_decref(whom);
    }
    if (progress.failed > (int64_t)count)
        (void)fprintf(stderr,
                      "  and %" PRId64 " more: `bifurcate tasks %" PRId64 " --state failed` lists all\n",
                      progress.failed - (int64_t)count, progress.id);
}

/* "  job 42: running, 4 workers: 3 running, 1 pending (Resources)" */
static void print_jobs(const json_t *sweep)
{
    static const char *const counts[] = {"running", "pending", "completed", "failed", "cancelled"};
    const json_t *job;
    size_t index;
    json_array_foreach(json_object_get(sweep, "jobs"), index, job)
    {
        const char *state = json_string_value(json_object_get(job, "state"));
        const char *reason = json_string_value(json_object_get(job, "reason"));
        const json_t *id = json_object_get(job, "id");
        const char *separator = ": ";
        json_int_t workers = json_integer_value(json_object_get(job, "workers"));
        if (json_is_integer(id))
            (void)printf("  job %" JSON_INTEGER_FORMAT ": ", json_integer_value(id));
        else
            (void)fputs("  job without a number: ", stdout);
        (void)printf("%s, %" JSON_INTEGER_FORMAT " worker%s", state ? state : "?", workers,
                     workers == 1 ? "" : "s");
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            json_int_t count = json_integer_value(json_object_get(job, counts[i]));
            if (count)
                (void)printf("%s%" JSON_INTEGER_FORMAT " %s", separator, count, counts[i]);
            if (count)
                separator = ", ";
        }
        if (reason)
            (void)printf(" (%s)", reason);
        (void)putchar('\n');
    }
}

static void print_end(const json_t *sweep)
{
    struct client_progress progress;
    char bytes[32];
    client_progress_read(sweep, &progress);
    client_progress_format_bytes((double)progress.bytes_fetched, bytes, sizeof bytes);
    (void)fprintf(stderr,
                  "sweep %" PRId64 " of %s: %s; %" PRId64 " of %" PRId64 " revisions measured, %s fetched\n",
                  progress.id, progress.model, progress.state, progress.done, progress.total, bytes);
    print_errors(sweep);
    if (progress.done)
        (void)fprintf(stderr, "See `bifurcate series %s`.\n", progress.model);
}

int client_follow_sweep(struct client_link *link, const struct client_arguments *arguments, int64_t id,
                        int prints_sweep)
{
    struct view view = {
        .link = link, .is_terminal = client_terminal_can_rewrite(stderr), .width = LINE_SIZE - 1};
    size_t width = client_terminal_width(stderr);
    struct err err = ERR_INIT;
    char target[64];
    int retries = 0;
    int code;
    if (view.is_terminal)
        view.width = (width > 1 ? width : WIDTH_STANDARD) - 1;
    (void)snprintf(target, sizeof target, "/v1/sweeps/%" PRId64 "/events", id);
    for (;;) {
        view.has_begun = 0;
        code = client_link_follow(link, target, take_event, tick, &view, &err);
        if (view.has_begun)
            retries = 0;
        int may_pass = code == ERR_NETWORK || code == ERR_HTTP || code == ERR_RATE_LIMITED;
        if (!may_pass || !view.sweep || client_link_is_interrupted || ++retries > RETRIES_MAX)
            break;
        clock_sleep_ms(RETRY_MS);
    }
    if (view.is_terminal && view.last[0])
        (void)fputc('\n', stderr);
    int status = CLIENT_EXIT_DONE;
    if (client_link_is_interrupted) {
        (void)fprintf(stderr,
                      "The sweep goes on. `bifurcate follow %" PRId64 "` shows it again, `bifurcate cancel "
                      "%" PRId64 "` ends it.\n",
                      id, id);
        status = CLIENT_EXIT_INTERRUPTED;
    } else if (code) {
        status = client_report(&err);
    } else {
        struct client_progress progress;
        client_progress_read(view.sweep, &progress);
        if (prints_sweep && arguments->values[CLIENT_OPTION_JSON])
            client_print_json(view.sweep);
        if (prints_sweep || progress.failed || strcmp(progress.state, "done") != 0)
            print_end(view.sweep);
        status = strcmp(progress.state, "done") == 0 ? CLIENT_EXIT_DONE : CLIENT_EXIT_FAILED;
    }
    json_decref(view.sweep);
    return status;
}

int client_run_sweep(const struct client_arguments *arguments)
{
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    struct buf answer;
    char *request = NULL;
    int64_t id = 0;
    int status = CLIENT_EXIT_DONE;
    buf_init(&answer, CLIENT_BODY_BYTES_MAX);
    int code = client_link_open(arguments, &link, &err);
    if (!code)
        code = make_request(arguments, &request, &err);
    if (!code)
        code = client_link_request(link, "POST", "/v1/sweeps", request, arguments->values[CLIENT_OPTION_KEY],
                                   &answer, &err);
    if (!code) {
        json_t *sweep = client_link_load(link, buf_text(&answer), answer.size);
        struct client_progress progress;
        client_progress_read(sweep, &progress);
        id = progress.id;
        if (id == 0)
            code = err_set(&err, ERR_FORMAT, "the answer of %s is no sweep", client_link_server(link));
        else if (arguments->values[CLIENT_OPTION_FOLLOW])
            (void)fprintf(stderr, "sweep %" PRId64 " of %s\n", id, progress.model);
        else if (arguments->values[CLIENT_OPTION_JSON])
            client_print_json(sweep);
        else
            (void)printf("sweep %" PRId64 " of %s: %s; `bifurcate follow %" PRId64 "` shows its progress\n",
                         id, progress.model, progress.state, id);
        json_decref(sweep);
    }
    if (code)
        status = client_report(&err);
    else if (arguments->values[CLIENT_OPTION_FOLLOW])
        status = client_follow_sweep(link, arguments, id, 1);
    free(request);
    buf_free(&answer);
    client_link_close(link);
    return status;
}

static int parse_id(const struct client_arguments *arguments, int64_t *ret_id, struct err *err)
{
    char *end = NULL;
    errno = 0;
    long long id = strtoll(arguments->words[0], &end, 10);
    if (errno || *end || id < 1)
        return err_set(err, ERR_INVALID, "%.60s: not the number of a sweep; `bifurcate sweeps` lists them",
                       arguments->words[0]);
    *ret_id = id;
    return 0;
}

int client_run_follow(const struct client_arguments *arguments)
{
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    int64_t id = 0;
    int code = parse_id(arguments, &id, &err);
    if (!code)
        code = client_link_open(arguments, &link, &err);
    int status = code ? client_report(&err) : client_follow_sweep(link, arguments, id, 1);
    client_link_close(link);
    return status;
}

static void show_sweep(const struct client_arguments *arguments, const json_t *sweep)
{
    struct client_progress progress;
    char line[LINE_SIZE];
    if (arguments->values[CLIENT_OPTION_JSON]) {
        client_print_json(sweep);
        return;
    }
    client_progress_read(sweep, &progress);
    client_progress_format(&progress, LINE_SIZE - 1, 0, line, sizeof line);
    int is_said = strncmp(line, progress.state, strlen(progress.state)) == 0; /* "planning: …" */
    (void)printf("sweep %" PRId64 " of %s: %s%s%s\n", progress.id, progress.model,
                 is_said ? "" : progress.state, is_said ? "" : "; ", line);
    print_jobs(sweep);
    (void)fflush(stdout);
    print_errors(sweep);
}

/* Prints the sweep that `method` on its resource answers with. */
static int print_sweep(const struct client_arguments *arguments, const char *method)
{
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    struct buf answer;
    char target[64];
    int64_t id = 0;
    buf_init(&answer, CLIENT_BODY_BYTES_MAX);
    int code = parse_id(arguments, &id, &err);
    if (!code)
        code = client_link_open(arguments, &link, &err);
    (void)snprintf(target, sizeof target, "/v1/sweeps/%" PRId64, id);
    if (!code)
        code = client_link_request(link, method, target, NULL, NULL, &answer, &err);
    json_t *sweep = code ? NULL : client_link_load(link, buf_text(&answer), answer.size);
    if (!code && !json_is_integer(json_object_get(sweep, "id")))
        code = err_set(&err, ERR_FORMAT, "the answer of %s is no sweep", client_link_server(link));
    if (!code)
        show_sweep(arguments, sweep);
    json_decref(sweep);
    buf_free(&answer);
    client_link_close(link);
    return code ? client_report(&err) : CLIENT_EXIT_DONE;
}

int client_run_show(const struct client_arguments *arguments)
{
    return print_sweep(arguments, "GET");
}

int client_run_cancel(const struct client_arguments *arguments)
{
    return print_sweep(arguments, "DELETE");
}
