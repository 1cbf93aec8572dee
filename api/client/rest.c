#include "api/client/rest.h"

#include "daemon/base/file.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/base/url.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_S 10L
#define ANSWER_TIMEOUT_S 300L

struct rest {
    char *server;
    char *token, *token_path, *ca_file, *agent; /* or NULL */
    int (*is_cancelled)(void *context);
    void *context;
    CURL *curl;
    int is_local; /* the server is this machine */
};

static int copy(const char *text, char **ret_copy)
{
    if (!text || !text[0])
        return 1;
    *ret_copy = strdup(text);
    return *ret_copy != NULL;
}

/* What else it holds, a line end above all, would make other headers of it. */
static int check_token(const char *token, struct err *err)
{
    size_t size = token ? strlen(token) : 0;
    if (size > REST_TOKEN_BYTES_MAX)
        return err_set(err, ERR_INVALID, "the token is longer than %d bytes: check its file or variable",
                       REST_TOKEN_BYTES_MAX);
    for (size_t i = 0; i < size; i++) {
        if (token[i] <= 0x20 || token[i] == 0x7f)
            return err_set(
                err, ERR_INVALID,
                "the token has a character that no token can have: check its file or variable, which "
                "holds the token alone");
    }
    return 0;
}

/* Whether the server is this machine, as curl reads its address: 1 or 0, -1 without memory. */
static int is_local(const char *server)
{
    char *host = NULL;
    CURLU *url = curl_url();
    CURLUcode code = url ? curl_url_set(url, CURLUPART_URL, server, 0) : CURLUE_OUT_OF_MEMORY;
    if (!code)
        code = curl_url_get(url, CURLUPART_HOST, &host, 0);
    int result = code == CURLUE_OUT_OF_MEMORY ? -1 : 0;
    if (!code) {
        size_t length = strlen(host);
        if (host[0] == '[' && host[length - 1] == ']') {
            memmove(host, host + 1, length - 1);
            host[length - 2] = '\0';
        }
        result = url_host_is_local(host);
    }
    curl_free(host);
    curl_url_cleanup(url);
    return result;
}

int rest_open(const struct rest_options *options, struct rest **ret_rest, struct err *err)
{
    const char *server = options->server;
    if (check_token(options->token, err))
        return err->code;
    if (strncmp(server, "http://", 7) != 0 && strncmp(server, "https://", 8) != 0)
        return err_set(err, ERR_INVALID, "server %.200s: must begin with http:// or https://", server);
    struct rest *rest = calloc(1, sizeof *rest);
    if (!rest)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    rest->is_cancelled = options->is_cancelled;
    rest->context = options->context;
    rest->curl = curl_easy_init();
    rest->server = strdup(server);
    rest->is_local = is_local(server);
    if (!rest->curl || !rest->server || rest->is_local < 0 || !copy(options->token, &rest->token) ||
        !copy(options->token_path, &rest->token_path) || !copy(options->ca_file, &rest->ca_file) ||
        !copy(options->agent, &rest->agent)) {
        rest_close(rest);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    size_t length = strlen(rest->server);
    while (length && rest->server[length - 1] == '/')
        rest->server[--length] = '\0';
    *ret_rest = rest;
    return 0;
}

void rest_close(struct rest *rest)
{
    if (!rest)
        return;
    curl_easy_cleanup(rest->curl);
    free(rest->server);
    free(rest->token);
    free(rest->token_path);
    free(rest->ca_file);
    free(rest->agent);
    free(rest);
}

const char *rest_server(const struct rest *rest)
{
    return rest->server;
}

int rest_read_token(const char *path, char **ret_token, struct err *err)
{
    struct buf text;
    buf_init(&text, REST_TOKEN_BYTES_MAX);
    *ret_token = NULL;
    int code = file_read_any(path, &text, err);
    while (text.size && isspace((unsigned char)text.data[text.size - 1]))
        text.data[--text.size] = '\0';
    if (!code && !text.size)
        code = err_set(err, ERR_INVALID, "%s: holds no token", path);
    if (!code)
        *ret_token = buf_take(&text);
    buf_free(&text);
    return code ? err_wrap(err, "token-file") : 0;
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    return buf_append(context, data, size * count) ? 0 : size * count;
}

static int check_cancelled(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct rest *rest = context;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return rest->is_cancelled && rest->is_cancelled(rest->context);
}

int rest_add_header(struct curl_slist **headers, const char *line)
{
    struct curl_slist *grown = curl_slist_append(*headers, line);
    if (grown)
        *headers = grown;
    return grown ? 0 : -1;
}

static int add_token(const struct rest *rest, struct curl_slist **headers)
{
    struct buf line;
    if (!rest->token)
        return 0;
    buf_init(&line, REST_TOKEN_BYTES_MAX + 64);
    (void)buf_appendf(&line, "Authorization: Bearer %s", rest->token);
    int failed = line.failed || rest_add_header(headers, buf_text(&line));
    buf_free(&line);
    return failed;
}

int rest_prepare(struct rest *rest, const char *target, CURL **ret_curl, struct curl_slist **ret_headers,
                 struct err *err)
{
    CURL *curl = rest->curl;
    struct buf url;
    buf_init(&url, 2 * LIMIT_URL_BYTES);
    buf_appendf(&url, "%s%s", rest->server, target);
    int code = buf_check(&url, "URL", err);
    if (code) {
        buf_free(&url);
        return code;
    }
    curl_easy_reset(curl);
    (void)curl_easy_setopt(curl, CURLOPT_URL, buf_text(&url));
    buf_free(&url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, check_cancelled);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, rest);
    if (rest->agent)
        (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, rest->agent);
    if (rest->ca_file)
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, rest->ca_file);
    if (rest->is_local) /* a proxy of the environment is for other machines */
        (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    if (add_token(rest, ret_headers))
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    *ret_curl = curl;
    return 0;
}

/* Whether it may have failed because https was asked of what speaks http, or the other way round. */
static int is_other_scheme(const struct rest *rest, int is_https, CURLcode code)
{
    long status = 0;
    (void)curl_easy_getinfo(rest->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status) /* an answer that broke off */
        return 0;
    if (is_https)
        return code == CURLE_SSL_CONNECT_ERROR;
    return code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_WEIRD_SERVER_REPLY ||
           code == CURLE_UNSUPPORTED_PROTOCOL; /* a TLS alert, which passes for HTTP/0.9 */
}

int rest_network_error(const struct rest *rest, CURLcode code, struct err *err)
{
    const int is_https = strncmp(rest->server, "https://", 8) == 0;
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return err_set(err, ERR_CANCELLED, "interrupted");
    if (code == CURLE_WRITE_ERROR)
        return err_set(err, ERR_LIMIT, "%s: the answer is too large", rest->server);
    if (code == CURLE_URL_MALFORMAT)
        return err_set(err, ERR_INVALID, "server %.200s: not a URL", rest->server);
    if (code == CURLE_SSL_CACERT_BADFILE)
        return err_set(err, ERR_INVALID, "%.200s: no certificates can be read there", rest->ca_file);
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return err_set(err, ERR_NETWORK,
                       "%s: its certificate is not trusted: %s; if it is your own, name its file with "
                       "--ca-file (a worker: --connect-ca-file)",
                       rest->server, curl_easy_strerror(code));
    if (is_other_scheme(rest, is_https, code))
        return err_set(err, ERR_NETWORK, "no daemon answers over %s at %s: %s; if it %s, write %s://%s",
                       is_https ? "TLS" : "plain HTTP", rest->server, curl_easy_strerror(code),
                       is_https ? "has no certificate" : "speaks TLS", is_https ? "http" : "https",
                       strstr(rest->server, "://") + 3);
    return err_set(err, ERR_NETWORK, "no daemon answers at %s: %s", rest->server, curl_easy_strerror(code));
}

/* What nginx, Apache and Go's servers say to HTTP at their port for TLS, each with other words. */
static int says_https(const struct buf *answer)
{
    static const char *const words[] = {"HTTPS port", "HTTPS server", "SSL-enabled server port"};
    int found = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        found = found || memmem(buf_text(answer), answer->size, words[i], strlen(words[i]));
    return found;
}

int rest_problem_code(const struct buf *answer)
{
    json_t *problem = json_text_load(buf_text(answer), answer->size, 0, NULL);
    const char *name = json_string_value(json_object_get(problem, "code"));
    int code = name ? err_code_of(name) : 0;
    json_decref(problem);
    return code;
}

/* The daemon's own words of what went wrong; else that it may not be the daemon who answered. */
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
    else if (status == 429)
        code = ERR_RATE_LIMITED;
    json_t *problem = json_text_load(buf_text(answer), answer->size, 0, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *field = json_string_value(json_object_get(problem, "field"));
    if (detail && code == ERR_NOT_FOUND)
        err_set_absent(err, field ? err_absent_of(field) : ERR_ABSENT_OTHER, "%s", detail);
    else if (detail)
        err_set(err, code, "%s", detail);
    else
        err_set(err, code, "status %ld without a reason: is it a bifurcated that answers there?", status);
    json_decref(problem);
    return code;
}

/* A proxy that sends every request on, to https above all: the address of what it sends to, without what was
 * asked for. */
static int redirect_error(const struct rest *rest, const char *place, const char *target, struct err *err)
{
    size_t length = strlen(place), tail = strlen(target);
    if (length > tail && strcmp(place + length - tail, target) == 0)
        length -= tail;
    return err_set(err, ERR_INVALID,
                   "%s: it redirects to %.*s: if the daemon is there, name that as the server", rest->server,
                   (int)(length < 300 ? length : 300), place);
}

int rest_answer_error(const struct rest *rest, const char *target, long status, const struct buf *answer,
                      struct err *err)
{
    const char *place = NULL;
    if (rest_problem_code(answer)) /* a daemon may repeat what it was sent */
        return problem_error(status, answer, err);
    if (status == 400 && strncmp(rest->server, "http://", 7) == 0 && says_https(answer))
        return err_set(err, ERR_INVALID, "%s: TLS is spoken there: write https://%s", rest->server,
                       rest->server + 7);
    if (status >= 502 && status <= 504)
        return err_set(err, ERR_NETWORK, "%s: a proxy answers, but no daemon behind it (status %ld)",
                       rest->server, status);
    if (!curl_easy_getinfo(rest->curl, CURLINFO_REDIRECT_URL, &place) && place)
        return redirect_error(rest, place, target, err);
    return problem_error(status, answer, err);
}

/* Whether the token's file holds another one than was refused, which counts from now on. */
static int renew_token(struct rest *rest)
{
    struct err ignored = ERR_INIT;
    char *token = NULL;
    if (!rest->token_path || rest_read_token(rest->token_path, &token, &ignored))
        return 0;
    if (check_token(token, &ignored) || (rest->token && strcmp(token, rest->token) == 0)) {
        free(token);
        return 0;
    }
    free(rest->token);
    rest->token = token;
    return 1;
}

static int exchange_once(struct rest *rest, const struct rest_request *request, struct buf *answer,
                         int *ret_status, struct err *err)
{
    struct curl_slist *headers = NULL;
    CURL *curl = NULL;
    long status = 0;
    int failed = 0;
    int code = rest_prepare(rest, request->target, &curl, &headers, err);
    if (code)
        return code;
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, request->timeout_s ? request->timeout_s : ANSWER_TIMEOUT_S);
    (void)curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (request->body) {
        struct buf line;
        buf_init(&line, LIMIT_URL_BYTES);
        (void)buf_appendf(&line, "Content-Type: %s", request->type ? request->type : "application/json");
        failed = line.failed || rest_add_header(&headers, buf_text(&line));
        buf_free(&line);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
    }
    if (failed || (request->header && rest_add_header(&headers, request->header))) {
        curl_slist_free_all(headers);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    CURLcode result = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    if (result)
        return rest_network_error(rest, result, err);
    *ret_status = (int)status;
    return status / 100 == 2 ? 0 : rest_answer_error(rest, request->target, status, answer, err);
}

int rest_exchange(struct rest *rest, const struct rest_request *request, struct buf *answer, int *ret_status,
                  struct err *err)
{
    const size_t size = answer->size;
    int status = 0, code = exchange_once(rest, request, answer, &status, err);
    if (code == ERR_UNAUTHORIZED && status && renew_token(rest)) {
        answer->size = size;
        if (answer->data)
            answer->data[size] = 0;
        *err = (struct err)ERR_INIT;
        status = 0;
        code = exchange_once(rest, request, answer, &status, err);
    }
    if (ret_status)
        *ret_status = status;
    return code;
}
