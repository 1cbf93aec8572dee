/*
 * Whether the way of a run leads by a revision, or past it: how far its neighbours are from each other.
 */
#ifndef BIFURCATED_API_SERIES_AUDIT_SKIPS_H
#define BIFURCATED_API_SERIES_AUDIT_SKIPS_H

#include "api/series/run.h"
#include "daemon/analysis/audit.h"
#include "daemon/base/err.h"
#include "store/store.h"

/* Fills in skip_msd of each suspect among the points of the run, on the sampled entries. */
int api_audit_skips_measure(struct store *store, const struct api_run *run,
                            const struct audit_options *options, struct audit_point *points, struct err *err);

#endif
