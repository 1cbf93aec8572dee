#include "api/http/page.h"

#include "api/form/number.h"
#include "daemon/base/digest.h"
#include "daemon/base/limits.h"
#include "daemon/base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int api_page_limit(const struct api_request *request, int standard, int max, int *ret_limit,
                   struct api_response *response, struct err *err)
{
    int64_t limit = request->format == API_FORMAT_CSV ? max : standard;
    int code = api_request_integer(request, "limit", 1, max, &limit, response, err);
    if (!code)
        *ret_limit = (int)limit;
    return code;
}

int api_page_refuse_cursor(struct api_response *response, struct err *err)
{
    return api_response_refuse(response, "query", "cursor", err, ERR_INVALID,
                               "cursor: not one that this server gave; begin without a cursor");
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int api_page_read_cursor(const struct api_request *request, char *text, size_t size, int *ret_is_given,
                         struct api_response *response, struct err *err)
{
    const char *cursor = api_uri_find(&request->uri, "cursor");
    *ret_is_given = cursor != NULL;
    if (!cursor)
        return 0;
    size_t length = strlen(cursor);
    if (length == 0 || length % 2 || length / 2 >= size)
        return api_page_refuse_cursor(response, err);
    for (size_t i = 0; i < length; i += 2) {
        int high = hex_value(cursor[i]);
        int low = hex_value(cursor[i + 1]);
        int byte = high < 0 || low < 0 ? 0 : high * 16 + low;
        if (byte < 0x20 || byte == 0x7f) /* no name has control characters */
            return api_page_refuse_cursor(response, err);
        text[i / 2] = (char)byte;
    }
    text[length / 2] = '\0';
    return utf8_is_valid(text, length / 2) ? 0 : api_page_refuse_cursor(response, err);
}

void api_page_write_cursor(const char *text, char cursor[API_CURSOR_SIZE])
{
    size_t size = strlen(text);
    if (size > API_CURSOR_SIZE / 2 - 1)
        size = API_CURSOR_SIZE / 2 - 1;
    digest_to_hex((const unsigned char *)text, size, cursor);
}

int api_page_read_number(const struct api_request *request, int64_t *number, struct api_response *response,
                         struct err *err)
{
    char text[32];
    int is_given = 0;
    int code = api_page_read_cursor(request, text, sizeof text, &is_given, response, err);
    if (!code && is_given && !api_number_parse(text, 0, INT64_MAX, number))
        code = api_page_refuse_cursor(response, err);
    return code;
}

void api_page_write_number(int64_t number, char cursor[API_CURSOR_SIZE])
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRId64, number);
    api_page_write_cursor(text, cursor);
}

int api_page_link(const struct api_request *request, const char *cursor, struct api_response *response,
                  struct err *err)
{
    struct buf *link = &response->link;
    const char *query = strchrnul(request->target, '?');
    buf_clear(link);
    buf_append_char(link, '<');
    buf_append(link, request->target, (size_t)(query - request->target));
    char separator = '?';
    size_t index = 0; /* of the parameter, whose name may be written in many ways */
    while (*query) {
        query++;
        size_t length = strcspn(query, "&#");
        if (length && strcmp(request->uri.parameters[index++].name, "cursor") != 0) {
            buf_append_char(link, separator);
            buf_append(link, query, length);
            separator = '&';
        }
        query += length;
        if (*query == '#')
            break;
    }
    buf_appendf(link, "%ccursor=%s>; rel=\"next\"", separator, cursor);
    return buf_check(link, "Link", err);
}

int api_page_end(const struct api_request *request, struct api_json *json, const char *cursor,
                 struct api_response *response, struct err *err)
{
    api_json_text_or_null(json, "next_cursor", cursor);
    api_json_close_object(json);
    return cursor[0] ? api_page_link(request, cursor, response, err) : 0;
}

int api_page_take(struct api_page *page, int64_t number)
{
    if (page->left == 0) {
        page->has_more = 1;
        return 0;
    }
    page->left--;
    page->last = number;
    return 1;
}

int api_page_end_numbers(const struct api_request *request, struct api_page *page,
                         struct api_response *response, struct err *err)
{
    char cursor[API_CURSOR_SIZE] = "";
    if (page->has_more)
        api_page_write_number(page->last, cursor);
    return api_page_end(request, &page->json, cursor, response, err);
}
