/*
 * For this folder only: one exchange over HTTP, the part of a transfer that is libcurl's: its handle with all
 * settings, what its callbacks take of the answer, and what is read of it at its end.
 */
#ifndef BIFURCATED_HUB_EXCHANGE_H
#define BIFURCATED_HUB_EXCHANGE_H

#include "daemon/hub/transfer.h"

#include <curl/curl.h>

#define EXCHANGE_STALLS_MAX                                                                                  \
    10 /* one transfer, of at most LIMIT_HUB_JSON_BYTES, takes no longer than so many */

/* Makes the transfer's handle, with the present token where the endpoint is asked; the caller adds it to a
 * multi handle and calls exchange_end(), also after an error. Returns a CURLcode. */
int exchange_prepare(const struct hub_options *options, struct token *token, struct transfer *transfer);

/* Fills in the transfer's result; takes its handle, if it has one, out of `multi` and frees it. */
void exchange_end(CURLM *multi, struct transfer *transfer, int curl_code);

#endif
