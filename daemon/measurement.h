/*
 * A measured tensor, ready to be recorded: what a device pass counted (gpu/statistics.h), turned into the
 * numbers of the series (daemon/analysis) and into the bytes that are kept.
 */
#ifndef BIFURCATED_DAEMON_MEASUREMENT_H
#define BIFURCATED_DAEMON_MEASUREMENT_H

#include "daemon/analysis/sample.h"
#include "daemon/analysis/summary.h"
#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "gpu/statistics.h"

enum measurement_view { MEASUREMENT_VIEW_RAW, MEASUREMENT_VIEW_CENTRED, MEASUREMENT_VIEW_COUNT };

struct measurement_displacement {
    uint64_t elements;           /* pairs of finite elements; 0: there was no such reference */
    double msd;                  /* NaN without pairs */
    double cosine;               /* NaN where a norm is 0 */
    double norm, reference_norm; /* Euclidean */
};

struct measurement {
    struct summary summaries[STATISTICS_ROW_SET_COUNT][MEASUREMENT_VIEW_COUNT];
    struct measurement_displacement displacements[STATISTICS_REFERENCES_MAX][STATISTICS_ROW_SET_COUNT];
    /* Bytes as in analysis/encoding.h. */
    struct buf distributions[STATISTICS_ROW_SET_COUNT][MEASUREMENT_VIEW_COUNT];
    struct buf columns[STATISTICS_ROW_SET_COUNT];
    struct buf sample; /* SAMPLE_SEED, of the token rows */
};

/* Turns the result of a pass into a measurement; the request tells dtype, shape and data (for the sample).
 * The caller frees it with measurement_free. Takes some tens of milliseconds of one processor. */
int measurement_make(const struct statistics_request *request, const struct statistics_result *result,
                     struct measurement *ret_measurement, struct err *err);

/* Takes half-built ones. */
void measurement_free(struct measurement *measurement);

/* Wasserstein-1 distance between two distributions as kept; NaN if one is empty. */
int measurement_wasserstein1(const void *a, size_t a_size, const void *b, size_t b_size, double *ret_distance,
                             struct err *err);

#endif
