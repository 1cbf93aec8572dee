#include "api/http/tls.h"
#include "daemon/command/check.h"

void check_front(const struct options *options, struct check_report *report)
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
