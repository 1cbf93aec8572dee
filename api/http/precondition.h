/*
 * What a request depends on (RFC 9110, 13.1): of two people who change the same thing, the second one
 * learns of the first one's change.
 *
 * Whatever a GET of its path would answer now is what a write is compared with, since that is what its
 * client has read. Some answers also show what changes by itself, such as the progress of a sweep or when a
 * watch last ran. The ETag of such an answer begins with digits of what a write would change, and only
 * those are compared: a run between a read and a write is no conflict.
 */
#ifndef BIFURCATED_API_HTTP_PRECONDITION_H
#define BIFURCATED_API_HTTP_PRECONDITION_H

#include "api/http/request.h"
#include "daemon/base/buf.h"
#include "daemon/base/err.h"

/* The digits of what a write would change. */
int api_precondition_digits(const struct buf *setting, char ret_digits[API_SETTING_SIZE], struct err *err);

/* The same of a setting of a few words. */
int api_precondition_digits_of(char ret_digits[API_SETTING_SIZE], struct err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The ETag of an answer: the digits, and those of its body. */
int api_precondition_etag(const char *digits, struct api_response *response, struct err *err);

/* Whether a request depends on what is there. */
int api_precondition_is_set(const struct api_request *request);

/* Compares If-Match with the digits, or the whole ETag, of what is there; NULL: nothing is. Returns
 * ERR_CONFLICT with status 412 where it does not name them, ERR_INVALID where it names nothing at all. */
int api_precondition_check_match(const struct api_request *request, const char *digits,
                                 struct api_response *response, struct err *err);

/* The same of a write, with If-None-Match as well, which a read is answered with 304 for. */
int api_precondition_check(const struct api_request *request, const char *digits,
                           struct api_response *response, struct err *err);

#endif
