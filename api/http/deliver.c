#include "api/http/deliver.h"

#include "api/http/access.h"
#include "api/http/answer.h"
#include "api/http/cors.h"
#include "api/http/etag.h"
#include "api/http/problem.h"
#include "api/http/route.h"
#include "api/http/state.h"
#include "daemon/base/limits.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Below this, coding costs more than it saves. */
#define CODED_BYTES_MIN 1024
/* Smaller answers are bounded by the number of connections. */
#define HELD_BYTES_MIN (64 * KIB)
#define FITTED_BYTES_MAX (256 * KIB) /* larger ones become files (api/http/answer.c) */
#define KEY_SIZE (API_ETAG_SIZE + 2)
#define FIXED_VARY "Accept-Encoding"

static int has_text(const char *text)
{
    return text && text[0];
}

static enum api_encoding encoding_of(const struct api_request *request)
{
    return api_encoding_choose(request->headers.accept_encoding);
}

/* What is left of whose bucket, as the draft of the IETF's httpapi group has it. */
static void add_limit(const struct api_limit *limit, const char *whose, struct MHD_Response *response)
{
    char text[96];
    (void)snprintf(text, sizeof text, "\"%s\";q=%" PRId64 ";w=%" PRId64, whose, limit->burst,
                   limit->window_s);
    api_answer_add_header(response, "RateLimit-Policy", text);
    (void)snprintf(text, sizeof text, "\"%s\";r=%" PRId64 ";t=%" PRId64, whose, limit->remaining,
                   limit->reset_s);
    api_answer_add_header(response, "RateLimit", text);
}

/* Whether the answer must say anything that belongs to this request alone. The id does where the client gave
 * it or the access log keeps it: without either nobody could look it up. */
static int is_personal(const struct api_request *request)
{
    const struct api_http *http = request->http;
    return api_http_keeps_access(http) || request->has_own_id || request->limit.burst ||
           request->must_close || has_text(http->options.cors_origin) || atomic_load(&http->is_draining);
}

static void add_personal(struct api_request *request, struct MHD_Response *response)
{
    const struct api_http *http = request->http;
    api_answer_add_header(response, "X-Request-Id", api_request_id(request));
    api_cors_add(request, response);
    if (request->limit.burst)
        add_limit(&request->limit, request->identity.name[0] ? "token" : "address", response);
    if (request->must_close || atomic_load(&http->is_draining))
        api_answer_add_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

static enum MHD_Result queue_shared(struct api_request *request, struct MHD_Response *response, int status,
                                    uint64_t size)
{
    request->status = status;
    request->answer_bytes = strcmp(request->method, "HEAD") == 0 ? 0 : size;
    return MHD_queue_response(request->connection, (unsigned)status, response);
}

/* Takes over the response. */
static enum MHD_Result queue(struct api_request *request, struct MHD_Response *response, int status,
                             uint64_t size)
{
    add_personal(request, response);
    enum MHD_Result result = queue_shared(request, response, status, size);
    MHD_destroy_response(response);
    return result;
}

/* Headers that only answers made just now have. */
static void add_fresh(const struct api_request *request, const struct api_response *fresh,
                      struct MHD_Response *response)
{
    char seconds[24] = "5";
    if (fresh->retry_after_s)
        (void)snprintf(seconds, sizeof seconds, "%" PRId64, fresh->retry_after_s);
    api_answer_add_header(response, MHD_HTTP_HEADER_LOCATION, fresh->location);
    api_answer_add_header(response, MHD_HTTP_HEADER_ALLOW, fresh->allow);
    api_answer_add_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, fresh->challenge);
    if (fresh->status == MHD_HTTP_TOO_MANY_REQUESTS || fresh->status == MHD_HTTP_SERVICE_UNAVAILABLE)
        api_answer_add_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    if (strcmp(request->method, "OPTIONS") == 0 && fresh->allow[0])
        api_cors_add_preflight(request, fresh->allow, response);
}

/* Takes over one reference to the answer; `fresh` is NULL for a kept one. */
static enum MHD_Result queue_answer(struct api_request *request, struct api_answer *answer,
                                    const struct api_response *fresh)
{
    enum MHD_Result result = MHD_NO;
    if (!fresh && answer->shared && !is_personal(request)) {
        result = queue_shared(request, answer->shared, answer->status, answer->size);
    } else {
        struct MHD_Response *response = api_answer_respond(answer);
        if (response && fresh)
            add_fresh(request, fresh, response);
        if (response)
            result = queue(request, response, answer->status, answer->size);
    }
    request->answer = answer;
    return result;
}

static enum MHD_Result queue_not_modified(struct api_request *request, const char *sent,
                                          const char *cache_control, const char *vary)
{
    struct MHD_Response *response = api_answer_not_modified(sent, cache_control, vary);
    return response ? queue(request, response, MHD_HTTP_NOT_MODIFIED, 0) : MHD_NO;
}

/* "ETAG CODING" */
static void format_key(char key[KEY_SIZE], const char *etag, enum api_encoding encoding)
{
    size_t length = strnlen(etag, API_ETAG_SIZE - 1);
    memcpy(key, etag, length);
    key[length] = ' ';
    key[length + 1] = (char)('0' + encoding);
    key[length + 2] = '\0';
}

int api_deliver_kept(struct api_request *request, const char *etag, enum MHD_Result *ret_result)
{
    char key[KEY_SIZE];
    enum api_encoding encoding = encoding_of(request);
    char sent[API_ETAG_SENT_SIZE];
    int is_known = api_etag_is_known(request, etag, sent);
    format_key(key, etag, encoding);
    struct api_answer *answer = api_cache_get(request->http->cache, key);
    if (!answer && (!is_known || !sent[0]))
        return 0;
    request->is_cached = 1;
    if (!is_known) {
        *ret_result = queue_answer(request, answer, NULL);
        return 1;
    }
    int is_same = answer && answer->etag && (!sent[0] || strcmp(sent, answer->etag) == 0);
    if (is_same && answer->is_known && !is_personal(request))
        *ret_result = queue_shared(request, answer->is_known, MHD_HTTP_NOT_MODIFIED, 0);
    else
        *ret_result = queue_not_modified(request, is_same ? answer->etag : sent, "no-cache", API_ANSWER_VARY);
    api_answer_release(answer);
    return 1;
}

/* What a buffer holds, without the room that it had to grow (a coded body had room for all of the plain
 * text). What is kept gets a block of its own: cut down, the large one would stay where it is, and answers
 * that come and go for months would lie ever farther apart. */
static char *fit_of(struct buf *body, int is_kept)
{
    size_t size = body->size;
    char *own = is_kept && !body->failed ? malloc(size + 1) : NULL;
    if (own) {
        memcpy(own, buf_text(body), size);
        own[size] = '\0';
        buf_free(body);
        return own;
    }
    char *data = buf_take(body), *tight = data ? realloc(data, size + 1) : NULL;
    return tight ? tight : data;
}

/* Moves the response's body, coded as the client likes it, and its link into an answer; NULL without memory.
 */
static struct api_answer *answer_of(struct api_response *response, enum api_encoding encoding, int is_kept)
{
    struct api_answer *answer = api_answer_new(response->status);
    if (!answer)
        return NULL;
    answer->content_type = response->content_type;
    answer->cache_control = response->cache_control;
    answer->varies = response->status == MHD_HTTP_OK;
    answer->link = response->link.size ? strdup(response->link.data) : NULL;
    if (response->link.size && !answer->link) { /* without it a page would pass for the last one */
        api_answer_release(answer);
        return NULL;
    }
    if (response->body.size < CODED_BYTES_MIN)
        encoding = API_ENCODING_IDENTITY;
    struct buf coded;
    struct err err = ERR_INIT;
    buf_init(&coded, response->body.size + response->body.size / 8 + 64 * KIB);
    if (encoding && api_encode(encoding, is_kept, response->body.data, response->body.size, &coded, &err) < 0)
        encoding = API_ENCODING_IDENTITY;
    struct buf *body = encoding ? &coded : &response->body;
    answer->encoding = encoding;
    answer->size = body->size;
    answer->data = fit_of(body, is_kept && body->size < FITTED_BYTES_MAX);
    buf_free(&coded);
    if (has_text(response->etag)) {
        char etag[API_ETAG_SENT_SIZE];
        api_etag_format(etag, response->etag, encoding);
        answer->etag = strdup(etag);
    }
    return answer;
}

/* A client that does not read keeps an answer for the time of one; many of them must not take the machine's
 * memory. What a write answers is small, or a task that was claimed and must be told. */
int api_deliver_check_room(const struct api_request *request, size_t size, size_t before, struct err *err)
{
    struct api_http *http = request->http;
    const struct api_http_options *options = &http->options;
    if (size < HELD_BYTES_MIN || !api_request_is_read(request))
        return 0;
    if (before + size > options->answer_bytes_max + options->cache_bytes_max) {
        if (size > options->answer_bytes_max) /* though nobody else read slowly */
            return err_set(
                err, ERR_NO_MEMORY,
                "this answer alone is %zu MiB, and all that are being read may take %zu: ask for less",
                size / MIB, options->answer_bytes_max / MIB);
        atomic_store(&http->lacks_room, true);
        return err_set(err, ERR_NO_MEMORY,
                       "answers that others are still reading take %zu MiB; try again, or ask for less",
                       before / MIB);
    }
    if (!api_access_is_exempt(request) &&
        !api_peer_hold(http->peers, request->peer, size, options->answer_bytes_per_address))
        return err_set(err, ERR_NO_MEMORY,
                       "this address has not read its other answers yet, and all of them may take %zu MiB; "
                       "read them first, or ask for less",
                       options->answer_bytes_per_address / MIB);
    return 0;
}

/* Bytes of the program, coded when it was built. */
static enum MHD_Result queue_fixed(struct api_request *request, const struct api_response *fixed)
{
    char etag[API_ETAG_SENT_SIZE];
    /* libmicrohttpd only reads them, but has no const in its signature */
    void *bytes = (void *)(uintptr_t)fixed->fixed;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(fixed->fixed_size, bytes, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    api_etag_format(etag, fixed->etag, fixed->fixed_encoding);
    const struct api_header headers[] = {
        {MHD_HTTP_HEADER_ETAG, etag},
        {MHD_HTTP_HEADER_CONTENT_TYPE, fixed->content_type},
        {MHD_HTTP_HEADER_CACHE_CONTROL, fixed->cache_control},
        {MHD_HTTP_HEADER_VARY, FIXED_VARY},
        {MHD_HTTP_HEADER_CONTENT_ENCODING,
         fixed->fixed_encoding ? api_encoding_name(fixed->fixed_encoding) : NULL},
        {"X-Content-Type-Options", "nosniff"},
        {"Content-Security-Policy", fixed->policy},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
    };
    if (api_answer_add_headers(response, headers, sizeof headers / sizeof headers[0])) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    return queue(request, response, fixed->status, fixed->fixed_size);
}

/* What has no size yet: events, or an answer in parts. */
static enum MHD_Result queue_stream(struct api_request *request, struct api_response *response)
{
    struct MHD_Response *stream = response->stream;
    const int is_in_parts = response->is_in_parts;
    char etag[API_ETAG_SENT_SIZE] = "";
    response->stream = NULL;
    request->is_stream = !is_in_parts;
    if (strcmp(request->method, "HEAD") == 0) /* which libmicrohttpd would end with a last, empty chunk */
        (void)MHD_set_response_options(stream, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    if (has_text(response->etag))
        api_etag_format(etag, response->etag, API_ENCODING_IDENTITY);
    const struct api_header headers[] = {
        {"X-Content-Type-Options", "nosniff"},
        {MHD_HTTP_HEADER_CONTENT_TYPE, response->content_type},
        {MHD_HTTP_HEADER_CACHE_CONTROL, is_in_parts ? response->cache_control : "no-store"},
        {MHD_HTTP_HEADER_ETAG, etag},
        {MHD_HTTP_HEADER_VARY, is_in_parts ? API_ANSWER_VARY : NULL},
        {MHD_HTTP_HEADER_LINK, response->link.size ? buf_text(&response->link) : NULL},
        {"X-Accel-Buffering", is_in_parts ? NULL : "no"}, /* nginx would keep events until 4 KiB are full */
    };
    if (api_answer_add_headers(stream, headers, sizeof headers / sizeof headers[0])) {
        MHD_destroy_response(stream);
        return MHD_NO;
    }
    return queue(request, stream, response->status, 0);
}

enum MHD_Result api_deliver(struct api_request *request, struct api_response *response, const char *keep_etag)
{
    if (response->stream && !response->is_in_parts)
        return queue_stream(request, response);
    api_etag_of_body(request, response);
    enum api_encoding encoding = response->fixed ? response->fixed_encoding : encoding_of(request);
    char sent[API_ETAG_SENT_SIZE];
    if (api_etag_is_known(request, response->etag, sent)) {
        if (!sent[0])
            api_etag_format(sent, response->etag, encoding);
        return queue_not_modified(request, sent, response->cache_control,
                                  response->fixed ? FIXED_VARY : API_ANSWER_VARY);
    }
    if (response->stream)
        return queue_stream(request, response);
    if (response->fixed)
        return queue_fixed(request, response);
    int is_kept = has_text(keep_etag) && response->status == MHD_HTTP_OK;
    struct api_answer *answer = answer_of(response, encoding, is_kept);
    if (!answer)
        return MHD_NO;
    struct err err = ERR_INIT;
    size_t before = api_answer_count(answer, &request->http->answer_bytes);
    if (api_deliver_check_room(request, answer->size, before, &err) < 0) {
        api_answer_release(answer);
        api_problem_render(response, api_request_id(request), &err);
        answer = answer_of(response, API_ENCODING_IDENTITY, 0);
        return answer ? queue_answer(request, answer, response) : MHD_NO;
    }
    if (is_kept) {
        if (api_answer_share(answer)) {
            api_answer_release(answer);
            return MHD_NO;
        }
        char key[KEY_SIZE];
        format_key(key, keep_etag, encoding);
        api_cache_put(request->http->cache, key, answer);
    }
    return queue_answer(request, answer, response);
}
