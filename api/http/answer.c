#include "api/http/answer.h"

#include "daemon/base/limits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* From here on sending a file costs less than copying the bytes into the socket (tests/bench/api.py). */
#define FILE_BYTES_MIN (256 * KIB)

struct api_answer *api_answer_new(int status)
{
    struct api_answer *answer = calloc(1, sizeof *answer);
    if (!answer)
        return NULL;
    atomic_init(&answer->references, 1);
    answer->status = status;
    answer->fd = -1;
    return answer;
}

size_t api_answer_count(struct api_answer *answer, atomic_size_t *total)
{
    answer->total = total;
    return atomic_fetch_add(total, answer->size);
}

void api_answer_release(struct api_answer *answer)
{
    if (!answer || atomic_fetch_sub(&answer->references, 1) != 1)
        return;
    if (answer->total)
        atomic_fetch_sub(answer->total, answer->size);
    if (answer->shared) {
        MHD_destroy_response(answer->shared); /* with the body, once nobody sends it any more */
    } else {
        free(answer->data);
        if (answer->fd >= 0)
            (void)close(answer->fd);
    }
    if (answer->is_known)
        MHD_destroy_response(answer->is_known);
    free(answer->etag);
    free(answer->link);
    free(answer);
}

void api_answer_add_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (value && value[0])
        (void)MHD_add_response_header(response, name, value);
}

int api_answer_add_headers(struct MHD_Response *response, const struct api_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (headers[i].value && headers[i].value[0] &&
            MHD_add_response_header(response, headers[i].name, headers[i].value) != MHD_YES)
            return -1;
    return 0;
}

static int add_headers(const struct api_answer *answer, struct MHD_Response *response)
{
    const struct api_header headers[] = {
        {MHD_HTTP_HEADER_CONTENT_TYPE, answer->status == MHD_HTTP_NO_CONTENT ? NULL : answer->content_type},
        {MHD_HTTP_HEADER_CACHE_CONTROL, answer->cache_control},
        {MHD_HTTP_HEADER_ETAG, answer->etag},
        {MHD_HTTP_HEADER_LINK, answer->link},
        {MHD_HTTP_HEADER_VARY, answer->varies ? API_ANSWER_VARY : NULL},
        {MHD_HTTP_HEADER_CONTENT_ENCODING, answer->encoding ? api_encoding_name(answer->encoding) : NULL},
        {"X-Content-Type-Options", "nosniff"},
    };
    return api_answer_add_headers(response, headers, sizeof headers / sizeof headers[0]);
}

static void move_to_file(struct api_answer *answer)
{
    if (answer->size < FILE_BYTES_MIN)
        return;
    int fd = memfd_create("answer", MFD_CLOEXEC);
    if (fd < 0)
        return;
    for (size_t at = 0; at < answer->size;) {
        ssize_t written = write(fd, answer->data + at, answer->size - at);
        if (written <= 0) {
            (void)close(fd);
            return;
        }
        at += (size_t)written;
    }
    answer->fd = fd;
    free(answer->data);
    answer->data = NULL;
}

static void free_bytes(void *data)
{
    free(data);
}

int api_answer_share(struct api_answer *answer)
{
    move_to_file(answer);
    if (answer->etag)
        answer->is_known = api_answer_not_modified(answer->etag, answer->cache_control, API_ANSWER_VARY);
    if (answer->fd >= 0)
        answer->shared = MHD_create_response_from_fd64(answer->size, answer->fd);
    else
        answer->shared = MHD_create_response_from_buffer_with_free_callback_cls(answer->size, answer->data,
                                                                                free_bytes, answer->data);
    return answer->shared ? add_headers(answer, answer->shared) : 0;
}

static void release(void *answer)
{
    api_answer_release(answer);
}

static struct MHD_Response *respond_with_bytes(struct api_answer *answer)
{
    atomic_fetch_add(&answer->references, 1);
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback_cls(answer->size, answer->data, release, answer);
    if (!response)
        api_answer_release(answer);
    return response;
}

static struct MHD_Response *respond_with_file(const struct api_answer *answer)
{
    int fd = fcntl(answer->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    struct MHD_Response *response = MHD_create_response_from_fd64(answer->size, fd);
    if (!response)
        (void)close(fd);
    return response;
}

struct MHD_Response *api_answer_respond(struct api_answer *answer)
{
    struct MHD_Response *response = answer->fd >= 0 ? respond_with_file(answer) : respond_with_bytes(answer);
    if (response && add_headers(answer, response)) {
        MHD_destroy_response(response);
        return NULL;
    }
    return response;
}

struct MHD_Response *api_answer_not_modified(const char *etag, const char *cache_control, const char *vary)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return NULL;
    api_answer_add_header(response, MHD_HTTP_HEADER_ETAG, etag);
    api_answer_add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, cache_control);
    api_answer_add_header(response, MHD_HTTP_HEADER_VARY, vary);
    api_answer_add_header(response, "X-Content-Type-Options", "nosniff");
    return response;
}
