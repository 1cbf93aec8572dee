#include "api/http/request.h"

#include "api/form/number.h"
#include "api/http/answer.h"
#include "api/http/state.h"
#include "daemon/base/clock.h"
#include "daemon/base/limits.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ID_DIGITS 32
#define SMALL_BODIES 16 /* a body of at most that part of the usual bound is not counted */

const char *api_request_header(const struct api_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

int api_request_is_read(const struct api_request *request)
{
    return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
}

/* The server's random number and how many requests there were before: unique, and without a system call. */
static void make_id(struct api_http *http, char id[API_REQUEST_ID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t parts[2] = {http->id_prefix, atomic_fetch_add(&http->id_next, 1)};
    for (int i = 0; i < ID_DIGITS; i++)
        id[i] = digits[parts[i / 16] >> (60 - 4 * (i % 16)) & 15];
    id[ID_DIGITS] = '\0';
}

const char *api_request_id(struct api_request *request)
{
    if (!request->id[0])
        make_id(request->http, request->id);
    return request->id;
}

struct api_request *api_request_new(struct api_http *http, const char *target)
{
    size_t size = strlen(target);
    struct api_request *request = malloc(sizeof *request + size + 1);
    if (!request)
        return NULL;
    *request = (struct api_request){.http = http,
                                    .context = http->context,
                                    .started_s = clock_monotonic_s(),
                                    .target_size = size,
                                    .body_max = http->options.body_bytes_max};
    request->target = memcpy(request + 1, target, size + 1);
    buf_init(&request->body, request->body_max);
    return request;
}

int api_request_parse(struct api_request *request, struct api_response *response, struct err *err)
{
    if (request->is_parsed)
        return 0;
    int code = api_uri_parse(request->target, &request->uri, err);
    const char *faulty = request->uri.faulty;
    if (code) {
        response->problem_in = faulty ? "query" : "path";
        (void)snprintf(response->problem_field, sizeof response->problem_field, "%s", faulty ? faulty : "");
        api_uri_free(&request->uri);
    }
    request->is_parsed = !code;
    return code;
}

static atomic_size_t *bodies_of(struct api_request *request, size_t *ret_max)
{
    struct api_http *http = request->http;
    const int is_larger = request->body_max > http->options.body_bytes_max;
    *ret_max = is_larger ? http->options.larger_bodies_bytes_max : http->options.bodies_bytes_max;
    return &http->body_bytes[is_larger];
}

static void drop_body(struct api_request *request)
{
    size_t max;
    buf_free(&request->body);
    atomic_fetch_sub(bodies_of(request, &max), request->body_held);
    request->body_held = 0;
}

void api_request_add_body(struct api_request *request, const char *data, size_t size)
{
    size_t max;
    atomic_size_t *bodies = bodies_of(request, &max);
    if (request->is_crowded)
        return;
    size_t all = request->body.size + size;
    if (all > request->http->options.body_bytes_max / SMALL_BODIES) {
        size_t more = all - request->body_held;
        request->body_held = all;
        request->is_crowded = atomic_fetch_add(bodies, more) + more > max;
    }
    if (request->is_crowded)
        drop_body(request);
    else
        buf_append(&request->body, data, size);
}

void api_request_free(struct api_request *request)
{
    if (!request)
        return;
    api_answer_release(request->answer);
    api_uri_free(&request->uri);
    for (int i = 0; i < API_LIST_COUNT; i++)
        buf_free(&request->joined[i]);
    drop_body(request);
    free(request);
}

int api_request_integer(const struct api_request *request, const char *name, int64_t min, int64_t max,
                        int64_t *value, struct api_response *response, struct err *err)
{
    const char *text = api_uri_find(&request->uri, name);
    if (!text || api_number_parse(text, min, max, value))
        return 0;
    return api_response_refuse(response, "query", name, err, ERR_INVALID,
                               "%s: not an integer from %lld to %lld", name, (long long)min, (long long)max);
}

int api_request_boolean(const struct api_request *request, const char *name, int *value,
                        struct api_response *response, struct err *err)
{
    const char *text = api_uri_find(&request->uri, name);
    if (!text)
        return 0;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return api_response_refuse(response, "query", name, err, ERR_INVALID, "%s: neither true nor false",
                                   name);
    *value = strcmp(text, "true") == 0;
    return 0;
}

void api_response_init(struct api_response *response, size_t body_max)
{
    *response =
        (struct api_response){.status = 200, .content_type = "application/json", .cache_control = "no-cache"};
    buf_init(&response->body, body_max);
    buf_init(&response->link, 2 * LIMIT_URL_BYTES);
}

void api_response_done(struct api_response *response)
{
    buf_free(&response->body);
    buf_free(&response->link);
    if (response->stream)
        MHD_destroy_response(response->stream);
    response->stream = NULL;
}

int api_response_refuse(struct api_response *response, const char *in, const char *field, struct err *err,
                        enum err_code code, const char *format, ...)
{
    response->problem_in = in;
    (void)snprintf(response->problem_field, sizeof response->problem_field, "%s", field);
    char message[ERR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return err_set(err, code, "%s", message);
}

int api_response_name_body(struct api_response *response, int code, const char *pointer)
{
    if (code != ERR_INVALID && code != ERR_FORMAT)
        return code;
    response->problem_in = "body";
    (void)snprintf(response->problem_field, sizeof response->problem_field, "%s", pointer);
    return code;
}

int api_response_name_member(struct api_response *response, int code, const struct err *err)
{
    char pointer[API_FIELD_SIZE] = "";
    size_t length = strcspn(err->message, ":");
    if (code == ERR_INVALID && strncmp(err->message, "body:", 5) != 0)
        (void)snprintf(pointer, sizeof pointer, "/%.*s", (int)length, err->message);
    return api_response_name_body(response, code, pointer);
}
