/*
 * From the daemon's options to those of its server: address, token file, certificate, limits.
 */
#ifndef BIFURCATED_SERVING_API_SETUP_H
#define BIFURCATED_SERVING_API_SETUP_H

#include "api/server.h"
#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/options/options.h"

/* What the server's options point to. */
struct api_setup {
    char address[64];
    struct buf token, certificate, key;
};

/* Fills in all but the store, the version and the hooks; reads the files that the options name; lets the
 * process open as many files as the connections need, or lowers their number and logs that. `setup` must
 * outlive `api`; the caller frees it, also after an error. */
int api_setup_read(const struct options *options, struct api_setup *setup, struct api_http_options *api,
                   struct err *err);

/* Reads the token alone, for a server that runs; none where the options name no file. */
int api_setup_read_token(const struct options *options, struct api_setup *setup, struct err *err);

/* Reads the certificate and its key alone, for a server that runs; logs if clients refuse it, or soon will.
 * ERR_INVALID: the options name none. */
int api_setup_read_certificate(const struct options *options, struct api_setup *setup, struct err *err);

/* Writes STATE/address: programs that started us with port 0 read there where we listen. */
int api_setup_write_address(const struct options *options, const char *url, struct err *err);

/* Logs what the administrator should know about the address that is served. */
void api_setup_log(const struct options *options, const char *url);

/* Logs who changed a token or a watch; for struct api_hooks, whose context it does not need. */
void api_setup_log_change(void *context, const struct api_change *change);

void api_setup_free(struct api_setup *setup);

#endif
