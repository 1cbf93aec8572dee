/*
 * For audit.c: revisions of a folder whose names hold other weights than when they were measured before.
 */
#ifndef BIFURCATED_API_SERIES_AUDIT_REWRITES_H
#define BIFURCATED_API_SERIES_AUDIT_REWRITES_H

#include "api/series/run.h"
#include "daemon/base/err.h"
#include "store/store.h"

#include <stddef.h>

struct api_audit_rewrites {
    size_t count;
    struct api_audit_rewrite {
        size_t index;  /* of the run's points */
        double cosine; /* of the sampled entries, with those before; NaN if that is not known */
        int is_of_one_run;
    } * rows;
};

/* Each revision once, in the order of the run; none of models on the hub. The caller frees it. */
int api_audit_rewrites_read(struct store *store, const struct api_run *run,
                            struct api_audit_rewrites *ret_rewrites, struct err *err);

/* Frees the rows, not the struct. */
void api_audit_rewrites_free(struct api_audit_rewrites *rewrites);

#endif
