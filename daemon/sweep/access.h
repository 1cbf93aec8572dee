/*
 * Whether the hub now lets us read what it refused before (ERR_GATED), because terms were accepted or
 * somebody has logged in. It is asked with requests that fetch nothing.
 */
#ifndef BIFURCATED_SWEEP_ACCESS_H
#define BIFURCATED_SWEEP_ACCESS_H

#include "daemon/base/err.h"
#include "daemon/hub/hub.h"
#include "daemon/sweep/sweep_spec.h"
#include "store/revisions.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdint.h>

/* What a sweep would read; borrowed. */
struct access {
    struct hub *hub;
    struct store *store;
    struct repository *repository; /* of the model */
    const struct sweep_spec *spec;
    const atomic_bool *cancel;
};

/* Asks for a file of this revision: one request, since all revisions of a model are kept alike; and where the
 * sweep names a data set, for a file of that: three more, which are added to *request_count. 0: a sweep may
 * read all of it. Any error says why not, or why that could not be found out. */
int access_ask(const struct access *access, const struct revision_row *revision, uint64_t *request_count,
               struct err *err);

#endif
