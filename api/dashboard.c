/*
 * The files of api/dashboard/ and the chart library, as they were put into the program: each plain and
 * compressed by gzip, its ETag a digest of its bytes. A program that was built without the chart library has
 * no dashboard and says so.
 */
#include "api/handlers.h"

#include "daemon/base/digest.h"
#include "daemon/base/embedded.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define FILES_MAX 64

/* Nothing from another host, nothing inline; charts are saved through blob: addresses. */
#define POLICY                                                                                               \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "                  \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct file {
    const struct base_embedded *plain;
    const struct base_embedded *gzip;
    char etag[API_ETAG_SIZE];
};

static struct file files[FILES_MAX];
static size_t file_count;
static pthread_once_t files_once = PTHREAD_ONCE_INIT;

static const char *content_type_of(const char *name)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    }
    return NULL;
}

static size_t size_of(const struct base_embedded *embedded)
{
    return (size_t)(embedded->end - embedded->begin);
}

static const struct base_embedded *find_twin(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < assets_embedded_count; i++) {
        const char *other = assets_embedded[i].name;
        if (strncmp(other, name, length) == 0 && strcmp(other + length, ".gz") == 0)
            return &assets_embedded[i];
    }
    return NULL;
}

/* The files that have a compressed twin are the dashboard's. One whose digest fails (no memory) is left out.
 */
static void list_files(void)
{
    for (size_t i = 0; i < assets_embedded_count && file_count < FILES_MAX; i++) {
        struct file *file = &files[file_count];
        struct err err = ERR_INIT;
        char hex[DIGEST_SHA256_HEX_SIZE];
        file->plain = &assets_embedded[i];
        file->gzip = find_twin(file->plain->name);
        if (!file->gzip || !content_type_of(file->plain->name) ||
            digest_sha256_hex(file->plain->begin, size_of(file->plain), hex, &err) < 0)
            continue;
        (void)snprintf(file->etag, sizeof file->etag, "%.32s", hex);
        file_count++;
    }
}

/* Makes `response` the file of this name, coded as the client takes it. */
static int serve(const struct api_request *request, const char *name, struct api_response *response,
                 struct err *err)
{
    (void)pthread_once(&files_once, list_files);
    if (file_count == 0)
        return err_set(
            err, ERR_NOT_FOUND,
            "this program was built without the dashboard; install libjs-chart.js and build again");
    const struct file *file = NULL;
    for (size_t i = 0; i < file_count && !file; i++) {
        if (strcmp(files[i].plain->name, name) == 0)
            file = &files[i];
    }
    if (!file)
        return err_set(err, ERR_NOT_FOUND, "the dashboard has no file called \"%.64s\"", name);
    const char *accept = request->headers.accept_encoding;
    response->fixed_encoding =
        api_encoding_takes(accept, API_ENCODING_GZIP) ? API_ENCODING_GZIP : API_ENCODING_IDENTITY;
    const struct base_embedded *body = response->fixed_encoding ? file->gzip : file->plain;
    response->fixed = body->begin;
    response->fixed_size = size_of(body);
    response->content_type = content_type_of(name);
    response->policy = POLICY;
    (void)snprintf(response->etag, sizeof response->etag, "%s", file->etag);
    return 0;
}

int api_get_dashboard(struct api_request *request, struct api_response *response, struct err *err)
{
    return serve(request, "index.html", response, err);
}

int api_get_asset(struct api_request *request, struct api_response *response, struct err *err)
{
    return serve(request, request->arguments[0], response, err);
}
