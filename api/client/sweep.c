#include "api/client/commands.h"

#include "api/client/model_name.h"
#include "api/client/plain.h"
#include "api/client/progress.h"
#include "api/client/sweep_ids.h"
#include "api/client/sweep_outcome.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 512

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
    set_text(request, "tokenizer", arguments->values[CLIENT_OPTION_TOKENIZER]);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && !code; i++)
        code = client_parse_number(numbers[i].key, arguments->values[numbers[i].option], request,
                                   numbers[i].key, err);
    return code;
}

/* Options that would say nothing: they are of texts, and no perplexity is asked for. */
static int check_texts(const struct client_arguments *arguments, struct err *err)
{
    static const enum client_option texts[] = {
        CLIENT_OPTION_DATASET, CLIENT_OPTION_FIELD,     CLIENT_OPTION_MODE, CLIENT_OPTION_WINDOW,
        CLIENT_OPTION_STRIDE,  CLIENT_OPTION_TOKENIZER, CLIENT_OPTION_LIMIT};
    for (size_t i = 0; i < arguments->list_count; i++) {
        if (arguments->list[i].option == CLIENT_OPTION_METRIC &&
            strcmp(arguments->list[i].value, "statistics") != 0)
            return 0; /* or what the daemon refuses */
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (arguments->values[texts[i]])
            return err_set(err, ERR_INVALID, "--%s is of the texts for perplexity: add --metric perplexity%s",
                           client_options[texts[i]].name,
                           texts[i] == CLIENT_OPTION_LIMIT ? ", or measure fewer revisions with --every"
                                                           : "");
    }
    return 0;
}

int client_sweep_request(const struct client_arguments *arguments, const char *model, json_t **ret_root,
                         struct err *err)
{
    json_t *root = json_object();
    json_t *revisions = json_object();
    struct buf name;
    buf_init(&name, LIMIT_MODEL_NAME_BYTES);
    int code = check_texts(arguments, err);
    if (!code)
        code = client_model_name(model, &name, err);
    if (!code)
        client_model_note_folder(model);
    set_text(root, "model", buf_text(&name));
    set_text(root, "reference", arguments->values[CLIENT_OPTION_REFERENCE]);
    set_text(root, "dataset", arguments->values[CLIENT_OPTION_DATASET]);
    set_text(root, "mode", arguments->values[CLIENT_OPTION_MODE]);
    set_list(root, "tensors", arguments, CLIENT_OPTION_TENSOR);
    set_list(root, "metrics", arguments, CLIENT_OPTION_METRIC);
    set_list(revisions, "names", arguments, CLIENT_OPTION_REVISION);
    set_text(revisions, "rule", arguments->values[CLIENT_OPTION_RULE]);
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

/* The same as text, of each model that is named; the caller frees each. Nothing is asked for before all are
 * well formed. */
static int make_requests(const struct client_arguments *arguments, char **requests, struct err *err)
{
    if (arguments->word_count > 1 && arguments->values[CLIENT_OPTION_KEY])
        return err_set(err, ERR_INVALID, "--key is the key of one sweep: it takes one MODEL");
    for (size_t i = 0; i < arguments->word_count; i++) {
        json_t *root = NULL;
        int code = client_sweep_request(arguments, arguments->words[i], &root, err);
        if (code)
            return code;
        requests[i] = json_text_dump(root, JSON_COMPACT);
        json_decref(root);
        if (!requests[i])
            return err_set(err, ERR_INVALID, "an argument is not UTF-8");
    }
    return 0;
}

/* Asks for one sweep and says which it is; with --json, the answers are gathered in `all`. */
static int start(struct client_link *link, const struct client_arguments *arguments, const char *request,
                 json_t *all, int64_t *ret_id, struct err *err)
{
    struct client_progress progress;
    struct buf answer;
    buf_init(&answer, CLIENT_BODY_BYTES_MAX);
    int code = client_link_request(link, "POST", "/v1/sweeps", request, arguments->values[CLIENT_OPTION_KEY],
                                   &answer, err);
    json_t *sweep = code ? NULL : client_link_load(link, buf_text(&answer), answer.size);
    buf_free(&answer);
    client_progress_read(sweep, &progress);
    *ret_id = progress.id;
    if (!code && progress.id == 0)
        code = err_set(err, ERR_FORMAT, "the answer of %s is not a sweep", client_link_server(link));
    if (!code && arguments->values[CLIENT_OPTION_FOLLOW])
        (void)fprintf(stderr, "sweep %" PRId64 " of %s\n", progress.id, progress.model);
    else if (!code && arguments->values[CLIENT_OPTION_JSON])
        (void)json_array_append(all, sweep);
    else if (!code)
        (void)printf("sweep %" PRId64 " of %s: %s; `bifurcate follow %" PRId64 "` shows its progress\n",
                     progress.id, progress.model, progress.state, progress.id);
    json_decref(sweep);
    return code;
}

/* One document: the answer, or where several were asked for a list of them, as GET /v1/sweeps has it. */
static void print_all(json_t *all, int is_list)
{
    json_t *document = json_pack("{s:O}", "sweeps", all);
    if (is_list || json_array_size(all))
        client_print_json(is_list ? document : json_array_get(all, 0));
    json_decref(document);
}

int client_run_sweep(const struct client_arguments *arguments)
{
    char *requests[CLIENT_WORDS_MAX] = {NULL};
    int64_t ids[CLIENT_WORDS_MAX];
    size_t count = 0;
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    json_t *all = json_array();
    int is_followed = arguments->values[CLIENT_OPTION_FOLLOW] != NULL;
    int status = CLIENT_EXIT_DONE;
    int code = make_requests(arguments, requests, &err);
    if (!code)
        code = client_link_open(arguments, &link, &err);
    for (size_t i = 0; i < arguments->word_count && !code; i++)
        client_note_revisions(link, arguments, arguments->words[i]);
    for (; count < arguments->word_count && !code; count += !code)
        code = start(link, arguments, requests[count], all, &ids[count], &err);
    if (count && code)
        (void)err_wrap(&err, "%.200s", arguments->words[count]);
    if (arguments->values[CLIENT_OPTION_JSON] && !is_followed && count)
        print_all(all, arguments->word_count > 1);
    (void)fflush(stdout);
    if (code)
        status = client_report(&err);
    else if (is_followed)
        status = client_follow_sweeps(link, arguments, ids, count);
    if (code && count)
        (void)fprintf(stderr, "%zu of %zu sweeps were started; that of %.200s was not, nor any after it\n",
                      count, arguments->word_count, arguments->words[count]);
    for (size_t i = 0; i < arguments->word_count; i++)
        free(requests[i]);
    json_decref(all);
    client_link_close(link);
    return status;
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

/* "  asked for by ci: {"metrics": ["perplexity"], "limit": 500}"; nothing where nobody's token came with it
 * and all is as it is by default. */
static void print_request(const json_t *sweep)
{
    char by[CLIENT_CELL_SIZE];
    json_t *rest = json_copy(json_object_get(sweep, "request"));
    (void)json_object_del(rest, "model");
    char *text = json_object_size(rest) ? json_text_dump(rest, 0) : NULL;
    client_plain_copy(json_object_get(sweep, "requested_by"), "", by, sizeof by);
    if (text || by[0])
        (void)printf("  asked for%s%s%s%s\n", by[0] ? " by " : "", by, text ? ": " : "", text ? text : "");
    free(text);
    json_decref(rest);
}

static void show_sweep(const json_t *sweep)
{
    struct client_progress progress;
    char line[LINE_SIZE];
    client_progress_read(sweep, &progress);
    client_progress_format(&progress, LINE_SIZE - 1, 0, line, sizeof line);
    int is_said = strncmp(line, progress.state, strlen(progress.state)) == 0; /* "planning: …" */
    (void)printf("sweep %" PRId64 " of %s: %s%s%s\n", progress.id, progress.model,
                 is_said ? "" : progress.state, is_said ? "" : "; ", line);
    print_request(sweep);
    print_jobs(sweep);
    (void)fflush(stdout);
    client_print_sweep_errors(sweep);
    client_print_sweep_passed_over(sweep);
}

/* Prints the sweep that `method` on its resource answers with; with --json, they are gathered in `all`. */
static int print_sweep(struct client_link *link, const struct client_arguments *arguments, const char *method,
                       int64_t id, json_t *all, struct err *err)
{
    struct buf answer;
    char target[64];
    buf_init(&answer, CLIENT_BODY_BYTES_MAX);
    (void)snprintf(target, sizeof target, "/v1/sweeps/%" PRId64, id);
    int code = client_link_request(link, method, target, NULL, NULL, &answer, err);
    json_t *sweep = code ? NULL : client_link_load(link, buf_text(&answer), answer.size);
    if (!code && !json_is_integer(json_object_get(sweep, "id")))
        code = err_set(err, ERR_FORMAT, "the answer of %s is not a sweep", client_link_server(link));
    if (!code && arguments->values[CLIENT_OPTION_JSON])
        (void)json_array_append(all, sweep);
    else if (!code)
        show_sweep(sweep);
    json_decref(sweep);
    buf_free(&answer);
    return code;
}

/* Does so with every sweep that is named, or with all active ones; one that fails keeps no other from it. */
static int print_sweeps(const struct client_arguments *arguments, const char *method, int is_all)
{
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    int64_t *ids = NULL;
    size_t count = 0;
    json_t *all = json_array();
    int code = is_all ? 0 : client_parse_sweeps(arguments, &ids, &count, &err);
    if (!code)
        code = client_link_open(arguments, &link, &err);
    if (!code && is_all)
        code = client_find_sweeps(link, &ids, &count, &err);
    int status = code ? client_report(&err) : CLIENT_EXIT_DONE;
    if (!code && count == 0)
        (void)fputs("no sweep is active\n", stderr);
    for (size_t i = 0; i < count && !code && !client_link_is_interrupted; i++) {
        struct err failure = ERR_INIT;
        int failed = print_sweep(link, arguments, method, ids[i], all, &failure);
        if (is_all && failed == ERR_CONFLICT)
            continue; /* it has ended since it was listed */
        int said = failed ? client_report(&failure) : CLIENT_EXIT_DONE;
        status = status ? status : said;
    }
    if (client_link_is_interrupted && !status) /* between two of them */
        status = CLIENT_EXIT_INTERRUPTED;
    if (arguments->values[CLIENT_OPTION_JSON] && !code)
        print_all(all, is_all || arguments->word_count > 1);
    json_decref(all);
    free(ids);
    client_link_close(link);
    return status;
}

int client_run_show(const struct client_arguments *arguments)
{
    return print_sweeps(arguments, "GET", 0);
}

int client_run_cancel(const struct client_arguments *arguments)
{
    return print_sweeps(arguments, "DELETE",
                        arguments->word_count == 1 && strcmp(arguments->words[0], "all") == 0);
}
