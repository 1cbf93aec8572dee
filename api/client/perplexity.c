#include "api/client/commands.h"
#include "api/client/member.h"
#include "api/client/model_name.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REVISION_STANDARD "main"

/* What the series calls the numbers of each mode. */
struct mode {
    const char *name;
    const char *prefix;
    const char *fields;
};

static const struct mode modes[] = {
    {"last_word", "",
     "perplexity,perplexity_stderr,accuracy,accuracy_stderr,perplexity_documents,perplexity_tokens"},
    {"tokens", "pooled_", "pooled_perplexity,pooled_perplexity_stderr,pooled_perplexity_tokens"},
    {"text_mean", "text_mean_",
     "text_mean_perplexity,text_mean_perplexity_stderr,text_mean_perplexity_documents"},
};

static int ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* A text of one's own has no last words to guess, unless its lines are documents. */
static const struct mode *choose_mode(const struct client_arguments *arguments, struct err *err)
{
    const char *file = arguments->values[CLIENT_OPTION_FILE], *name = arguments->values[CLIENT_OPTION_MODE];
    if (!name)
        return file && !ends_with(file, ".jsonl") && !ends_with(file, ".jsonl.gz") &&
                       !ends_with(file, ".jsonl.zst")
                   ? &modes[1]
                   : &modes[0];
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(name, modes[i].name) == 0)
            return &modes[i];
    }
    (void)err_set(err, ERR_INVALID, "--mode %.60s: neither last_word, tokens nor text_mean", name);
    return NULL;
}

static int make_dataset(const struct client_arguments *arguments, json_t *root, struct err *err)
{
    const char *file = arguments->values[CLIENT_OPTION_FILE];
    const char *dataset = arguments->values[CLIENT_OPTION_DATASET];
    if (file && dataset)
        return err_set(err, ERR_INVALID, "--file and --dataset exclude each other");
    if (dataset)
        (void)json_object_set_new(root, "dataset", json_string(dataset));
    if (!file)
        return 0;
    char *path = realpath(file, NULL);
    if (!path)
        return err_set(err, ERR_INVALID, "--file %.200s: there is no such file", file);
    int failed = json_object_set_new(root, "dataset", json_sprintf("file:%s", path));
    free(path);
    return failed ? err_set(err, ERR_INVALID, "--file %.200s: the path to it is not UTF-8", file) : 0;
}

static int make_request(const struct client_arguments *arguments, const struct mode *mode,
                        const char *revision, char **ret_text, struct err *err)
{
    json_t *root = json_pack("{s:[s], s:s, s:{s:[s]}}", "metrics", "perplexity", "mode", mode->name,
                             "revisions", "names", revision);
    struct buf name;
    buf_init(&name, LIMIT_MODEL_NAME_BYTES);
    int code = client_model_name(arguments->words[0], &name, err);
    if (!code)
        client_model_note_folder(arguments->words[0]);
    if (!code)
        code = make_dataset(arguments, root, err);
    if (!code)
        code = client_sweep_set_texts(arguments, root, err);
    if (!code) {
        (void)json_object_set_new(root, "model", json_string(buf_text(&name)));
        *ret_text = json_text_dump(root, JSON_COMPACT);
        if (!*ret_text)
            code = err_set(err, ERR_INVALID, "an argument is not UTF-8");
    }
    json_decref(root);
    buf_free(&name);
    return code;
}

static double number_of(const json_t *row, const char *prefix, const char *key)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s%s", prefix, key);
    return member_number(row, name);
}

/* Of a single document there is none. */
static void print_error(double error)
{
    if (!isnan(error))
        (void)printf(error < 100 ? " +- %.2g" : " +- %.0f", error);
    (void)putchar('\n');
}

static void print_numbers(const json_t *row, const struct mode *mode, const char *revision)
{
    double documents = number_of(row, mode->prefix, "perplexity_documents");
    double tokens = number_of(row, mode->prefix, "perplexity_tokens");
    double accuracy = number_of(row, mode->prefix, "accuracy");
    (void)printf("revision    %s\n", revision);
    (void)printf("mode        %s\n", mode->name);
    (void)printf("perplexity  %.6g", number_of(row, mode->prefix, "perplexity"));
    print_error(number_of(row, mode->prefix, "perplexity_stderr"));
    if (!isnan(accuracy)) {
        (void)printf("accuracy    %.4f", accuracy);
        print_error(number_of(row, mode->prefix, "accuracy_stderr"));
    }
    if (!isnan(documents))
        (void)printf("documents   %.0f\n", documents);
    if (!isnan(tokens))
        (void)printf("tokens      %.0f\n", tokens);
}

static int show(struct client_link *link, const struct client_arguments *arguments, const struct mode *mode,
                const char *revision, struct err *err)
{
    struct buf target;
    json_t *row = NULL;
    buf_init(&target, 2 * LIMIT_URL_BYTES);
    int code = client_model_target(&target, arguments->words[0], err);
    buf_append_text(&target, "/revisions/");
    client_link_encode(&target, revision);
    buf_appendf(&target, "?fields=%s,%s", "revision,step,commit", mode->fields);
    if (!code)
        code = buf_check(&target, "URL", err);
    if (!code)
        code = client_link_get(link, buf_text(&target), &row, err);
    if (!code && arguments->values[CLIENT_OPTION_JSON])
        client_print_json(row);
    else if (!code)
        print_numbers(row, mode, revision);
    json_decref(row);
    buf_free(&target);
    return code;
}

/* It is a list to other commands. */
static int check_revision(const struct client_arguments *arguments, struct err *err)
{
    int count = 0;
    for (size_t i = 0; i < arguments->list_count; i++)
        count += arguments->list[i].option == CLIENT_OPTION_REVISION;
    return count < 2 ? 0
                     : err_set(err, ERR_INVALID,
                               "perplexity scores one revision; of several: `bifurcate sweep %.150s --metric "
                               "perplexity` with each --revision",
                               arguments->words[0]);
}

int client_run_perplexity(const struct client_arguments *arguments)
{
    const char *revision = arguments->values[CLIENT_OPTION_REVISION];
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    struct buf answer;
    char *request = NULL;
    int64_t id = 0;
    int status = CLIENT_EXIT_DONE;
    buf_init(&answer, CLIENT_BODY_BYTES_MAX);
    revision = revision ? revision : REVISION_STANDARD;
    const struct mode *mode = choose_mode(arguments, &err);
    int code = mode ? check_revision(arguments, &err) : err.code;
    if (!code)
        code = client_link_open(arguments, &link, &err);
    if (!code)
        code = make_request(arguments, mode, revision, &request, &err);
    if (!code)
        code = client_link_request(link, "POST", "/v1/sweeps", request, NULL, &answer, &err);
    if (!code) {
        json_t *sweep = client_link_load(link, buf_text(&answer), answer.size);
        id = json_integer_value(json_object_get(sweep, "id"));
        json_decref(sweep);
        if (id == 0)
            code = err_set(&err, ERR_FORMAT, "the answer of %s is not a sweep", client_link_server(link));
    }
    if (!code)
        status = client_follow_sweep(link, arguments, id, 0);
    if (!code && status == CLIENT_EXIT_DONE)
        code = show(link, arguments, mode, revision, &err);
    if (code)
        status = client_report(&err);
    free(request);
    buf_free(&answer);
    client_link_close(link);
    return status;
}
