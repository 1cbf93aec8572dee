/*
 * Lists of the API, which come in pages, as one document.
 */
#ifndef BIFURCATED_API_CLIENT_PAGES_H
#define BIFURCATED_API_CLIENT_PAGES_H

#include "api/client/link.h"
#include "daemon/base/err.h"

#include <jansson.h>

/* GET of all pages: the list `key` of the first one, and what is `damaged`, get the rows of the others.
 * ERR_LIMIT: all together they are larger than one answer may be. The caller releases *ret_document. */
int pages_get(struct client_link *link, const char *target, const char *key, json_t **ret_document,
              struct err *err);

#endif
