/*
 * ETags that were worked out before: which one belongs to a target as long as the store does not change.
 *
 * An ETag takes a look into the database and a digest; a dashboard asks for the same few targets over and
 * over. Each entry holds the version of the store at which it was right, so nothing is ever invalidated: an
 * entry of another version is simply not found. The table has a fixed size; a new target takes the place of
 * an old one.
 */
#ifndef BIFURCATED_API_MEMO_H
#define BIFURCATED_API_MEMO_H

#include "api/request.h"

#include <stdint.h>

/* Longer targets are not remembered. */
#define API_MEMO_TARGET_BYTES_MAX 512

struct api_memo;

/* NULL without memory. */
struct api_memo *api_memo_new(void);
void api_memo_free(struct api_memo *memo);

/* Whether the ETag of this target in this format is known for this version of the store; then it is in
 * ret_etag. */
int api_memo_get(struct api_memo *memo, const char *target, enum api_format format, uint64_t version,
                 char ret_etag[API_ETAG_SIZE]);

/* Remembers it. `version` must have been read before what the ETag is made of. */
void api_memo_put(struct api_memo *memo, const char *target, enum api_format format, uint64_t version,
                  const char *etag);

#endif
