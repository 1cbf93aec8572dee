/*
 * A whole answer, ready to be sent: its bytes, in memory or in a file that the kernel sends, and its headers.
 *
 * One that is kept (api/http/cache.h) goes out many times. So what is the same each time is made once, as
 * responses of libmicrohttpd that all of its sendings share: the answer itself and the 304 in its place.
 */
#ifndef BIFURCATED_API_HTTP_ANSWER_H
#define BIFURCATED_API_HTTP_ANSWER_H

#include "api/http/encode.h"

#include <microhttpd.h>
#include <stdatomic.h>
#include <stddef.h>

/* Immutable once another thread can see it. */
struct api_answer {
    atomic_uint references;
    int status;
    const char *content_type;  /* static */
    const char *cache_control; /* static */
    enum api_encoding encoding;
    int varies;                    /* the header Vary is sent */
    char *etag;                    /* as sent, with quotes; or NULL */
    char *link;                    /* of the header Link; or NULL */
    char *data;                    /* NULL if the body is in fd */
    int fd;                        /* the body as a file in memory; or -1 */
    size_t size;                   /* bytes of the body */
    atomic_size_t *total;          /* the sum that they are part of; or NULL */
    struct MHD_Response *shared;   /* these headers and this body, which it then owns; or NULL */
    struct MHD_Response *is_known; /* the 304 for who has it; or NULL */
};

/* An answer with one reference, without a body. NULL without memory. */
struct api_answer *api_answer_new(int status);

/* Counts the body in *total until the answer is freed; returns what that was before. */
size_t api_answer_count(struct api_answer *answer, atomic_size_t *total);

/* Drops one reference; the last one frees. NULL is allowed. */
void api_answer_release(struct api_answer *answer);

/* Makes what all sendings of a kept answer share; a large body moves into a file in memory first, which the
 * kernel sends without copying it. Where memory or descriptors lack, the answer stays as it is. -1 if there
 * is no memory for its headers: then it must not be sent. */
int api_answer_share(struct api_answer *answer);

/* A response of its own, for one sending with more headers: the same body and headers. To be destroyed by the
 * caller; holds the body for itself. NULL without memory or descriptors. */
struct MHD_Response *api_answer_respond(struct api_answer *answer);

/* The header Vary of an answer that is formed and coded as the client asks for it. */
#define API_ANSWER_VARY "Accept, Accept-Encoding"

/* A 304 in place of an answer with this ETag (with quotes), and with that one's other headers. NULL without
 * memory. */
struct MHD_Response *api_answer_not_modified(const char *etag, const char *cache_control, const char *vary);

/* Name and value of a header; a value that is NULL or empty leaves it out. */
struct api_header {
    const char *name;
    const char *value;
};

/* Adds them all, or -1 without memory: an answer that lacks one would say something else. Without Link a page
 * is the last one, without Content-Encoding coded bytes are plain. */
int api_answer_add_headers(struct MHD_Response *response, const struct api_header *headers, size_t count);

/* Adds one that can be done without, if there is a value to it. */
void api_answer_add_header(struct MHD_Response *response, const char *name, const char *value);

#endif
