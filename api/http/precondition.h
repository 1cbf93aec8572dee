/*
 * What a write depends on (RFC 9110, 13.1): of two people who change the same thing, the second one learns of
 * the first.
 *
 * What can be changed may also show what changes by itself, such as when it ran last. So the ETag of such an
 * answer begins with digits of what can be changed alone, and only those are compared: a run between a read
 * and a write is no conflict.
 */
#ifndef BIFURCATED_API_HTTP_PRECONDITION_H
#define BIFURCATED_API_HTTP_PRECONDITION_H

#include "api/http/request.h"
#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#define API_SETTING_SIZE 17 /* 16 hexadecimal digits and a 0 */

/* The digits of what can be changed. */
int api_precondition_digits(const struct buf *setting, char ret_digits[API_SETTING_SIZE], struct err *err);

/* The ETag of an answer: the digits, and those of its body. */
int api_precondition_etag(const char *digits, struct api_response *response, struct err *err);

/* Whether a write depends on what is there. */
int api_precondition_is_set(const struct api_request *request);

/* Compares If-Match and If-None-Match with the digits of what is there; NULL: nothing is. Returns
 * ERR_CONFLICT with status 412 where they do not hold. */
int api_precondition_check(const struct api_request *request, const char *digits,
                           struct api_response *response, struct err *err);

#endif
