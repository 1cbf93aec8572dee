#include "api/client/link.h"

#include "daemon/base/file.h"
#include "daemon/base/limits.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_S 10L
#define ANSWER_TIMEOUT_S 300L
#define TOKEN_BYTES_MAX 4096
#define EVENT_BYTES_MAX (8 * MIB)

volatile sig_atomic_t client_link_is_interrupted;

struct client_link {
    char *server;
    char *token; /* or NULL */
    CURL *curl;
};

/* A stream of events while it is read. */
struct follower {
    struct client_link *link;
    struct buf line;
    struct buf data;
    char event[32];
    int (*take)(void *context, const char *event, const char *data);
    void *context;
    int is_over; /* take() said so */
};

static int read_token(const struct client_arguments *arguments, char **ret_token, struct err *err)
{
    const char *path = arguments->values[CLIENT_OPTION_TOKEN_FILE];
    const char *token = getenv("BIFURCATE_TOKEN");
    struct buf text;
    buf_init(&text, TOKEN_BYTES_MAX);
    int code = 0;
    if (path)
        code = file_read(path, &text, err);
    else if (token && token[0])
        buf_append_text(&text, token);
    if (!code)
        code = buf_check(&text, "token", err);
    while (text.size && isspace((unsigned char)text.data[text.size - 1]))
        text.data[--text.size] = '\0';
    if (!code && text.size)
        *ret_token = buf_take(&text);
    buf_free(&text);
    return code;
}

int client_link_open(const struct client_arguments *arguments, struct client_link **ret_link, struct err *err)
{
    const char *server = arguments->values[CLIENT_OPTION_SERVER];
    if (!server)
        server = getenv("BIFURCATE_SERVER");
    if (!server || !server[0])
        server = "http://127.0.0.1:7143";
    if (strncmp(server, "http://", 7) != 0 && strncmp(server, "https://", 8) != 0)
        return err_set(err, ERR_INVALID, "server %.200s: must begin with http:// or https://", server);
    struct client_link *link = calloc(1, sizeof *link);
    if (!link)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int code = read_token(arguments, &link->token, err);
    link->server = strdup(server);
    link->curl = curl_easy_init();
    if (!code && (!link->server || !link->curl))
        code = err_set(err, ERR_NO_MEMORY, "out of memory");
    if (code) {
        client_link_close(link);
        return code;
    }
    size_t length = strlen(link->server);
    while (length && link->server[length - 1] == '/')
        link->server[--length] = '\0';
    *ret_link = link;
    return 0;
}

void client_link_close(struct client_link *link)
{
    if (!link)
        return;
    curl_easy_cleanup(link->curl);
    free(link->server);
    free(link->token);
    free(link);
}

const char *client_link_server(const struct client_link *link)
{
    return link->server;
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    return buf_append(context, data, size * count) ? 0 : size * count;
}

static int check_interrupt(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)context;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return client_link_is_interrupted;
}

/* A proxy of the environment is for other machines. */
static int is_local(const char *server)
{
    const char *host = strstr(server, "://") + 3;
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

static int prepare(struct client_link *link, const char *target, struct curl_slist **headers, struct err *err)
{
    struct buf url;
    buf_init(&url, 2 * LIMIT_URL_BYTES);
    buf_appendf(&url, "%s%s", link->server, target);
    int code = buf_check(&url, "URL", err);
    if (code) {
        buf_free(&url);
        return code;
    }
    curl_easy_reset(link->curl);
    (void)curl_easy_setopt(link->curl, CURLOPT_URL, buf_text(&url));
    buf_free(&url);
    (void)curl_easy_setopt(link->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(link->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    (void)curl_easy_setopt(link->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(link->curl, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(link->curl, CURLOPT_XFERINFOFUNCTION, check_interrupt);
    (void)curl_easy_setopt(link->curl, CURLOPT_USERAGENT, "bifurcate/" BIFURCATED_VERSION);
    if (is_local(link->server))
        (void)curl_easy_setopt(link->curl, CURLOPT_NOPROXY, "*");
    if (link->token) {
        struct buf line;
        buf_init(&line, TOKEN_BYTES_MAX + 64);
        buf_appendf(&line, "Authorization: Bearer %s", link->token);
        *headers = curl_slist_append(*headers, buf_text(&line));
        buf_free(&line);
    }
    return 0;
}

static int network_error(const struct client_link *link, CURLcode code, struct err *err)
{
    if (client_link_is_interrupted)
        return err_set(err, ERR_CANCELLED, "interrupted");
    if (code == CURLE_WRITE_ERROR)
        return err_set(err, ERR_LIMIT, "%s: the answer is too large", link->server);
    if (code == CURLE_URL_MALFORMAT)
        return err_set(err, ERR_INVALID, "server %.200s: not a URL", link->server);
    return err_set(err, ERR_NETWORK, "no daemon answers at %s: %s", link->server, curl_easy_strerror(code));
}

/* The detail of a problem, or the status alone. */
static int problem_error(long status, const struct buf *answer, struct err *err)
{
    enum err_code code = ERR_HTTP;
    if (status == 404)
        code = ERR_NOT_FOUND;
    else if (status == 400 || status == 413 || status == 415)
        code = ERR_INVALID;
    else if (status == 401 || status == 403)
        code = ERR_UNAUTHORIZED;
    else if (status == 409)
        code = ERR_CONFLICT;
    json_t *problem = json_loadb(buf_text(answer), answer->size, 0, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    if (detail)
        err_set(err, code, "%s", detail);
    else
        err_set(err, code, "the daemon answered with status %ld", status);
    json_decref(problem);
    return code;
}

int client_link_request(struct client_link *link, const char *method, const char *target, const char *body,
                        const char *key, struct buf *answer, struct err *err)
{
    struct curl_slist *headers = NULL;
    int code = prepare(link, target, &headers, err);
    if (code)
        return code;
    (void)curl_easy_setopt(link->curl, CURLOPT_CUSTOMREQUEST, method);
    (void)curl_easy_setopt(link->curl, CURLOPT_TIMEOUT, ANSWER_TIMEOUT_S);
    (void)curl_easy_setopt(link->curl, CURLOPT_ACCEPT_ENCODING, "");
    (void)curl_easy_setopt(link->curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(link->curl, CURLOPT_WRITEDATA, answer);
    if (body) {
        headers = curl_slist_append(headers, "Content-Type: application/json");
        (void)curl_easy_setopt(link->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        (void)curl_easy_setopt(link->curl, CURLOPT_POSTFIELDS, body);
    }
    if (key) {
        struct buf line;
        buf_init(&line, LIMIT_URL_BYTES);
        buf_appendf(&line, "Idempotency-Key: %s", key);
        headers = curl_slist_append(headers, buf_text(&line));
        buf_free(&line);
    }
    (void)curl_easy_setopt(link->curl, CURLOPT_HTTPHEADER, headers);
    CURLcode result = curl_easy_perform(link->curl);
    long status = 0;
    (void)curl_easy_getinfo(link->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    if (result)
        return network_error(link, result, err);
    return status / 100 == 2 ? 0 : problem_error(status, answer, err);
}

int client_link_get(struct client_link *link, const char *target, json_t **ret_json, struct err *err)
{
    struct buf answer;
    json_error_t fault;
    buf_init(&answer, CLIENT_BODY_BYTES_MAX);
    int code = client_link_request(link, "GET", target, NULL, NULL, &answer, err);
    if (!code) {
        *ret_json = json_loadb(buf_text(&answer), answer.size, JSON_REJECT_DUPLICATES, &fault);
        if (!*ret_json)
            code = err_set(err, ERR_FORMAT, "%s%s: not JSON: %s", link->server, target, fault.text);
    }
    buf_free(&answer);
    return code;
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

int client_link_follow(struct client_link *link, const char *target,
                       int (*take)(void *context, const char *event, const char *data), void *context,
                       struct err *err)
{
    struct follower follower = {.link = link, .take = take, .context = context};
    struct curl_slist *headers = NULL;
    int code = prepare(link, target, &headers, err);
    if (code)
        return code;
    buf_init(&follower.line, EVENT_BYTES_MAX);
    buf_init(&follower.data, EVENT_BYTES_MAX);
    headers = curl_slist_append(headers, "Accept: text/event-stream");
    (void)curl_easy_setopt(link->curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(link->curl, CURLOPT_FAILONERROR, 1L);
    /* A living daemon sends at least a comment every 15 s. */
    (void)curl_easy_setopt(link->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(link->curl, CURLOPT_LOW_SPEED_TIME, 60L);
    (void)curl_easy_setopt(link->curl, CURLOPT_WRITEFUNCTION, take_stream);
    (void)curl_easy_setopt(link->curl, CURLOPT_WRITEDATA, &follower);
    CURLcode result = curl_easy_perform(link->curl);
    long status = 0;
    (void)curl_easy_getinfo(link->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    struct buf nothing;
    buf_init(&nothing, 1);
    if (follower.is_over)
        code = 0;
    else if (result == CURLE_HTTP_RETURNED_ERROR && status == 404)
        code = problem_error(status, &nothing, err);
    else if (result == 0)
        code = err_set(err, ERR_NETWORK, "%s: the stream of events broke off", link->server);
    else
        code = network_error(link, result, err);
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

int client_link_model_name(const char *model, struct buf *name, struct err *err)
{
    if (model[0] == '/' || model[0] == '.') {
        char *path = realpath(model, NULL);
        if (!path)
            return err_set_errno(err, errno, "folder %.200s", model);
        buf_appendf(name, "file:%s", path);
        free(path);
    } else {
        buf_append_text(name, model);
    }
    return buf_check(name, "model", err);
}

int client_link_model(struct buf *buf, const char *model, struct err *err)
{
    struct buf name;
    buf_init(&name, LIMIT_MODEL_NAME_BYTES);
    int code = client_link_model_name(model, &name, err);
    const char *text = buf_text(&name);
    const char *slash = strchr(text, '/');
    if (!code && !slash)
        code = err_set(err, ERR_INVALID, "model %.200s: write owner/name, or file:/path for a folder", model);
    if (!code) {
        buf_append_text(buf, "/v1/models/");
        if (strncmp(text, "file:", 5) == 0) {
            buf_append_text(buf, "file/");
            client_link_encode(buf, text + 5);
        } else {
            name.data[slash - text] = '\0';
            client_link_encode(buf, text);
            buf_append_char(buf, '/');
            client_link_encode(buf, slash + 1);
        }
        code = buf_check(buf, "model", err);
    }
    buf_free(&name);
    return code;
}
