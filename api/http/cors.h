/*
 * Pages of other origins: what the option cors-origin lets them do (CORS, as the Fetch standard has it).
 *
 * The option is "*" or origins with blanks or commas between them. What a page may do beyond reading is up to
 * its token: where writes need none (loopback), a preflight allows reading alone.
 */
#ifndef BIFURCATED_API_HTTP_CORS_H
#define BIFURCATED_API_HTTP_CORS_H

#include "api/http/request.h"

#include <microhttpd.h>

/* Adds the headers that each answer needs. */
void api_cors_add(const struct api_request *request, struct MHD_Response *response);

/* Adds the headers that answer a preflight; `allow` are the methods of the path. */
void api_cors_add_preflight(const struct api_request *request, const char *allow,
                            struct MHD_Response *response);

/* Whether the option, "https://a.example, https://b.example", has this origin. */
int api_cors_matches(const char *option, const char *origin);

#endif
