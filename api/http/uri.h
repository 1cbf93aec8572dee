/*
 * The target of a request, "/v1/models/EleutherAI/pythia-14m?limit=5", taken apart.
 *
 * The path is split at its slashes first and each segment decoded afterwards, so that a name may hold an
 * encoded slash ("file/%2Fdata%2Frun1") and an encoded slash never makes a new segment. Refused with a
 * reason: a bad percent sign, control characters, text that is not UTF-8, an empty, "." or ".." segment, a
 * parameter given twice.
 */
#ifndef BIFURCATED_API_HTTP_URI_H
#define BIFURCATED_API_HTTP_URI_H

#include "daemon/base/err.h"

#include <stddef.h>

#define API_URI_SEGMENTS_MAX 8
#define API_URI_PARAMETERS_MAX 32

struct api_uri_parameter {
    const char *name;
    const char *value;
};

struct api_uri {
    void *block; /* owned: holds all that follows, texts decoded and terminated */
    const char *segments[API_URI_SEGMENTS_MAX];
    size_t segment_count; /* 0 for "/" */
    struct api_uri_parameter *parameters;
    size_t parameter_count; /* at most API_URI_PARAMETERS_MAX */
    /* After an error: the decoded name of the parameter at fault, "" if it has none that can be said; NULL:
     * the fault is not in the query. */
    const char *faulty;
};

/* Parses; the caller frees *uri with api_uri_free, also after an error. ERR_INVALID, ERR_LIMIT,
 * ERR_NO_MEMORY. An absolute target ("http://host/path") counts as its path. */
int api_uri_parse(const char *target, struct api_uri *uri, struct err *err);

void api_uri_free(struct api_uri *uri);

/* The value of a parameter, "" if it has none; NULL if it was not given. */
const char *api_uri_find(const struct api_uri *uri, const char *name);

#endif
