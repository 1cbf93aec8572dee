/*
 * The dashboard: the files of api/dashboard/ and the chart library, as they were put into the program.
 *
 * Each file is kept plain and compressed by gzip; its ETag is a digest of its bytes. A program that was
 * built without the chart library has no dashboard and says so.
 */
#ifndef BIFURCATED_API_DASHBOARD_H
#define BIFURCATED_API_DASHBOARD_H

#include "api/http/request.h"
#include "daemon/base/err.h"

/* Makes `response` the file of this name ("index.html", "app.js"), coded as the client takes it.
 * ERR_NOT_FOUND: no such file, or no dashboard in this program. */
int api_dashboard_serve(const struct api_request *request, const char *name, struct api_response *response,
                        struct err *err);

#endif
