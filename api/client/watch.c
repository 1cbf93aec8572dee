/*
 * The commands of watches: watch, unwatch, watches.
 */
#include "api/client/commands.h"

#include "api/client/model_name.h"
#include "api/client/pages.h"
#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define LOOK_WAIT_MS 20000 /* then it is said that this takes time */
#define LOOK_PAUSE_MS 50

/* Appends "/v1/watches/owner/name" and `more`. */
static int make_target(const struct client_arguments *arguments, const char *more, struct buf *target,
                       struct err *err)
{
    static const char prefix[] = "/v1/models";
    struct buf model;
    buf_init(&model, LIMIT_URL_BYTES);
    int code = client_model_target(&model, arguments->words[0], err);
    if (!code)
        (void)buf_appendf(target, "/v1/watches%s%s", buf_text(&model) + sizeof prefix - 1, more);
    buf_free(&model);
    return code ? code : buf_check(target, "URL", err);
}

/* The secret is read from a file, so that it is in no list of processes and no shell history. */
static int add_webhook(const struct client_arguments *arguments, json_t *root, struct err *err)
{
    const char *url = arguments->values[CLIENT_OPTION_WEBHOOK];
    const char *path = arguments->values[CLIENT_OPTION_SECRET_FILE];
    struct buf secret;
    if (!url)
        return path ? err_set(err, ERR_INVALID, "--secret-file goes with --webhook") : 0;
    buf_init(&secret, 4 * KIB);
    int code = path && file_read_any(path, &secret, err) ? err_wrap(err, "--secret-file") : 0;
    if (code == ERR_NOT_FOUND)
        code = err->code = ERR_INVALID; /* wrong usage; not that a model is missing */
    while (secret.size && strchr(" \r\n\t", secret.data[secret.size - 1]))
        secret.data[--secret.size] = 0;
    if (!code &&
        (memchr(buf_text(&secret), 0, secret.size) || !utf8_is_valid(buf_text(&secret), secret.size)))
        code = err_set(err, ERR_INVALID,
                       "--secret-file %.200s: is not text: base64 makes one of random bytes (head -c 24 "
                       "/dev/urandom | base64)",
                       path);
    json_t *webhook = code ? NULL : json_pack("{s:s}", "url", url);
    if (webhook && path)
        (void)json_object_set_new(webhook, "secret", json_string(buf_text(&secret)));
    if (!code && json_object_set_new(root, "webhook", webhook))
        code = err_set(err, ERR_INVALID, "--webhook %.60s: not UTF-8", url);
    buf_free(&secret);
    return code;
}

static int make_request(const struct client_arguments *arguments, json_t **ret_root, struct err *err)
{
    const char *at = arguments->values[CLIENT_OPTION_AT];
    const char *every = arguments->values[CLIENT_OPTION_EVERY_MINUTES];
    if (!at == !every)
        return err_set(err, ERR_INVALID, "a watch needs either --at 02:30 or --every-minutes 15");
    int code = client_sweep_request(arguments, arguments->words[0], ret_root, err);
    if (code)
        return code;
    (void)json_object_del(*ret_root, "model"); /* the path names it */
    if (at)
        (void)json_object_set_new(*ret_root, "at", json_string(at));
    else
        code = client_parse_number("every-minutes", every, *ret_root, "every_minutes", err);
    return code ? code : add_webhook(arguments, *ret_root, err);
}

static const char *text_or(const json_t *object, const char *key, const char *standard)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : standard;
}

static void print_names(const json_t *run, const char *key, const char *title)
{
    const json_t *kind = json_object_get(run, key);
    json_int_t count = json_integer_value(json_object_get(kind, "count"));
    size_t i;
    const json_t *name;
    if (!count)
        return;
    (void)printf("  %s %lld:", title, (long long)count);
    json_array_foreach(json_object_get(kind, "names"), i, name)(void)
        printf(" %s", json_is_string(name) ? json_string_value(name) : "?");
    (void)putchar('\n');
}

/* What a run's outcome has become by now: it stays "sweeping" when the sweep has ended; NULL: nothing else.
 */
static const char *end_of(const json_t *watch)
{
    const char *state = json_string_value(json_object_get(watch, "last_sweep_state"));
    const char *outcome = json_string_value(json_object_get(json_object_get(watch, "last_run"), "outcome"));
    int is_over = state && strcmp(state, "planning") != 0 && strcmp(state, "running") != 0;
    return is_over && outcome && strcmp(outcome, "sweeping") == 0 ? state : NULL;
}

/* "unchanged" beside a checkpoint that is still written would read as if it had been overlooked. */
static void print_outcome(const json_t *watch, const json_t *run)
{
    const char *outcome = text_or(run, "outcome", "-");
    const json_t *sweep = json_object_get(watch, "last_sweep"), *earlier;
    (void)printf("last run %s: ", text_or(watch, "last_run_at", "-"));
    if (json_is_integer(sweep))
        (void)printf("sweep %lld of %lld revisions%s%s\n", (long long)json_integer_value(sweep),
                     (long long)json_integer_value(json_object_get(run, "swept")), end_of(watch) ? ": " : "",
                     end_of(watch) ? end_of(watch) : "");
    else if ((earlier = json_object_get(run, "unfinished_sweep")))
        (void)printf("%s, since sweep %lld of an earlier run had not ended\n", outcome,
                     (long long)json_integer_value(earlier));
    else if (strcmp(outcome, "waiting") == 0)
        (void)puts("waits for the first checkpoint");
    else if (strcmp(outcome, "missing") == 0)
        (void)puts("there is no such model; is its name right, or does its trainer make it later?");
    else
        (void)printf("%s\n",
                     json_array_size(json_object_get(run, "unfinished")) ? "nothing to sweep yet" : outcome);
}

static void print_run(const json_t *watch)
{
    const json_t *run = json_object_get(watch, "last_run"), *one;
    size_t i;
    if (!json_is_object(run))
        return;
    print_outcome(watch, run);
    if (end_of(watch) && json_is_string(json_object_get(watch, "last_sweep_error")))
        (void)printf("  %s\n", text_or(watch, "last_sweep_error", "-"));
    print_names(run, "new", "new");
    print_names(run, "moved", "moved");
    print_names(run, "gone", "gone");
    json_array_foreach(json_object_get(run, "unfinished"), i, one)(void)
        printf("  unfinished %s: %s\n", text_or(one, "revision", "-"), text_or(one, "reason", "-"));
    if ((one = json_object_get(run, "gated")))
        (void)printf("  %lld wait for access: %s\n",
                     (long long)json_integer_value(json_object_get(one, "count")),
                     text_or(one, "reason", "-"));
    if ((one = json_object_get(run, "untried")))
        (void)printf("  %lld are not tried again by the watch as it is: sweep %lld: %s\n"
                     "  once the cause is mended, `bifurcate sweep` tries them\n",
                     (long long)json_integer_value(json_object_get(one, "count")),
                     (long long)json_integer_value(json_object_get(one, "sweep")),
                     text_or(one, "reason", "-"));
    if (json_object_get(run, "error"))
        (void)printf("  %s\n", text_or(json_object_get(run, "error"), "message", "-"));
}

static void print_watch(const json_t *watch)
{
    const json_t *every = json_object_get(watch, "every_minutes"),
                 *webhook = json_object_get(watch, "webhook"), *one;
    size_t i;
    (void)printf("%s is watched ", text_or(watch, "model", "-"));
    if (json_integer_value(every) == 1)
        (void)printf("every minute");
    else if (json_is_integer(every))
        (void)printf("every %lld minutes", (long long)json_integer_value(every));
    else
        (void)printf("every day at %s (the daemon's local time)", text_or(watch, "at", "-"));
    (void)printf("; the next run is at %s\n", text_or(watch, "next_run_at", "-"));
    print_run(watch);
    if (!json_is_object(webhook))
        return;
    (void)printf("webhook %s\n", text_or(webhook, "url", "-"));
    json_array_foreach(json_object_get(webhook, "deliveries"), i, one)(void)
        printf("  %s %s: %s%s%s\n", text_or(one, "created_at", "-"), text_or(one, "event", "-"),
               text_or(one, "state", "-"), json_is_string(json_object_get(one, "error")) ? "; " : "",
               text_or(one, "error", ""));
}

/* Waits until a watch that was asked to look has done so, and puts what it is then in its place. What is no
 * time has no end that could be waited for. */
static int await_look(struct client_link *link, const struct client_arguments *arguments, json_t **watch,
                      struct err *err)
{
    const int64_t tell_ms = clock_monotonic_ms() + LOOK_WAIT_MS;
    struct buf target, before;
    int code, is_waiting = 1, is_told = 0;
    buf_init(&target, LIMIT_URL_BYTES);
    buf_init(&before, KIB);
    buf_append_text(&before, text_or(*watch, "last_run_at", ""));
    code = make_target(arguments, "", &target, err);
    while (!code && is_waiting) {
        json_t *now = NULL;
        clock_sleep_ms(is_told ? 20 * LOOK_PAUSE_MS : LOOK_PAUSE_MS);
        if (client_link_is_interrupted) {
            code = err_set(err, ERR_CANCELLED, "interrupted; the look that was asked for goes on");
            break;
        }
        if (!is_told && clock_monotonic_ms() >= tell_ms) {
            (void)fputs(
                "it has not looked yet: the daemon looks at one model after the other, and waits for a "
                "hub that is down\n",
                stderr);
            is_told = 1;
        }
        if ((code = client_link_get(link, buf_text(&target), &now, err)))
            break;
        json_decref(*watch);
        *watch = now;
        const char *text = text_or(now, "last_run_at", "");
        is_waiting = strcmp(text, buf_text(&before)) == 0 && (!text[0] || (text[0] >= '0' && text[0] <= '9'));
    }
    buf_free(&target);
    buf_free(&before);
    return code;
}

/* One exchange, whose answer is a watch or nothing. */
static int exchange(const struct client_arguments *arguments, const char *method, const char *more,
                    const char *body, int prints)
{
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    struct buf target, answer;
    buf_init(&target, LIMIT_URL_BYTES);
    buf_init(&answer, CLIENT_BODY_BYTES_MAX);
    int code = client_link_open(arguments, &link, &err);
    if (!code)
        code = make_target(arguments, more, &target, &err);
    if (!code)
        code = client_link_request(link, method, buf_text(&target), body, NULL, &answer, &err);
    json_t *watch = NULL;
    if (!code && answer.size && !(watch = client_link_load(link, buf_text(&answer), answer.size)))
        code = err_set(&err, ERR_FORMAT, "the answer of %s is not a watch", client_link_server(link));
    if (watch && strcmp(method, "POST") == 0)
        code = await_look(link, arguments, &watch, &err);
    if (watch && prints && !code) {
        if (arguments->values[CLIENT_OPTION_JSON])
            client_print_json(watch);
        else
            print_watch(watch);
        if (!arguments->values[CLIENT_OPTION_JSON] && strcmp(method, "PUT") == 0)
            client_note_absence(link, arguments->words[0]);
    }
    json_decref(watch);
    buf_free(&target);
    buf_free(&answer);
    client_link_close(link);
    return code ? client_report(&err) : CLIENT_EXIT_DONE;
}

/* Whether something is to be set, besides the time. */
static int has_settings(const struct client_arguments *arguments)
{
    const uint64_t others = CLIENT_OPTIONS_COMMON | CLIENT_OPTION_BIT(NOW);
    for (int i = 0; i < CLIENT_OPTION_COUNT; i++) {
        if (arguments->values[i] && !(others & UINT64_C(1) << i))
            return 1;
    }
    return 0;
}

int client_run_watch(const struct client_arguments *arguments)
{
    struct err err = ERR_INIT;
    json_t *root = NULL;
    char *body = NULL;
    int has_time = arguments->values[CLIENT_OPTION_AT] || arguments->values[CLIENT_OPTION_EVERY_MINUTES];
    if (!has_time && !has_settings(arguments))
        return arguments->values[CLIENT_OPTION_NOW] ? exchange(arguments, "POST", "/runs", NULL, 1)
                                                    : exchange(arguments, "GET", "", NULL, 1);
    int code = make_request(arguments, &root, &err);
    if (!code && !(body = json_text_dump(root, JSON_COMPACT)))
        code = err_set(&err, ERR_INVALID, "an argument is not UTF-8");
    int looks = arguments->values[CLIENT_OPTION_NOW] != NULL; /* its answer shows the watch */
    int status = code ? client_report(&err) : exchange(arguments, "PUT", "", body, !looks);
    if (status == CLIENT_EXIT_DONE && looks)
        status = exchange(arguments, "POST", "/runs", NULL, 1);
    json_decref(root);
    free(body);
    return status;
}

int client_run_unwatch(const struct client_arguments *arguments)
{
    int status = exchange(arguments, "DELETE", "", NULL, 0);
    if (status == CLIENT_EXIT_DONE && !arguments->values[CLIENT_OPTION_JSON])
        (void)printf("%s is not watched any more; sweeps that run go on\n", arguments->words[0]);
    return status;
}

int client_run_deliveries(const struct client_arguments *arguments)
{
    static const struct client_column columns[] = {
        {"created_at", "CREATED"}, {"event", "EVENT"},   {"sweep", "SWEEP"},          {"state", "STATE"},
        {"attempts", "ATTEMPTS"},  {"status", "STATUS"}, {"next_attempt_at", "NEXT"}, {"error", "ERROR"},
    };
    struct err err = ERR_INIT;
    struct buf target;
    buf_init(&target, LIMIT_URL_BYTES);
    int code = make_target(arguments, "/deliveries?limit=1000", &target, &err);
    int status =
        code ? client_report(&err)
             : client_list(
                   arguments, buf_text(&target), "deliveries", columns, COUNT(columns),
                   "nothing was sent yet; a watch has a webhook with `bifurcate watch MODEL --webhook URL`");
    buf_free(&target);
    return status;
}

int client_run_watches(const struct client_arguments *arguments)
{
    static const struct client_column columns[] = {
        {"model", "MODEL"},
        {"at", "AT"},
        {"every_minutes", "EVERY_MINUTES"},
        {"next_run_at", "NEXT"},
        {"last_run_at", "LAST"},
        {"last_run.outcome", "OUTCOME"},
        {"last_run.swept", "SWEPT"},
        {"last_sweep", "SWEEP"},
    };
    static const char target[] = "/v1/watches?limit=1000",
                      hint[] = "no model is watched; `bifurcate watch MODEL --at 02:30` begins";
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    json_t *document = NULL, *watch;
    size_t i;
    if (arguments->values[CLIENT_OPTION_JSON] || arguments->values[CLIENT_OPTION_CSV] ||
        arguments->values[CLIENT_OPTION_FIELDS])
        return client_list(arguments, target, "watches", columns, COUNT(columns), hint);
    int code = client_link_open(arguments, &link, &err);
    if (!code)
        code = pages_get(link, target, "watches", &document, &err);
    json_array_foreach(json_object_get(document, "watches"), i, watch)
    {
        if (end_of(watch))
            (void)json_object_set(json_object_get(watch, "last_run"), "outcome",
                                  json_object_get(watch, "last_sweep_state"));
    }
    int status = code ? client_report(&err)
                      : client_print_list(arguments, document, "watches", columns, COUNT(columns), hint);
    json_decref(document);
    client_link_close(link);
    return status;
}
