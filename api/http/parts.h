/*
 * An answer that is made while it is sent, part after part, for what is too large for one body: it takes the
 * memory of one part. It has an ETag as others, but is neither coded nor kept.
 *
 * Its parts are those of one moment, whenever they are made; once one cannot be had any more, the connection
 * is cut, so that nobody takes what has come for the whole.
 */
#ifndef BIFURCATED_API_HTTP_PARTS_H
#define BIFURCATED_API_HTTP_PARTS_H

#include "api/http/request.h"
#include "daemon/base/buf.h"
#include "daemon/base/err.h"

struct api_parts {
    void *context;
    size_t memory_bytes; /* about what it takes until its client has read all, for the bounds on answers */
    /* Appends the next part to the buffer, or fails; nothing: it was the last one. */
    int (*next)(void *context, struct buf *part, struct err *err);
    void (*free)(void *context);
};

/* Makes them the answer. Takes over the context, also after an error. ERR_NO_MEMORY, also where answers that
 * are being read leave no room for it. */
int api_parts_answer(struct api_request *request, const struct api_parts *parts,
                     struct api_response *response, struct err *err);

#endif
