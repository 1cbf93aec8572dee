/*
 * Targets that were read before: the route, the format and the ETag of the answer, as long as the store does
 * not change.
 *
 * To take a target apart, to find its route, to look into the database and to make a digest costs more than
 * to send what is kept; a dashboard asks for the same few targets over and over. Each entry holds the version
 * of the store at which it was right, so nothing is ever invalidated: an entry of another version is simply
 * not found. The table has a fixed size; a new target takes the place of an old one.
 */
#ifndef BIFURCATED_API_HTTP_MEMO_H
#define BIFURCATED_API_HTTP_MEMO_H

#include "api/http/request.h"

#include <stddef.h>
#include <stdint.h>

/* Longer targets are not remembered. */
#define API_MEMO_TARGET_BYTES_MAX 512

struct api_memo;

/* All of a request to read that its answer depends on. */
struct api_memo_key {
    const char *target; /* as received; borrowed */
    size_t target_size;
    enum api_format preferred; /* by the header Accept */
};

struct api_memo_entry {
    const struct api_route *route;
    enum api_format format; /* of the answer */
    char etag[API_ETAG_SIZE];
};

/* NULL without memory. */
struct api_memo *api_memo_new(void);
void api_memo_free(struct api_memo *memo);

/* Whether it is known for this version of the store; then *ret_entry is set. */
int api_memo_get(struct api_memo *memo, const struct api_memo_key *key, uint64_t version,
                 struct api_memo_entry *ret_entry);

/* Remembers it. `version` must have been read before what the ETag is made of. */
void api_memo_put(struct api_memo *memo, const struct api_memo_key *key, uint64_t version,
                  const struct api_memo_entry *entry);

#endif
