/*
 * What is checked before a handler runs. Of several faults the client is told the first, in an order that
 * is the same for every route:
 *
 *     429             the requests of its address
 *     400, 404, 405   the target, and what is there
 *     401, 403, 429   who asks (api/http/access.h), and the requests of the token
 *     400             parameters of the query
 *     413, 429        the size of the body, and the room for it
 *     415             its type
 *
 * Of OPTIONS, which is a question, only the size counts. The head comes before (api/http/head.h), what the
 * request depends on behind (api/http/precondition.h), and then what only the handler knows: the thing that
 * the path names, and what the body says.
 */
#ifndef BIFURCATED_API_HTTP_ADMIT_H
#define BIFURCATED_API_HTTP_ADMIT_H

#include "api/http/request.h"
#include "daemon/base/err.h"

/* All of it; `is_known`: the target was looked at before, and the request has its route and format. What is
 * counted is counted once, however often the request comes here. */
int api_admit(struct api_request *request, int is_known, struct api_response *response, struct err *err);

/* Takes the target apart and sets request->route. ERR_NO_ROUTE, or ERR_UNSUPPORTED with status 405. */
int api_admit_find_route(struct api_request *request, struct api_response *response, struct err *err);

/* By the header Accept, which counts where the target does not say it. Where both are as welcome, JSON. */
enum api_format api_admit_preferred_format(const struct api_request *request);

/* Sets request->format, and the type of the answer. ERR_INVALID. */
int api_admit_choose_format(struct api_request *request, struct api_response *response, struct err *err);

#endif
