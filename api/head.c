#include "api/head.h"

#include "api/state.h"
#include "daemon/base/limits.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

/* How often each of the headers occurs that say where a request ends and whom it is for. */
struct head {
    size_t size; /* of all names and values */
    unsigned hosts, lengths, codings;
    int has_bad_name, has_bad_value;
    const char *coding; /* the last Transfer-Encoding */
};

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
    switch (name_size) {
    case sizeof "Host" - 1:
        head->hosts += strcasecmp(name, "Host") == 0;
        break;
    case sizeof "Content-Length" - 1:
        head->lengths += strcasecmp(name, "Content-Length") == 0;
        break;
    case sizeof "Transfer-Encoding" - 1:
        if (strcasecmp(name, "Transfer-Encoding") == 0) {
            head->codings++;
            head->coding = value;
        }
        break;
    default:
        break;
    }
    return MHD_YES;
}

static int refuse(struct api_response *response, int status, const char *field, struct err *err,
                  const char *reason)
{
    response->status = status;
    return api_response_refuse(response, "header", field, err,
                               status == 400   ? ERR_INVALID
                               : status == 501 ? ERR_UNSUPPORTED
                                               : ERR_LIMIT,
                               "%s", reason);
}

int api_head_check(const struct api_request *request, const char *version, struct api_response *response,
                   struct err *err)
{
    struct head head = {0};
    size_t max = request->server->options.header_bytes_max;
    if (strlen(request->target) > LIMIT_URL_BYTES) {
        response->status = 414;
        response->problem_in = "path";
        return err_set(err, ERR_LIMIT, "the target is longer than %d bytes", LIMIT_URL_BYTES);
    }
    (void)MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, take_header, &head);
    if (head.size > max) {
        response->status = 431;
        return err_set(err, ERR_LIMIT, "the headers are larger than %zu bytes", max);
    }
    if (head.has_bad_name)
        return refuse(response, 400, "", err, "a header's name is empty or has a blank in it");
    if (head.has_bad_value)
        return refuse(response, 400, "", err, "a header's value has a carriage return in it");
    if (head.hosts > 1 || (head.hosts == 0 && strcmp(version, "HTTP/1.0") != 0))
        return refuse(response, 400, "Host", err, "Host: must be there, once");
    if (head.lengths > 1 || head.codings > 1)
        return refuse(response, 400, head.lengths > 1 ? "Content-Length" : "Transfer-Encoding", err,
                      "a header that says where the request ends is there twice");
    if (head.codings && head.lengths)
        return refuse(response, 400, "Transfer-Encoding", err,
                      "Content-Length and Transfer-Encoding exclude each other");
    if (head.codings && (!head.coding || strcasecmp(head.coding, "chunked") != 0))
        return refuse(response, 501, "Transfer-Encoding", err, "Transfer-Encoding: only chunked is known");
    return 0;
}
