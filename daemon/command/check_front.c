/* The certificate and its key, and the origins whose pages may use the API. */
#include "api/http/tls.h"
#include "daemon/command/check.h"

#include <string.h>

static void check_tls(const struct options *options, struct check_report *report)
{
    struct err err = ERR_INIT;
    struct api_tls *tls = NULL;
    struct buf certificate, key;
    if (!options->tls_certificate[0] && !options->tls_key[0])
        return;
    int code = api_tls_read(options->tls_certificate, options->tls_key, &certificate, &key, &err);
    if (!code)
        code = api_tls_new(buf_text(&certificate), buf_text(&key), &tls, &err);
    if (code)
        check_add(report, CHECK_LEVEL_ERROR, "certificate", "%s", err.message);
    else
        check_add(report, CHECK_LEVEL_OK, "certificate", "%s and its key %s", options->tls_certificate,
                  options->tls_key);
    api_tls_free(tls);
    buf_free(&certificate);
    buf_free(&key);
}

/* "https://host" or "https://host:port", as a browser names it; a path or a slash would never match. */
static int is_origin(const char *text, size_t length)
{
    size_t scheme = strncmp(text, "https://", 8) == 0 ? 8 : strncmp(text, "http://", 7) == 0 ? 7 : 0;
    return scheme && length > scheme && !memchr(text + scheme, '/', length - scheme);
}

static void check_origins(const struct options *options, struct check_report *report)
{
    const char *text = options->cors_origin;
    if (strcmp(text, "*") == 0)
        return;
    for (text += strspn(text, " ,\t"); *text; text += strspn(text, " ,\t")) {
        size_t length = strcspn(text, " ,\t");
        if (!is_origin(text, length))
            check_add(report, CHECK_LEVEL_WARNING, "cors-origin",
                      "\"%.*s\" is the origin of no page: write https://HOST or https://HOST:PORT, without a "
                      "path",
                      length < 200 ? (int)length : 200, text);
        text += length;
    }
}

void check_front(const struct options *options, struct check_report *report)
{
    check_tls(options, report);
    check_origins(options, report);
}
