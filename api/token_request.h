/*
 * What POST /v1/tokens takes: {"name": "ci", "scopes": ["read", "sweep"], "expires_days": 90}. null counts as
 * not given; unknown members are refused by name.
 */
#ifndef BIFURCATED_API_TOKEN_REQUEST_H
#define BIFURCATED_API_TOKEN_REQUEST_H

#include "daemon/base/err.h"
#include "store/tokens.h"

#include <stddef.h>

#define API_TOKEN_FIELD_SIZE 64

struct api_token_request {
    char name[TOKEN_NAME_SIZE];
    unsigned scopes;
    int64_t expires_days; /* 0: never */
};

/* Parses body[size]; on ERR_INVALID, `field` is the JSON pointer of what is wrong ("" for the whole). */
int api_token_request_parse(const char *body, size_t size, struct api_token_request *request,
                            char field[API_TOKEN_FIELD_SIZE], struct err *err);

#endif
