#include "daemon/serving/api_setup.h"

#include "api/http/tls.h"
#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define OTHER_FILES 1024 /* of the store, the hub, cached answers, ... */

int api_setup_read_token(const struct options *options, struct api_setup *setup, struct err *err)
{
    const char *path = options->token_file;
    struct buf *token = &setup->token;
    buf_init(token, 4 * KIB);
    int code = path[0] ? file_read(path, token, err) : 0;
    if (!path[0])
        return 0;
    if (code)
        return err_wrap(err, "token-file");
    while (token->size && strchr(" \r\n\t", token->data[token->size - 1]))
        token->data[--token->size] = 0;
    if (token->size < 16)
        return err_set(err, ERR_INVALID, "token-file: %s: a token has at least 16 characters", path);
    for (size_t i = 0; i < token->size; i++) {
        unsigned char c = (unsigned char)token->data[i];
        if (c <= 0x20 || c == 0x7f) /* no client could send it */
            return err_set(err, ERR_INVALID,
                           "token-file: %s: a token is one word, without spaces and control characters",
                           path);
    }
    return 0;
}

int api_setup_read_certificate(const struct options *options, struct api_setup *setup, struct err *err)
{
    char doubt[ERR_MESSAGE_BYTES];
    int code =
        api_tls_read(options->tls_certificate, options->tls_key, &setup->certificate, &setup->key, err);
    if (!code && api_tls_doubt(buf_text(&setup->certificate), clock_wall_ms(), doubt, sizeof doubt))
        log_warning("clients refuse the certificate, or soon will",
                    log_text("certificate", options->tls_certificate), log_text("reason", doubt), log_end);
    return code;
}

/* Each connection is a file, and those that are being closed are, too. */
static void fit_files(struct api_http_options *api)
{
    struct rlimit limit;
    rlim_t wanted = 2 * (rlim_t)api->connections_max + OTHER_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= wanted)
        return;
    rlim_t fitting =
        limit.rlim_cur > 2 * OTHER_FILES ? (limit.rlim_cur - OTHER_FILES) / 2 : limit.rlim_cur / 4;
    log_warning("fewer connections than asked for: the process may not open as many files; raise "
                "LimitNOFILE= or ulimit -n",
                log_int("http_connections", (int64_t)fitting), log_int("files", (int64_t)limit.rlim_cur),
                log_end);
    api->connections_max = (unsigned)fitting;
}

int api_setup_read(const struct options *options, struct api_setup *setup, struct api_http_options *api,
                   struct err *err)
{
    *setup = (struct api_setup){0};
    int code = options_parse_listen(options->listen, setup->address, sizeof setup->address, &api->port, err);
    if (!code)
        code = api_setup_read_token(options, setup, err);
    if (!code && (options->tls_certificate[0] || options->tls_key[0]))
        code = api_setup_read_certificate(options, setup, err);
    if (code)
        return code;
    api->address = setup->address;
    api->token = setup->token.size ? setup->token.data : NULL;
    api->certificate = setup->certificate.size ? setup->certificate.data : NULL;
    api->key = setup->key.data;
    api->reads_need_token = strcmp(options->read_access, "token") == 0;
    api->cors_origin = options->cors_origin[0] ? options->cors_origin : NULL;
    api->connections_max = (unsigned)options->http_connections;
    api->connections_per_address = (unsigned)options->http_connections_per_address;
    api->threads = (unsigned)options->http_threads;
    api->requests_per_s = options->rate_limit;
    api->requests_per_s_loopback = options->rate_limit_loopback;
    fit_files(api);
    return 0;
}

void api_setup_log(const struct options *options, const char *url)
{
    const char *host = strstr(url, "://") + 3;
    int is_loopback = strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0;
    if (is_loopback)
        return;
    if (!options->tls_certificate[0])
        log_warning("tokens and answers travel unencrypted: set tls-certificate and tls-key, or put "
                    "a proxy with TLS in front",
                    log_text("url", url), log_end);
    if (strcmp(options->read_access, "open") == 0)
        log_warning("anyone who can reach this address may read; read-access = token requires a token",
                    log_text("url", url), log_end);
}

int api_setup_write_address(const struct options *options, const char *url, struct err *err)
{
    char line[256], event[256];
    int length = snprintf(line, sizeof line, "%s\n", url);
    (void)snprintf(event, sizeof event, "listening on %s", url);
    log_info(event, log_end); /* before the file: who finds that finds this in the log */
    char *path = file_join(options->state, "address");
    if (!path)
        return err_set(err, ERR_NO_MEMORY, "address: out of memory");
    int code = file_write_atomic(path, line, (size_t)length, 0644, err);
    free(path);
    return code;
}

void api_setup_log_change(void *context, const struct api_change *change)
{
    /* without a token only programs of this machine write */
    const char *by = change->by_name[0] ? change->by_name : "loopback";
    (void)context;
    if (change->token)
        log_info(change->event, log_int("token", change->token), log_text("name", change->name),
                 log_text("by", by), log_int("by_token", change->by_token), log_end);
    else if (change->sweep)
        log_info(change->event, log_int("sweep", change->sweep), log_text("model", change->name),
                 log_text("by", by), log_int("by_token", change->by_token), log_end);
    else
        log_info(change->event, log_text("model", change->name), log_text("by", by),
                 log_int("by_token", change->by_token), log_end);
}

void api_setup_free(struct api_setup *setup)
{
    if (setup->key.data)
        explicit_bzero(setup->key.data, setup->key.size);
    if (setup->token.data)
        explicit_bzero(setup->token.data, setup->token.size);
    buf_free(&setup->token);
    buf_free(&setup->certificate);
    buf_free(&setup->key);
}
