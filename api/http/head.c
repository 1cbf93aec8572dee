#include "api/http/head.h"

#include "api/http/state.h"
#include "daemon/base/limits.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

/* What is counted of the headers, beside those that are kept (struct api_headers). */
struct head {
    struct api_request *request;
    struct api_headers *found; /* of the request */
    size_t size;               /* of all names and values */
    unsigned hosts, lengths, codings;
    int has_bad_name, has_bad_value, lacks_memory;
    const char *coding; /* the last Transfer-Encoding */
};

/* Whether name[size], in any case, is this one. */
#define IS(wanted) (name_size == sizeof(wanted) - 1 && strncasecmp(name, wanted, sizeof(wanted) - 1) == 0)

static void keep_first(const char **slot, const char *value)
{
    if (!*slot)
        *slot = value;
}

/* A header whose value is a list may come in several lines, which are one list then (RFC 9110, 5.3). */
static void keep_all(struct head *head, enum api_header_list list, const char **slot, const char *value)
{
    struct buf *joined = &head->request->joined[list];
    if (!*slot || !value) {
        keep_first(slot, value);
        return;
    }
    if (!joined->data) {
        buf_init(joined, head->request->http->options.header_bytes_max);
        buf_append_text(joined, *slot);
    }
    buf_append_text(joined, ", ");
    buf_append_text(joined, value);
    *slot = buf_text(joined);
    head->lacks_memory |= joined->failed == ERR_NO_MEMORY; /* what is too large is refused for that */
}

/* Names are told apart by their first letter, so that most are compared once or not at all. */
static void sort(struct head *head, const char *name, size_t name_size, const char *value)
{
    struct api_headers *found = head->found;
    switch (name[0] | 0x20) {
    case 'a':
        if (IS("Accept"))
            keep_all(head, API_LIST_ACCEPT, &found->accept, value);
        else if (IS("Accept-Encoding"))
            keep_all(head, API_LIST_ACCEPT_ENCODING, &found->accept_encoding, value);
        else if (IS("Authorization"))
            keep_first(&found->authorization, value);
        break;
    case 'c':
        if (IS("Content-Length")) {
            head->lengths++;
            keep_first(&found->content_length, value);
        }
        break;
    case 'e':
        if (IS("Expect"))
            keep_first(&found->expect, value);
        break;
    case 'h':
        if (IS("Host")) {
            head->hosts++;
            keep_first(&found->host, value);
        }
        break;
    case 'i':
        if (IS("If-None-Match"))
            keep_all(head, API_LIST_IF_NONE_MATCH, &found->if_none_match, value);
        else if (IS("If-Match"))
            keep_all(head, API_LIST_IF_MATCH, &found->if_match, value);
        break;
    case 't':
        if (IS("Transfer-Encoding")) {
            head->codings++;
            head->coding = value;
            keep_first(&found->transfer_encoding, value);
        }
        break;
    case 'x':
        if (IS("X-Request-Id"))
            keep_first(&found->request_id, value);
        break;
    default:
        break;
    }
}

static enum MHD_Result take_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                   const char *value, size_t value_size)
{
    struct head *head = context;
    (void)kind;
    head->size += name_size + value_size + 4; /* ": " and the end of the line */
    if (name_size == 0 || memchr(name, ' ', name_size) || memchr(name, '\t', name_size))
        head->has_bad_name = 1;
    if (value && memchr(value, '\r', value_size)) /* a line's end to some programs */
        head->has_bad_value = 1;
    if (name_size)
        sort(head, name, name_size, value);
    return MHD_YES;
}

static int refuse(struct api_head_fault *fault, int status, const char *field, const char *reason)
{
    *fault = (struct api_head_fault){.status = status, .in = "header", .field = field, .reason = reason};
    return -1;
}

int api_head_check(struct api_request *request, const char *version, struct api_head_fault *ret_fault)
{
    struct head head = {.request = request, .found = &request->headers};
    size_t max = request->http->options.header_bytes_max;
    (void)MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, take_header, &head);
    if (request->target_size > LIMIT_URL_BYTES) {
        *ret_fault = (struct api_head_fault){414, "path", "", "the target is longer than", LIMIT_URL_BYTES};
        return -1;
    }
    if (head.size > max) {
        *ret_fault = (struct api_head_fault){431, NULL, "", "the headers are larger than", max};
        return -1;
    }
    if (head.lacks_memory)
        return refuse(ret_fault, 503, "", "out of memory");
    if (head.has_bad_name)
        return refuse(ret_fault, 400, "", "a header's name is empty or has a blank in it");
    if (head.has_bad_value)
        return refuse(ret_fault, 400, "", "a header's value has a carriage return in it");
    if (head.hosts > 1 || (head.hosts == 0 && strcmp(version, "HTTP/1.0") != 0))
        return refuse(ret_fault, 400, "Host", "Host: must be there, once");
    if (head.lengths > 1 || head.codings > 1)
        return refuse(ret_fault, 400, head.lengths > 1 ? "Content-Length" : "Transfer-Encoding",
                      "a header that says where the request ends is there twice");
    if (head.codings && head.lengths)
        return refuse(ret_fault, 400, "Transfer-Encoding",
                      "Content-Length and Transfer-Encoding exclude each other");
    if (head.codings && (!head.coding || strcasecmp(head.coding, "chunked") != 0))
        return refuse(ret_fault, 501, "Transfer-Encoding", "Transfer-Encoding: only chunked is known");
    return 0;
}
