/*
 * The head of a request: what its target and headers must be, before anything else is looked at. Two programs
 * must not read one request as two different ones (request smuggling), and every size has a bound.
 *
 * libmicrohttpd has twice the memory that is allowed here, so that what is too large by less than that gets
 * an answer of ours, a problem with a request id. Beyond it, and for what it cannot parse at all, it answers
 * by itself: from version 1.0 on (Debian 13) also a request without Host, with white space or a return where
 * none may be, with a header without a name, or with another transfer coding (400, not the 501 of here); a
 * target with a blank it redirects to the encoded one (301).
 */
#ifndef BIFURCATED_API_HTTP_HEAD_H
#define BIFURCATED_API_HTTP_HEAD_H

#include "api/http/request.h"

/* Why a head is refused. */
struct api_head_fault {
    int status;
    const char *in, *field; /* as of a problem; in: NULL: not said */
    const char *reason;     /* what is wrong, to which " N bytes" is added, */
    size_t bytes_max;       /* if this is not 0 */
};

/* Finds request->headers; `version` as received, "HTTP/1.1". Returns 0, or -1 with *ret_fault set for: a
 * target or headers that are too large (414, 431); no Host, two of them, or two of other headers that frame a
 * request; Content-Length beside Transfer-Encoding; names with blanks, values with carriage returns (400); a
 * transfer coding other than chunked (501); no memory (503). The connection must be closed then. */
int api_head_check(struct api_request *request, const char *version, struct api_head_fault *ret_fault);

#endif
