#include "store/tokens.h"

#include "api/form/json.h"
#include "api/form/number.h"
#include "api/handlers.h"
#include "api/http/http.h"
#include "api/http/listing.h"
#include "api/http/page.h"
#include "api/http/precondition.h"
#include "api/resource/context.h"
#include "api/token_request.h"
#include "daemon/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_STANDARD 100
#define DAY_MS INT64_C(86400000)
#define ANSWER_BYTES 1024 /* no token is longer */

static const struct api_listing listing = {
    "tokens", " id name scopes created_at expires_at last_used_at revoked_at ", ""};

/* `text` is the token itself where it was just made, else NULL. */
static void append_token(struct api_json *json, const struct token_row *row, const char *text)
{
    static const enum token_scope scopes[] = {TOKEN_SCOPE_READ, TOKEN_SCOPE_SWEEP, TOKEN_SCOPE_WORKER,
                                              TOKEN_SCOPE_ADMIN};
    api_json_open_object(json, NULL);
    api_json_integer(json, "id", row->id);
    api_json_text(json, "name", row->name);
    api_json_open_array(json, "scopes");
    for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        if (row->scopes & scopes[i])
            api_json_text(json, NULL, token_scope_name(scopes[i]));
    }
    api_json_close_array(json);
    api_json_time(json, "created_at", row->created_ms);
    api_json_time(json, "expires_at", row->expires_ms);
    api_json_time(json, "last_used_at", row->last_used_ms);
    api_json_time(json, "revoked_at", row->revoked_ms);
    if (text)
        api_json_text(json, "token", text);
    api_json_close_object(json);
}

static int append_row(void *context, const struct token_row *row)
{
    struct api_page *page = context;
    if (!api_page_take(page, row->id))
        return 1;
    append_token(&page->json, row, NULL);
    return 0;
}

int api_list_tokens(struct api_request *request, struct api_response *response, struct err *err)
{
    struct api_page page = {0};
    int64_t after = 0;
    int limit = 0;
    int code = api_page_limit(request, LIMIT_STANDARD, LIMIT_TOKENS, &limit, response, err);
    if (!code)
        code = api_page_read_number(request, &after, response, err);
    if (!code)
        code = api_listing_check(request, &listing, response, err);
    if (code)
        return code;
    page.left = limit;
    response->cache_control = "no-store";
    api_json_init(&page.json, &response->body);
    api_json_open_object(&page.json, NULL);
    api_json_open_array(&page.json, "tokens");
    code = tokens_list(request->context->store, after, page.left + 1, append_row, &page, err);
    if (code)
        return code;
    api_json_close_array(&page.json);
    code = api_page_end_numbers(request, &page, response, err);
    return code ? code : api_listing_finish(request, &listing, response, err);
}

static int parse_body(const struct api_request *request, struct api_token_request *wanted,
                      struct api_response *response, struct err *err)
{
    char field[API_TOKEN_FIELD_SIZE] = "";
    int code = api_token_request_parse(buf_text(&request->body), request->body.size, wanted, field, err);
    return api_response_name_body(response, code, field);
}

/* Room for the answer, before anything is changed: after that nothing can fail any more, so that no error
 * says of a change that was made that it was not. */
static int make_room(struct api_response *response, struct err *err)
{
    response->cache_control = "no-store";
    (void)buf_reserve(&response->body, ANSWER_BYTES);
    return buf_check(&response->body, "answer", err);
}

static void answer(const struct token_row *row, const char *text, struct api_response *response)
{
    struct api_json json;
    api_json_init(&json, &response->body);
    append_token(&json, row, text);
}

static void note_change(const struct api_request *request, const char *event, const struct token_row *row)
{
    api_context_note_change(request->context, &(struct api_change){.event = event,
                                                                   .token = row->id,
                                                                   .name = row->name,
                                                                   .by_name = request->identity.name,
                                                                   .by_token = request->identity.token_id});
}

int api_create_token(struct api_request *request, struct api_response *response, struct err *err)
{
    struct api_token_request wanted;
    struct token_request made = {0};
    struct token_row row;
    char text[TOKEN_TEXT_SIZE];
    int code = parse_body(request, &wanted, response, err);
    if (!code)
        code = make_room(response, err);
    if (code)
        return code;
    made.name = wanted.name;
    made.scopes = wanted.scopes;
    made.expires_ms = wanted.expires_days ? clock_wall_ms() + wanted.expires_days * DAY_MS : 0;
    code = tokens_create(request->context->store, &made, text, &row, err);
    code = api_response_name_body(response, code, "/name"); /* which is all that is left to be wrong */
    if (code == ERR_LIMIT)
        response->status = 409;
    if (!code) {
        note_change(request, "token created", &row);
        answer(&row, text, response);
        response->status = 201;
        (void)snprintf(response->location, sizeof response->location, "/v1/tokens/%" PRId64, row.id);
    }
    explicit_bzero(text, sizeof text);
    return code;
}

/* The number that the path names. */
static int read_id(const struct api_request *request, int64_t *id, struct err *err)
{
    if (api_number_parse(request->arguments[0], 1, INT64_MAX, id))
        return 0;
    return err_set_absent(err, ERR_ABSENT_TOKEN, "token %.40s: there is no such token",
                          request->arguments[0]);
}

int api_get_token(struct api_request *request, struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    struct token_row row;
    char digits[API_SETTING_SIZE];
    int64_t id = 0;
    int code = read_id(request, &id, err);
    if (!code)
        code = tokens_get(store, id, &row, err);
    if (!code)
        code = make_room(response, err);
    if (!code) /* of what a revocation changes; when it was used last goes on by itself */
        code = api_precondition_digits_of(digits, err, "%s %" PRId64 " %" PRId64, store_instance(store),
                                          row.id, row.revoked_ms);
    if (code)
        return code;
    answer(&row, NULL, response);
    return api_precondition_etag(digits, response, err);
}

int api_revoke_token(struct api_request *request, struct api_response *response, struct err *err)
{
    struct token_row row;
    int64_t id = 0;
    int code = read_id(request, &id, err);
    if (!code)
        code = make_room(response, err);
    if (!code)
        code = tokens_revoke(request->context->store, id, &row, err);
    if (code)
        return code;
    api_http_forget_token(request->http, id);
    note_change(request, "token revoked", &row);
    answer(&row, NULL, response);
    return 0;
}
