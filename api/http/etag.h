/*
 * Strong ETags: of what an answer depends on, or of its bytes; in each coding another one.
 */
#ifndef BIFURCATED_API_HTTP_ETAG_H
#define BIFURCATED_API_HTTP_ETAG_H

#include "api/http/encode.h"
#include "api/http/request.h"
#include "daemon/base/err.h"

#define API_ETAG_SENT_SIZE (API_ETAG_SIZE + 16)

/* What the answer of the request's route depends on, as an ETag without quotes; "" where that is not known
 * beforehand. Looks into the store. */
int api_etag_of_request(const struct api_request *request, char ret_etag[API_ETAG_SIZE], struct err *err);

/* Sets response->etag, of a read that has none yet: from its body, for answers that depend on more than a
 * version. */
void api_etag_of_body(const struct api_request *request, struct api_response *response);

/* As it is sent: "ETAG" or "ETAG-CODING", with quotes. */
void api_etag_format(char text[API_ETAG_SENT_SIZE], const char *etag, enum api_encoding encoding);

/* Whether If-None-Match names this representation, in any coding. Then ret_sent is the ETag that the client
 * has, with its quotes; "" for "*", which names none. */
int api_etag_is_known(const struct api_request *request, const char *etag, char ret_sent[API_ETAG_SENT_SIZE]);

#endif
