/*
 * What a table of routes is made of, and the search in it.
 */
#ifndef BIFURCATED_API_HTTP_ROUTE_H
#define BIFURCATED_API_HTTP_ROUTE_H

#include "api/http/request.h"
#include "api/http/uri.h"
#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* What an answer depends on: its strong ETag is made from that, and it may be kept until that changes. */
enum api_scope {
    API_SCOPE_NONE,    /* time, too: the ETag is made from the body, nothing is kept */
    API_SCOPE_PROGRAM, /* nothing but the program */
    API_SCOPE_STORE,   /* the version of the store */
    API_SCOPE_PATH,    /* the version of what the path names, see struct api_route_table */
};

/* What a request must be allowed to do. */
enum api_right {
    API_RIGHT_PUBLIC, /* nothing: probes, pages, the description */
    API_RIGHT_READ,   /* look */
    API_RIGHT_SWEEP,  /* start and cancel sweeps, keep watches */
    API_RIGHT_WORKER, /* claim tasks and hand in what was measured */
    API_RIGHT_REMOVE, /* take from others what they have measured */
    API_RIGHT_ADMIN,  /* everything else, such as tokens */
};

struct api_route {
    const char *method;
    const char *pattern;   /* "/v1/models/{owner}/{name}" */
    const char *operation; /* operationId of openapi.json */
    int (*handler)(struct api_request *request, struct api_response *response, struct err *err);
    const char *parameters; /* names that the query may hold, each between spaces: " limit cursor " */
    enum api_scope scope;
    int has_csv; /* answers in CSV as well */
    enum api_right right;
    const char *takes; /* the type that its body must have; NULL: it has none */
};

/* The table, and what only the owners of its rows know. */
struct api_route_table {
    const struct api_route *rows;
    size_t count;

    /* The version of what the path names, for API_SCOPE_PATH, and the number that stands for it.
     * ERR_NOT_FOUND. */
    int (*version)(const struct api_request *request, int64_t *ret_id, uint64_t *ret_version,
                   struct err *err);

    /* Whether it puts something else in the place of what is there, which none of these may do while another
     * one compares it (If-Match). */
    int (*is_replacing)(const struct api_route *route);

    /* How large the body of a request may be whose sender may do what the route does; 0: no more than of
     * others. */
    size_t (*body_max)(const struct api_route *route);
};

/*
 * The route of a method and path; writes the values of the pattern's {names} to
 * arguments[API_REQUEST_ARGUMENTS_MAX]. HEAD finds the route of GET. NULL if there is none: *ret_allow then
 * holds the methods that the path has ("GET, HEAD, POST, OPTIONS"); for an unknown path, or where there is
 * one, it is empty.
 */
const struct api_route *api_route_find(const struct api_route_table *table, const char *method,
                                       const struct api_uri *uri, const char **arguments,
                                       char ret_allow[API_ALLOW_SIZE]);

#endif
