/*
 * An HTTP connection to a daemon: one exchange after the other, problems as errors. Used by `bifurcate`
 * (api/client/link.h) and by remote workers. One thread at a time.
 */
#ifndef BIFURCATED_API_CLIENT_REST_H
#define BIFURCATED_API_CLIENT_REST_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <curl/curl.h>
#include <stddef.h>

#define REST_TOKEN_BYTES_MAX 4096

struct rest;

struct rest_options {
    const char *server;     /* "http://127.0.0.1:7143", "https://..." */
    const char *token;      /* bearer token, or NULL */
    const char *token_path; /* its file, which is read anew once a daemon refuses the token; or NULL */
    const char *ca_file;    /* certificates (PEM) to trust instead of the system's, or NULL */
    const char *agent;      /* "bifurcate/0.1.0" */
    /* Whether what runs shall end with ERR_CANCELLED; asked at least once a second. May be NULL. */
    int (*is_cancelled)(void *context);
    void *context;
};

struct rest_request {
    const char *method;
    const char *target; /* path and query */
    const char *type;   /* of the body; NULL: JSON */
    const char *body;   /* or NULL */
    size_t body_size;
    const char *header; /* one more line, or NULL */
    long timeout_s;     /* for the whole exchange; 0: five minutes */
};

/* Strings are copied. ERR_INVALID: the server is no http or https URL, or the token cannot be one. The caller
 * frees. */
int rest_open(const struct rest_options *options, struct rest **ret_rest, struct err *err);
void rest_close(struct rest *rest);

/* The server's URL without a final slash; borrowed. */
const char *rest_server(const struct rest *rest);

/* Reads a token from a file, without blanks at its end; ERR_INVALID if it is empty. The caller frees. */
int rest_read_token(const char *path, char **ret_token, struct err *err);

/*
 * One exchange. Appends the answer to `answer`; *ret_status (may be NULL) becomes its status. An answer that
 * is a problem becomes an error: ERR_NOT_FOUND for 404, ERR_INVALID for 400, 413, 415, ERR_UNAUTHORIZED for
 * 401 and 403, ERR_CONFLICT for 409, ERR_RATE_LIMITED for 429, else ERR_HTTP. ERR_NETWORK: no daemon answers,
 * or only a proxy before it. ERR_INVALID: a proxy redirects to another address.
 * ERR_LIMIT: the answer does not fit.
 */
int rest_exchange(struct rest *rest, const struct rest_request *request, struct buf *answer, int *ret_status,
                  struct err *err);

/* The name of the error in an answer that is a problem ("conflict"), as a code; 0 if it has none. */
int rest_problem_code(const struct buf *answer);

/* -- For api/client/link.c, which reads streams -- */

/* The handle, ready for a GET of target but for its headers, which the caller completes and frees. */
int rest_prepare(struct rest *rest, const char *target, CURL **ret_curl, struct curl_slist **ret_headers,
                 struct err *err);
/* Appends a line; nonzero without memory, and then there must be no request, since it would be another one.
 */
int rest_add_header(struct curl_slist **headers, const char *line);
int rest_network_error(const struct rest *rest, CURLcode code, struct err *err);
/* The error that an answer to a GET of target means whose status is no success, as rest_exchange() has it. */
int rest_answer_error(const struct rest *rest, const char *target, long status, const struct buf *answer,
                      struct err *err);

#endif
