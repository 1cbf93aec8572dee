#include "api/series/revision_page.h"

#include "api/http/page.h"
#include "api/resource/query.h"
#include "daemon/base/limits.h"

#include <string.h>

#define DAMAGED_BYTES_MAX ((size_t)LIMIT_API_PAGE_ROWS * (LIMIT_REVISION_NAME_BYTES + 1))

void revision_page_init(struct revision_page *page, int limit)
{
    *page = (struct revision_page){.left = limit};
    buf_init(&page->damaged, DAMAGED_BYTES_MAX);
}

void revision_page_free(struct revision_page *page)
{
    buf_free(&page->damaged);
}

int revision_page_is_full(struct revision_page *page)
{
    if (page->left == 0)
        page->has_more = 1;
    return page->left == 0;
}

void revision_page_note(struct revision_page *page, const struct revision_row *revision)
{
    page->left--;
    page->count++;
    revision_key_of(revision, &page->last);
}

void revision_page_note_damaged(struct revision_page *page, const struct revision_row *revision,
                                struct api_csv *csv, int64_t cells)
{
    buf_append(&page->damaged, revision->name, strlen(revision->name) + 1);
    page->left--;
    revision_key_of(revision, &page->last);
    if (!csv)
        return;
    api_query_print_csv(csv, revision);
    for (int64_t i = 0; i < cells; i++)
        api_csv_empty(csv);
    api_csv_end_line(csv);
}

void revision_page_print_damaged(const struct revision_page *page, struct api_json *json)
{
    const char *names = page->damaged.data ? buf_text(&page->damaged) : "";
    api_json_open_array(json, "damaged");
    for (size_t at = 0; at < page->damaged.size; at += strlen(names + at) + 1)
        api_json_text(json, NULL, names + at);
    api_json_close_array(json);
}

int revision_page_end(const struct revision_page *page, const struct api_request *request,
                      struct api_json *json, struct api_response *response, struct err *err)
{
    char cursor[API_CURSOR_SIZE] = "";
    int code = buf_check(&page->damaged, "page", err);
    if (code)
        return code;
    if (page->has_more)
        api_query_write_revision(&page->last, cursor);
    if (request->format == API_FORMAT_JSON) {
        api_json_close_array(json);
        revision_page_print_damaged(page, json);
        api_json_integer(json, "count", page->count);
        api_json_text_or_null(json, "next_cursor", cursor);
        api_json_close_object(json);
    }
    return page->has_more ? api_page_link(request, cursor, response, err) : 0;
}
