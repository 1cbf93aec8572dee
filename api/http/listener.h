/*
 * The socket that the server listens on.
 *
 * What others can reach needs a token. That is checked before the socket is opened, and again of where it
 * really is.
 */
#ifndef BIFURCATED_API_HTTP_LISTENER_H
#define BIFURCATED_API_HTTP_LISTENER_H

#include "daemon/base/err.h"

struct api_http;
struct api_http_options;

/* Opens, binds and listens as the options say, or takes over what they hand over; the caller closes *ret_fd.
 * ERR_INVALID (no address in numbers, or no token where there must be one), ERR_CONFLICT (the port is taken),
 * ERR_IO. */
int api_listener_open(struct api_http *http, int *ret_fd, struct err *err);

/* Whether the port can be had now, by the options' address and port alone: before what cannot be taken back.
 * ERR_INVALID, ERR_CONFLICT, ERR_IO. */
int api_listener_try(const struct api_http_options *options, struct err *err);

/* What was handed over and is not at the right place stays as it is until the start is known to have
 * succeeded, which this says: then nobody listens there any more. Only where that keeps the new socket from
 * its port it stops listening before, and api_listener_return() makes it listen again. */
void api_listener_let_go(struct api_http *http);
void api_listener_return(struct api_http *http);

/* Reads back where the socket is bound, which port 0 leaves open, and sets the port, url and
 * is_loopback. ERR_INVALID (no token where there must be one), ERR_IO. */
int api_listener_take(struct api_http *http, int fd, struct err *err);

#endif
