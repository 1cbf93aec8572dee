#include "api/http/tls.h"
#include "daemon/base/clock.h"
#include "daemon/command/check.h"

#include <sys/stat.h>

void check_front(const struct options *options, struct check_report *report)
{
    struct err err = ERR_INIT;
    struct api_tls *tls = NULL;
    struct buf certificate, key;
    char doubt[ERR_MESSAGE_BYTES];
    struct stat info;
    if (!options->tls_certificate[0] && !options->tls_key[0])
        return;
    int code = api_tls_read(options->tls_certificate, options->tls_key, &certificate, &key, &err);
    if (!code)
        code = api_tls_new(buf_text(&certificate), buf_text(&key), &tls, &err);
    int level = code ? 0 : api_tls_doubt(buf_text(&certificate), clock_wall_ms(), doubt, sizeof doubt);
    if (code)
        check_add(report, CHECK_LEVEL_ERROR, "certificate", "%s", err.message);
    else if (level)
        check_add(report, level == 2 ? CHECK_LEVEL_ERROR : CHECK_LEVEL_WARNING, "certificate", "%s: %s",
                  options->tls_certificate, doubt);
    else
        check_add(report, CHECK_LEVEL_OK, "certificate", "%s and its key %s", options->tls_certificate,
                  options->tls_key);
    if (!code && stat(options->tls_key, &info) == 0 && info.st_mode & 0007)
        check_add(report, CHECK_LEVEL_WARNING, "certificate", "tls-key %s is open to every user: chmod o= %s",
                  options->tls_key, options->tls_key);
    api_tls_free(tls);
    buf_free(&certificate);
    buf_free(&key);
}
