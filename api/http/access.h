/*
 * Who may do what.
 *
 * A route names a right (api/http/route.h); a request has the rights of the token that it carries, and those
 * that need none:
 *
 *   public   always open: probes, the dashboard's pages, the description. They show no data.
 *   read     open, unless the option read-access asks for a token; on a daemon that listens on loopback and
 *            has no token-file, only under a name that no foreign site can have
 *   sweep, worker, remove
 *            open only on a daemon that listens on loopback and has no token-file; then only to programs of
 *            this machine and to the daemon's own pages, not to those of foreign sites, nor to what a proxy
 *            says to have passed on
 *   admin    never open; its scope is also what `remove` asks of a token
 *
 * Requests are limited by address and by token; addresses of this machine have a limit of their own, by
 * default none. A token that does not count costs its address one of a few; beyond them it gets 429 instead
 * of 401. One that counts is never refused for the failures of others.
 *
 * Refusals are 401 (no token, or none that counts) and 403 (a token that does not allow this), both with
 * WWW-Authenticate as RFC 6750 has it.
 */
#ifndef BIFURCATED_API_HTTP_ACCESS_H
#define BIFURCATED_API_HTTP_ACCESS_H

#include "api/http/request.h"
#include "api/http/route.h"

/* Sets request->identity; the request's route is known. ERR_UNAUTHORIZED with the response's status and
 * challenge. */
int api_access_check(struct api_request *request, struct api_response *response, struct err *err);

/* Takes a request from the bucket of the address, if such are limited. ERR_RATE_LIMITED. */
int api_access_limit_address(struct api_request *request, struct api_response *response, struct err *err);

/* The same of the token that api_access_check() found, if there was one. */
int api_access_limit_token(struct api_request *request, struct api_response *response, struct err *err);

/* Whether the request comes from this machine, and such requests are not limited. */
int api_access_is_exempt(const struct api_request *request);

/* A number for where the request comes from, or 0 where it is exempt. */
uint64_t api_access_address(const struct api_request *request);

/* Whether this daemon lets anybody do it who reaches the port. */
int api_access_is_open(const struct api_http *http, enum api_right right);
#endif
