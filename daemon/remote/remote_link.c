#include "daemon/remote/remote_link.h"

#include "api/form/json.h"
#include "daemon/base/json_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_TIMEOUT_S 15
#define RESULT_TIMEOUT_S 600
#define CLAIM_ROOM_S 30 /* beyond what the daemon waits */
#define ANSWER_BYTES_MAX (64 * KIB)

int remote_link_may_pass(int code)
{
    return code == ERR_NETWORK || code == ERR_HTTP || code == ERR_RATE_LIMITED || code == ERR_NO_SPACE;
}

int remote_link_claim(struct rest *rest, const struct wire_offer *offer, struct wire_task *ret_task,
                      struct err *err)
{
    struct buf body, answer;
    int status = 0;
    buf_init(&body, LIMIT_API_BODY_BYTES);
    buf_init(&answer, LIMIT_CLAIM_HEAD_BYTES);
    int code = wire_offer_append(offer, &body, err);
    struct rest_request request = {.method = "POST",
                                   .target = "/v1/claims",
                                   .body = buf_text(&body),
                                   .body_size = body.size,
                                   .timeout_s = offer->is_leaving ? SHORT_TIMEOUT_S
                                                                  : (long)offer->wait_s + CLAIM_ROOM_S};
    if (!code)
        code = rest_exchange(rest, &request, &answer, &status, err);
    if (!code && status == 204) {
        code = err_set(err, ERR_NOT_FOUND, "no task can run now");
    } else if (!code) {
        code = wire_task_parse(buf_text(&answer), answer.size, ret_task, err);
        if (code) {
            wire_task_free(ret_task);
            (void)err_wrap(err, "the daemon's answer to a claim");
        }
    } else if (code == ERR_CONFLICT && rest_problem_code(&answer) == ERR_UNSUPPORTED) {
        code = err->code = ERR_UNSUPPORTED;
    } else if (code == ERR_NOT_FOUND) {
        int is_daemon = rest_problem_code(&answer) != 0;
        code = err_set(err, is_daemon ? ERR_UNSUPPORTED : ERR_UNREACHABLE,
                       "%s has no /v1/claims: it is not bifurcated, or an older version", rest_server(rest));
    }
    buf_free(&body);
    buf_free(&answer);
    return code;
}

/* What an answer other than 2xx says of the claim. One that is not the daemon's own comes from a proxy that
 * does not reach it, whatever its status: some say 404 then. */
static int judge(int code, int status, const struct buf *answer)
{
    const int is_own = rest_problem_code(answer) != 0;
    if (code == ERR_NOT_FOUND)
        return is_own ? ERR_CONFLICT : ERR_HTTP; /* a daemon that does not know the claim has given it up */
    if (code != ERR_HTTP)
        return code;
    if (status == 422)
        return ERR_MISMATCH;
    if (status == 507)
        return ERR_NO_SPACE;
    return !is_own && status >= 502 && status <= 504 ? ERR_NETWORK : ERR_HTTP;
}

/* PUT /v1/claims/{id}/{what}, with the body and the time of `request`. */
static int put(struct rest *rest, const char *id, const char *what, struct rest_request request,
               struct buf *answer, struct err *err)
{
    char target[WIRE_ID_SIZE + 32];
    int status = 0;
    (void)snprintf(target, sizeof target, "/v1/claims/%s/%s", id, what);
    request.method = "PUT";
    request.target = target;
    int code = rest_exchange(rest, &request, answer, &status, err);
    if (code && status)
        code = err->code = judge(code, status, answer);
    return code;
}

/* As above with texts for members, and perhaps "refused". */
static int put_texts(struct rest *rest, const char *id, const char *what, const char *const *members,
                     int is_refused, struct buf *answer, struct err *err)
{
    struct api_json json;
    struct buf body;
    buf_init(&body, ANSWER_BYTES_MAX);
    api_json_init(&json, &body);
    api_json_open_object(&json, NULL);
    for (; members[0] && members[1]; members += 2)
        api_json_text(&json, members[0], members[1]);
    if (is_refused)
        api_json_boolean(&json, "refused", 1);
    api_json_close_object(&json);
    const struct rest_request request = {
        .body = buf_text(&body), .body_size = body.size, .timeout_s = SHORT_TIMEOUT_S};
    int code = buf_check(&body, "request", err);
    if (!code)
        code = put(rest, id, what, request, answer, err);
    buf_free(&body);
    return code;
}

int remote_link_extend(struct rest *rest, const char *id, int64_t lease_ms, int64_t bytes_fetched,
                       struct err *err)
{
    struct buf answer;
    int64_t third_s = lease_ms / 3000;
    long timeout_s = third_s < 1 ? 1 : third_s < SHORT_TIMEOUT_S ? (long)third_s : SHORT_TIMEOUT_S;
    buf_init(&answer, ANSWER_BYTES_MAX);
    char body[64];
    int length = snprintf(body, sizeof body, "{\"bytes_fetched\":%" PRId64 "}", bytes_fetched);
    const struct rest_request request = {.body = body, .body_size = (size_t)length, .timeout_s = timeout_s};
    int code = put(rest, id, "heartbeat", request, &answer, err);
    buf_free(&answer);
    return code;
}

int remote_link_record(struct rest *rest, const char *id, const struct buf *result, struct err *err)
{
    struct buf answer;
    buf_init(&answer, ANSWER_BYTES_MAX);
    const struct rest_request request = {.type = WIRE_RESULT_TYPE,
                                         .body = buf_text(result),
                                         .body_size = result->size,
                                         .timeout_s = RESULT_TIMEOUT_S};
    int code = put(rest, id, "result", request, &answer, err);
    buf_free(&answer);
    return code;
}

int remote_link_fail(struct rest *rest, const char *id, const struct err *reason, int is_refused,
                     int *ret_is_final, struct err *err)
{
    struct buf answer;
    buf_init(&answer, ANSWER_BYTES_MAX);
    const char *const members[] = {"code", err_name(reason->code), "message", reason->message, NULL};
    int code = put_texts(rest, id, "failure", members, is_refused, &answer, err);
    if (!code) {
        json_t *root = json_text_load(buf_text(&answer), answer.size, 0, NULL);
        const char *state = json_string_value(json_object_get(root, "state"));
        *ret_is_final = state && strcmp(state, "failed") == 0;
        json_decref(root);
    }
    buf_free(&answer);
    return code;
}

int remote_link_release(struct rest *rest, const char *id, const char *declined, struct err *err)
{
    struct buf answer;
    buf_init(&answer, ANSWER_BYTES_MAX);
    const char *const members[] = {"declined", declined, NULL};
    int code = put_texts(rest, id, "release", members, 0, &answer, err);
    buf_free(&answer);
    return code;
}
