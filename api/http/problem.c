#include "api/http/problem.h"

#include "api/form/json.h"

#include <microhttpd.h>
#include <stdio.h>

static int status_of(int code)
{
    switch (code) {
    case ERR_INVALID:
    case ERR_FORMAT:
        return 400;
    case ERR_UNAUTHORIZED:
        return 401;
    case ERR_NOT_FOUND:
    case ERR_NO_ROUTE:
        return 404;
    case ERR_CONFLICT:
        return 409;
    case ERR_LIMIT:
        return 413;
    case ERR_UNSUPPORTED:
        return 415;
    case ERR_RATE_LIMITED:
        return 429;
    case ERR_CANCELLED:
    case ERR_TIMEOUT:
    case ERR_NO_MEMORY:
        return 503;
    case ERR_NO_SPACE:
        return 507;
    default:
        return 500;
    }
}

void api_problem_render(struct api_response *response, const char *request_id, const struct err *err)
{
    if (response->status < 400)
        response->status = status_of(err->code);
    response->content_type = "application/problem+json";
    response->cache_control = "no-store";
    response->etag[0] = '\0';
    response->location[0] = '\0';
    response->fixed = NULL;
    response->policy = NULL;
    buf_free(&response->link);
    buf_free(&response->body);
    if (response->stream)
        MHD_destroy_response(response->stream);
    response->stream = NULL;
    struct api_json json;
    api_json_init(&json, &response->body);
    api_json_open_object(&json, NULL);
    api_json_text(&json, "type", "about:blank");
    api_json_text(&json, "title", MHD_get_reason_phrase_for((unsigned)response->status));
    api_json_integer(&json, "status", response->status);
    api_json_text(&json, "code", err_name(err->code));
    api_json_text(&json, "detail", err->message);
    if (!response->problem_in && err->code == ERR_NOT_FOUND && err->absent) {
        response->problem_in = "path";
        (void)snprintf(response->problem_field, sizeof response->problem_field, "%s",
                       err_absent_name(err->absent));
    }
    if (response->problem_in) {
        api_json_text(&json, "in", response->problem_in);
        api_json_text(&json, "field", response->problem_field);
    }
    api_json_text(&json, "request_id", request_id);
    api_json_close_object(&json);
}
