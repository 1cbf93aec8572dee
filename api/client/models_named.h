/*
 * The models of a command that takes several: those that it names, or with --prefix all measured ones whose
 * names begin so, smaller ones first.
 */
#ifndef BIFURCATED_API_CLIENT_MODELS_NAMED_H
#define BIFURCATED_API_CLIENT_MODELS_NAMED_H

#include "api/client/arguments.h"
#include "api/client/link.h"

struct client_models {
    const char *names[CLIENT_WORDS_MAX]; /* borrowed: of the arguments, or of `document` */
    size_t count;                        /* at least one */
    json_t *document;                    /* what --prefix found, or NULL */
};

/* Whether a command line that names models this way is complete. ERR_INVALID: neither a model nor --prefix,
 * both, or a model twice. */
int client_models_check(const struct client_arguments *arguments, struct err *err);

/* After the check. The caller frees. ERR_NOT_FOUND: no measured model begins with the prefix. ERR_LIMIT. */
int client_models_find(const struct client_arguments *arguments, struct client_link *link,
                       struct client_models *models, struct err *err);
void client_models_free(struct client_models *models);

#endif
