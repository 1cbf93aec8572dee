/*
 * The few header fields of an answer that the client acts upon, parsed line by line as they arrive.
 */
#ifndef BIFURCATED_HUB_HEADERS_H
#define BIFURCATED_HUB_HEADERS_H

#include <stddef.h>
#include <stdint.h>

#define HEADERS_ETAG_SIZE 256

struct headers {
    size_t total_bytes;           /* of all lines, to bound them */
    char *location;               /* or NULL */
    char *link_next;              /* target of Link: <...>; rel="next", or NULL */
    char etag[HEADERS_ETAG_SIZE]; /* without quotes and W/; "" if absent or too long */
    int is_etag_weak;
    char linked_etag[HEADERS_ETAG_SIZE]; /* X-Linked-Etag, likewise */
    char repo_commit[64];                /* X-Repo-Commit */
    char error_code[64];                 /* X-Error-Code */
    char error_message[256];             /* X-Error-Message */
    int has_linked_size;
    uint64_t linked_size_bytes; /* X-Linked-Size */
    int has_content_length;
    uint64_t content_length_bytes;
    int has_content_range;           /* "bytes A-B/N" */
    uint64_t range_begin, range_end; /* end is exclusive; both 0 for "bytes * / N" */
    int has_range_total;
    uint64_t range_total_bytes;
    int is_encoded;             /* Content-Encoding other than identity */
    int64_t retry_after_ms;     /* Retry-After; -1 if absent or nonsense */
    int64_t retry_at_ms;        /* the same as a date, since 1970; -1: it is none */
    int64_t date_ms;            /* Date, since 1970; -1 if absent */
    int64_t ratelimit_left;     /* r= of RateLimit; -1 if absent */
    int64_t ratelimit_reset_ms; /* t= of RateLimit; -1 if absent */
};

/* All absent; frees nothing. */
void headers_init(struct headers *headers);

/* Frees what the lines allocated; the object is as after headers_init. */
void headers_free(struct headers *headers);

/* Takes one line, with or without its line end; what is not understood is ignored. Returns nonzero only
 * without memory. A date in Retry-After counts from Date, without one from `wall_ms` (since 1970). */
int headers_parse_line(struct headers *headers, const char *line, size_t size, int64_t wall_ms);

/* The target of rel="next" in the value of a Link field, as a new string; NULL if there is none. */
char *headers_link_next(const char *value);

#endif
