/*
 * A request while it is being answered, and its answer before it is sent. Handlers see only these two: what
 * libmicrohttpd wants is done around them.
 */
#ifndef BIFURCATED_API_HTTP_REQUEST_H
#define BIFURCATED_API_HTTP_REQUEST_H

#include "api/http/encode.h"
#include "api/http/limiter.h"
#include "api/http/token_table.h"
#include "api/http/uri.h"
#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/base/limits.h"

#include <stddef.h>
#include <stdint.h>

#define API_REQUEST_ID_SIZE 65
#define API_REQUEST_ARGUMENTS_MAX 3
#define API_ETAG_SIZE 48
#define API_SETTING_SIZE 17 /* 16 hexadecimal digits and a 0 */
#define API_FIELD_SIZE 160
#define API_LOCATION_SIZE 64
#define API_ALLOW_SIZE 64
#define API_CHALLENGE_SIZE 128

struct api_answer;
struct api_context;
struct api_http;
struct api_peer;
struct MHD_Connection;
struct MHD_Response;
struct api_route;

enum api_format { API_FORMAT_JSON, API_FORMAT_CSV };

/* What most requests are asked for, found in one look at all headers (api/http/head.h). NULL: not given; of
 * several of a name, the first, but that those of a list are joined. */
struct api_headers {
    const char *accept;
    const char *accept_encoding;
    const char *authorization;
    const char *content_length;
    const char *expect;
    const char *host;
    const char *if_match;
    const char *if_none_match;
    const char *request_id;
    const char *transfer_encoding;
};

/* The headers whose value is a list. */
enum api_header_list {
    API_LIST_ACCEPT,
    API_LIST_ACCEPT_ENCODING,
    API_LIST_IF_MATCH,
    API_LIST_IF_NONE_MATCH,
    API_LIST_COUNT
};

struct api_request {
    struct api_http *http;
    const struct api_context *context; /* what handlers are given beside the request */
    struct MHD_Connection *connection;
    struct api_peer *peer;        /* NULL without memory */
    struct api_answer *answer;    /* that it is being sent; NULL before, and for others than whole ones */
    char id[API_REQUEST_ID_SIZE]; /* "" until somebody asks for it, see api_request_id */
    int has_own_id;               /* the client gave the id */
    const char *target;           /* as received; lies behind this struct */
    size_t target_size;           /* its bytes */
    struct api_headers headers;
    struct buf joined[API_LIST_COUNT]; /* of several lines of a list; lies behind `headers` then */
    struct api_uri uri;                /* once api_request_parse() was called */
    int is_parsed;
    const char *method;                               /* of libmicrohttpd, valid until completion */
    const struct api_route *route;                    /* NULL: none matched */
    const char *arguments[API_REQUEST_ARGUMENTS_MAX]; /* values of {names} in the pattern, in order */
    enum api_format format;
    int is_counted;               /* by the limits of requests */
    int is_failure_counted;       /* its token did not count, and the address has one failure less */
    int64_t failure_wait_s;       /* then: 0, or how long the address has none left */
    struct api_limit limit;       /* what is left of its bucket; all zero without a limit */
    struct api_identity identity; /* whose token it carried; all zero without one */
    struct buf body;
    size_t body_max;      /* of this request */
    size_t body_held;     /* bytes of it that are counted in http->body_bytes */
    int is_crowded;       /* there was no room for it beside the others' */
    size_t body_received; /* bytes, also those beyond the bound that were dropped */
    double started_s;     /* monotonic */
    int is_begun;         /* the headers are complete */
    int must_close;       /* nothing else is read from the connection */
    int is_stream;        /* an event stream answers it */
    int status;           /* 0 until an answer was queued */
    uint64_t answer_bytes;
    int is_cached;
    /* of a request whose connection was suspended (response->is_waiting) */
    int64_t wait_until_ms; /* when it is answered in any case, monotonic */
    int has_waited;        /* it comes again */
    /* of a handler that must know what became of its answer: called once, when the request ends */
    void (*on_end)(struct api_request *request, int is_delivered); /* NULL: nobody asks */
    void *kept;                                                    /* the handler's, until then */
};

struct api_response {
    int status;               /* 200 unless set */
    const char *content_type; /* static text; JSON unless set */
    struct buf body;
    char etag[API_ETAG_SIZE];       /* without quotes; "": made from the body */
    char setting[API_SETTING_SIZE]; /* what of the ETag writes are compared with; "": all (precondition.h) */
    const char *cache_control;      /* static; "no-cache" unless set */
    char location[API_LOCATION_SIZE];   /* "": none */
    char allow[API_ALLOW_SIZE];         /* of the header Allow; "": none */
    int64_t retry_after_s;              /* of the header Retry-After; 0: a few seconds, where it is needed */
    char challenge[API_CHALLENGE_SIZE]; /* of the header WWW-Authenticate; "": none */
    struct buf link;                    /* of the header Link; empty: none */
    int is_waiting;                     /* not answered now: the connection is suspended and comes again */
    struct MHD_Response *stream;        /* instead of a body; owned */
    int is_in_parts;            /* the stream is an answer with an end (api/http/parts.h), no events */
    const unsigned char *fixed; /* instead of a body: bytes of the program, coded as fixed_encoding */
    size_t fixed_size;
    enum api_encoding fixed_encoding;
    const char *policy; /* static, of the header Content-Security-Policy; NULL: none */
    /* for a problem: what is wrong where */
    const char *problem_in; /* "body", "query", "path", "header"; NULL: not said */
    char problem_field[API_FIELD_SIZE];
};

/* The value of any header, or NULL. Borrowed until completion. */
const char *api_request_header(const struct api_request *request, const char *name);

/* Whether it only reads: GET or HEAD. */
int api_request_is_read(const struct api_request *request);

/* The id of the request, of the client's or made up. */
const char *api_request_id(struct api_request *request);

/* Takes the target apart, if that was not done yet. As api_uri_parse; the response says what was wrong. */
int api_request_parse(struct api_request *request, struct api_response *response, struct err *err);

/* A new request for a target as received. NULL without memory. */
struct api_request *api_request_new(struct api_http *http, const char *target);
void api_request_free(struct api_request *request);

/* Some more bytes of its body arrived. Without room for them beside what others are sending
 * (bodies_bytes_max), the request keeps nothing of its body and is answered with 429. Small ones always have
 * room: the number of connections bounds them. */
void api_request_add_body(struct api_request *request, const char *data, size_t size);

/* A parameter of the query as an integer in [min, max]; *value stays if it was not given. ERR_INVALID. */
int api_request_integer(const struct api_request *request, const char *name, int64_t min, int64_t max,
                        int64_t *value, struct api_response *response, struct err *err);

/* As above for "true" or "false". */
int api_request_boolean(const struct api_request *request, const char *name, int *value,
                        struct api_response *response, struct err *err);

void api_response_init(struct api_response *response, size_t body_max);
void api_response_done(struct api_response *response);

/* Says which part of the request is wrong, then fails with `code`; `in` and `field` as in the problem's
 * members, `field` a JSON pointer for the body and a name for the others. */
int api_response_refuse(struct api_response *response, const char *in, const char *field, struct err *err,
                        enum err_code code, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Passes on `code` of a reader of the body, who has found the fault at this JSON pointer ("": the whole). */
int api_response_name_body(struct api_response *response, int code, const char *pointer);

/* The same of a reader whose message begins with the member at fault (api/wire/wire.h). */
int api_response_name_member(struct api_response *response, int code, const struct err *err);

#endif
