#include "api/client/link.h"

#include "api/client/plain.h"
#include "api/client/rest.h"
#include "daemon/base/json_bound.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENT_BYTES_MAX (8 * MIB)
#define VALUES_MAX 50000000    /* in one answer: 10,000 revisions with as many bins as there may be */
#define CONTAINERS_MAX 1000000 /* objects and arrays in it */

volatile sig_atomic_t client_link_is_interrupted;

struct client_link {
    struct rest *rest;
    const struct client_command *command; /* NULL: a completion before it */
    int is_exact;                         /* its answers are for programs */
    long timeout_s;                       /* of an exchange; 0: the standard */
    size_t taken;                         /* bytes of answers to GET */
    void (*tick)(void *context);          /* of the stream that is read; else NULL */
    void *tick_context;
};

/* A stream of events while it is read. */
struct follower {
    struct client_link *link;
    CURL *curl;
    struct buf line;
    struct buf data;
    char event[32];
    int (*take)(void *context, const char *event, const char *data);
    void *context;
    int is_over; /* take() said so */
};

/* The caller frees *ret_token. */
static int read_token(const struct client_arguments *arguments, char **ret_token, struct err *err)
{
    const char *path = arguments->values[CLIENT_OPTION_TOKEN_FILE];
    const char *token = getenv("BIFURCATE_TOKEN");
    if (path) {
        int code = rest_read_token(path, ret_token, err);
        if (code == ERR_NOT_FOUND)
            code = err->code = ERR_INVALID; /* wrong usage; not that a model is missing */
        return code;
    }
    if (token && token[0] && !(*ret_token = strdup(token)))
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    return 0;
}

static int is_interrupted(void *context)
{
    const struct client_link *link = context;
    if (link->tick)
        link->tick(link->tick_context);
    return client_link_is_interrupted;
}

int client_link_open(const struct client_arguments *arguments, struct client_link **ret_link, struct err *err)
{
    const char *server = arguments->values[CLIENT_OPTION_SERVER];
    const char *ca_file = arguments->values[CLIENT_OPTION_CA_FILE];
    const char *const *values = arguments->values;
    char *token = NULL;
    if (!server)
        server = getenv("BIFURCATE_SERVER");
    if (!server || !server[0])
        server = "http://127.0.0.1:7143";
    struct client_link *link = calloc(1, sizeof *link);
    if (!link)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    link->is_exact = values[CLIENT_OPTION_JSON] || (values[CLIENT_OPTION_CSV] && !isatty(STDOUT_FILENO));
    link->command = arguments->command;
    int code = read_token(arguments, &token, err);
    if (!code) {
        struct rest_options options = {.server = server,
                                       .token = token,
                                       .ca_file = ca_file ? ca_file : getenv("BIFURCATE_CA_FILE"),
                                       .agent = "bifurcate/" BIFURCATED_VERSION,
                                       .is_cancelled = is_interrupted,
                                       .context = link};
        code = rest_open(&options, &link->rest, err);
    }
    free(token);
    if (code) {
        client_link_close(link);
        return code;
    }
    *ret_link = link;
    return 0;
}

void client_link_close(struct client_link *link)
{
    if (!link)
        return;
    rest_close(link->rest);
    free(link);
}

void client_link_set_timeout(struct client_link *link, long timeout_s)
{
    link->timeout_s = timeout_s;
}

const char *client_link_server(const struct client_link *link)
{
    return rest_server(link->rest);
}

/* Whether a member of a request is what an option gives. */
static int is_member_of(const char *member, size_t length, enum client_option option)
{
    const char *name = client_options[option].name;
    if (option == CLIENT_OPTION_REVISION && length == 5 && memcmp(member, "names", 5) == 0)
        return 1;
    size_t i = 0;
    while (i < length && name[i] && (name[i] == member[i] || (name[i] == '-' && member[i] == '_')))
        i++;
    return name[i] == '\0' && (i == length || (i + 1 == length && member[i] == 's')); /* metrics, metric */
}

/* The daemon names the member of a request ("revisions/from: ..."), the user knows the option
 * ("--from: ..."). The innermost one counts. */
static void name_option(const struct client_link *link, struct err *err)
{
    char message[ERR_MESSAGE_BYTES];
    const char *name = NULL;
    size_t size = strspn(err->message, "abcdefghijklmnopqrstuvwxyz_/0123456789"), length = 0;
    for (size_t at = 0; at < size && err->message[size] == ':'; at += length + 1) {
        length = strcspn(err->message + at, "/:");
        for (int i = 0; i < CLIENT_OPTION_COUNT; i++) {
            if (link->command && link->command->options & UINT64_C(1) << i &&
                is_member_of(err->message + at, length, (enum client_option)i))
                name = client_options[i].name;
        }
    }
    if (!name)
        return;
    (void)snprintf(message, sizeof message, "--%s%s", name, err->message + size);
    (void)snprintf(err->message, sizeof err->message, "%s", message);
}

/* After an answer that was no success. A 404 may be about the whole route, and not about what it names. */
static int explain_absence(const struct client_link *link, const struct rest_request *request, int status,
                           const struct buf *answer, int code, struct err *err)
{
    const int problem = rest_problem_code(answer);
    const char *target = request->target;
    if (status == 405 && !problem)
        return err_set(err, ERR_HTTP,
                       "%s refuses %s (status 405), and in words that are not bifurcated's: a proxy may let "
                       "only reads through",
                       client_link_server(link), request->method);
    if (status == 405)
        return err_set(err, ERR_HTTP, "%s has no %s of %.*s: it is a bifurcated of another version",
                       client_link_server(link), request->method, (int)strcspn(target, "?"), target);
    if (code != ERR_NOT_FOUND || (problem && problem != ERR_NO_ROUTE))
        return code;
    return err_set(err, ERR_HTTP,
                   "%s has no %.*s: it is another program, a bifurcated of another version, or one beneath "
                   "another path",
                   client_link_server(link), (int)strcspn(target, "?"), target);
}

int client_link_request(struct client_link *link, const char *method, const char *target, const char *body,
                        const char *key, struct buf *answer, struct err *err)
{
    struct buf line;
    if (json_text_refusals()) /* the body may lack what was asked for */
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    buf_init(&line, LIMIT_URL_BYTES);
    if (key)
        buf_appendf(&line, "Idempotency-Key: %s", key);
    struct rest_request request = {.method = method,
                                   .target = target,
                                   .body = body,
                                   .body_size = body ? strlen(body) : 0,
                                   .header = key ? buf_text(&line) : NULL,
                                   .timeout_s = link->timeout_s};
    int status = 0, code = rest_exchange(link->rest, &request, answer, &status, err);
    buf_free(&line);
    if (code == ERR_INVALID)
        name_option(link, err);
    if (code == ERR_CANCELLED && strcmp(method, "GET") != 0)
        return err_set(err, code,
                       "interrupted before the daemon answered: what was asked for may be done all the same");
    return explain_absence(link, &request, status, answer, code, err);
}

static json_t *load(const struct client_link *link, const char *text, size_t size, json_error_t *fault)
{
    struct err err = ERR_INIT;
    if (json_bound_check(text, size, VALUES_MAX, CONTAINERS_MAX, &err)) {
        (void)snprintf(fault->text, sizeof fault->text, "%.100s", err.message);
        return NULL;
    }
    json_t *document = json_text_load(text, size, JSON_REJECT_DUPLICATES, fault);
    if (document && !link->is_exact)
        client_plain_document(document);
    return document;
}

json_t *client_link_load(const struct client_link *link, const char *text, size_t size)
{
    json_error_t ignored;
    return load(link, text, size, &ignored);
}

int client_link_get(struct client_link *link, const char *target, json_t **ret_json, struct err *err)
{
    struct buf answer;
    json_error_t fault;
    buf_init(&answer, CLIENT_BODY_BYTES_MAX);
    int code = client_link_request(link, "GET", target, NULL, NULL, &answer, err);
    link->taken += answer.size;
    if (!code) {
        *ret_json = load(link, buf_text(&answer), answer.size, &fault);
        if (!*ret_json)
            code =
                err_set(err, ERR_FORMAT, "%s%s: not JSON: %s", client_link_server(link), target, fault.text);
    }
    buf_free(&answer);
    return code;
}

size_t client_link_taken(const struct client_link *link)
{
    return link->taken;
}

/* One line of the stream, as the standard has it: "name: value", or empty at the end of an event. */
static void take_line(struct follower *follower)
{
    const char *line = buf_text(&follower->line);
    if (line[0] == '\0') {
        if (follower->data.size &&
            follower->take(follower->context, follower->event, buf_text(&follower->data)))
            follower->is_over = 1;
        buf_clear(&follower->data);
        follower->event[0] = '\0';
    } else if (strncmp(line, "event: ", 7) == 0) {
        (void)snprintf(follower->event, sizeof follower->event, "%s", line + 7);
    } else if (strncmp(line, "data: ", 6) == 0) {
        buf_append_text(&follower->data, line + 6);
    }
}

static size_t take_stream(char *data, size_t size, size_t count, void *context)
{
    struct follower *follower = context;
    long status = 0;
    (void)curl_easy_getinfo(follower->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 != 2) /* no stream, but what the daemon has to say instead */
        return buf_append(&follower->line, data, size * count) ? 0 : size * count;
    for (size_t i = 0; i < size * count; i++) {
        if (data[i] == '\r')
            continue;
        if (data[i] != '\n') {
            buf_append_char(&follower->line, data[i]);
            continue;
        }
        take_line(follower);
        buf_clear(&follower->line);
        if (follower->is_over)
            return 0;
    }
    return follower->line.failed || follower->data.failed ? 0 : size * count;
}

static int is_stream(CURL *curl)
{
    const char *type = NULL;
    (void)curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    return type && strncmp(type, "text/event-stream", 17) == 0;
}

int client_link_follow(struct client_link *link, const char *target,
                       int (*take)(void *context, const char *event, const char *data),
                       void (*tick)(void *context), void *context, struct err *err)
{
    struct follower follower = {.link = link, .take = take, .context = context};
    struct curl_slist *headers = NULL;
    CURL *curl = NULL;
    int code = rest_prepare(link->rest, target, &curl, &headers, err);
    if (code)
        return code;
    buf_init(&follower.line, EVENT_BYTES_MAX);
    buf_init(&follower.data, EVENT_BYTES_MAX);
    if (rest_add_header(&headers, "Accept: text/event-stream")) {
        curl_slist_free_all(headers);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    /* A living daemon sends at least a comment every 15 s. */
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_stream);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &follower);
    link->tick = tick;
    link->tick_context = context;
    follower.curl = curl;
    CURLcode result = curl_easy_perform(curl);
    link->tick = NULL;
    long status = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    if (follower.is_over)
        code = 0;
    else if (result == 0 && status / 100 != 2)
        code = explain_absence(link, &(struct rest_request){.method = "GET", .target = target}, 0,
                               &follower.line,
                               rest_answer_error(link->rest, target, status, &follower.line, err), err);
    else if (result == 0 && !is_stream(curl))
        code = err_set(err, ERR_HTTP, "%s%s: not a stream of events; is it a bifurcated?",
                       client_link_server(link), target);
    else if (result == 0)
        code = err_set(err, ERR_NETWORK, "%s: the stream of events broke off", client_link_server(link));
    else
        code = rest_network_error(link->rest, result, err);
    buf_free(&follower.line);
    buf_free(&follower.data);
    return code;
}

void client_link_encode(struct buf *buf, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x80 && (isalnum(c) || strchr("-._~", c)))
            buf_append_char(buf, (char)c);
        else
            buf_appendf(buf, "%%%02X", c);
    }
}

void client_link_append(struct buf *target, const char *name, const char *value)
{
    if (!value)
        return;
    buf_appendf(target, "%c%s=", strchr(buf_text(target), '?') ? '&' : '?', name);
    client_link_encode(target, value);
}
