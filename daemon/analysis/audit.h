/*
 * An audit of a training run's revisions: which of them cannot be what their names say.
 */
#ifndef BIFURCATED_ANALYSIS_AUDIT_H
#define BIFURCATED_ANALYSIS_AUDIT_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define AUDIT_DEFINITION 9
#define AUDIT_POINTS_MAX 100000
#define AUDIT_MISSING_MAX 10000

struct audit_point {
    double step;
    uint64_t content;  /* equal numbers: equal bytes (of the tensor, or of the file); 0: not known */
    int is_measured;   /* the others are passed over where neighbours are compared */
    double msd;        /* against the first revision; NaN if not known, as the next */
    double lag1_msd;   /* against the previous measured one */
    double skip_msd;   /* of the next measured one against the previous one, this one skipped */
    double not_finite; /* share of values that are NaN or Inf; 0 if not measured */
};

enum audit_kind {
    AUDIT_KIND_DUPLICATE,   /* equal bytes under different steps */
    AUDIT_KIND_UNCHANGED,   /* equal to the revision before it, back to the first one of its content: no
                               update yet (warm-up from 0), or training stood still */
    AUDIT_KIND_OUT_OF_LINE, /* displacement jumps here and returns */
    AUDIT_KIND_MISSING,     /* a step of the grid has no revision */
    AUDIT_KIND_NOT_FINITE,  /* values are NaN or Inf: training diverged, or the file is spoilt */
    AUDIT_KIND_REWRITTEN,   /* holds other weights than when it was measured before: found by the caller */
    AUDIT_KIND_NO_WEIGHTS,  /* its files are known, and none holds weights: found by the caller */
    AUDIT_KIND_COUNT
};

struct audit_finding {
    enum audit_kind kind;
    size_t index;    /* the revision; of MISSING: the one after the gap */
    size_t other;    /* of DUPLICATE and UNCHANGED: the earliest equal one; otherwise as index */
    double step;     /* of the revision, or the missing step */
    double evidence; /* DUPLICATE, UNCHANGED: revisions that share the content; OUT_OF_LINE: ln(MSD here / MSD
                        between the neighbours), by how much it is off; MISSING: the grid's distance;
                        NOT_FINITE: their share */
};

struct audit_options {
    double jump;       /* 0.7: a revision is out of line if its ln MSD is off by more than this from the line
                          through its neighbours ... */
    double lag_ratio;  /* 4: ... and lag-1 displacement per step, to it and from it, is more than this times
                          that of the neighbouring gaps ... */
    double skip_share; /* 0.5: ... and its neighbours are nearer to each other than this share of the shorter
                          way to it. On any path whose updates do not undo each other, they are at least as
                          far apart as both ways together, however the rate changes between them. */
    double grid_share; /* 0.5: the grid's distance is the most frequent gap, if that share of the gaps at
                          steps above it are multiples of it, and that share of its steps has a revision. So
                          steps that double (1, 2, 4, 8) are no grid of distance 1 with holes */
    int grid_gaps;     /* 3: ... and at least so many gaps have it: 0, 1, 2, 4, 8 may yet go on doubling */
};

struct audit {
    size_t finding_count;
    struct audit_finding *findings; /* by step */
    double grid;                    /* distance of the regular part of the steps; NaN if there is none */
    size_t distinct;                /* different contents among those that are known */
};

struct audit_options audit_options_default(void);

/* Whether point i can only be judged with its skip_msd: all that is known besides says out of line. Its
 * neighbours, whose displacement that is, if so. */
int audit_is_suspect(const struct audit_point *points, size_t count, size_t i,
                     const struct audit_options *options, size_t *ret_before, size_t *ret_after);

/* Audits points in ascending order of step. The caller frees with audit_free. ERR_INVALID, ERR_LIMIT,
 * ERR_NO_MEMORY. */
int audit_revisions(const struct audit_point *points, size_t count, const struct audit_options *options,
                    struct audit *ret_audit, struct err *err);
void audit_free(struct audit *audit);

/* "duplicate", "unchanged", "out_of_line", "missing", "not_finite", "rewritten", "no_weights". */
const char *audit_kind_name(enum audit_kind kind);

#endif
