/*
 * Lists as tables: a page of JSON, cut down to what `fields` names or turned into CSV where the request wants
 * that. A handler renders its page once, as JSON, so that the forms cannot differ.
 *
 *     int code = api_listing_check(request, &sweeps, response, err);
 *     ... the page, {"sweeps":[{...},...],"next_cursor":...}, into response->body ...
 *     code = api_listing_finish(request, &sweeps, response, err);
 */
#ifndef BIFURCATED_API_HTTP_LISTING_H
#define BIFURCATED_API_HTTP_LISTING_H

#include "api/http/request.h"
#include "daemon/base/err.h"

#define API_LISTING_COLUMNS_MAX 40

/* What a list is made of. Names with a space before and after each; a dot reaches into a member, as in
 * "progress.done". tests/e2e/test_openapi.py compares them with the description of `fields`. */
struct api_listing {
    const char *key;     /* of the list within the page */
    const char *columns; /* of CSV without `fields`, in this order: texts, numbers, truth, times */
    const char *others;  /* that `fields` may name as well; "" for none */
};

/* ERR_INVALID for a `fields` with a name that the list lacks or that is there twice. */
int api_listing_check(const struct api_request *request, const struct api_listing *listing,
                      struct api_response *response, struct err *err);

/* Gives the page in response->body the form that was asked for. In CSV null is an empty cell, a list of texts
 * has spaces between them, and any other list or object is its JSON. */
int api_listing_finish(const struct api_request *request, const struct api_listing *listing,
                       struct api_response *response, struct err *err);

#endif
