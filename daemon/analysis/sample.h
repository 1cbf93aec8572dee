/*
 * Trajectories: the same few entries of a matrix at every revision, from which the displacement between any
 * two revisions can be estimated later without fetching a tensor again.
 *
 * The entries are stratified: the matrix in row-major order is cut into SAMPLE_COUNT stretches of equal
 * length (within one), and one entry of each is drawn. Which ones is a pure function of seed, rows and
 * columns, so that equal shapes give equal entries at every revision and on every machine.
 */
#ifndef BIFURCATED_ANALYSIS_SAMPLE_H
#define BIFURCATED_ANALYSIS_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#define SAMPLE_DEFINITION 1
#define SAMPLE_COUNT 4096
#define SAMPLE_SEED 240308739U

/* SAMPLE_COUNT, or all entries of a smaller matrix. rows * columns must be under 2^50. */
size_t sample_count(uint64_t rows, uint64_t columns);

/* Position, in row-major order, of the i-th entry: row * columns + column. */
uint64_t sample_index(uint64_t seed, uint64_t rows, uint64_t columns, size_t i);

struct sample_displacement {
    size_t count;     /* pairs of finite values */
    double msd;       /* mean of (b - a)^2; NaN without pairs */
    double msd_error; /* its standard error, from the spread of the squares; NaN under 2 */
    double cosine;    /* NaN where a norm is 0 */
};

/* The displacement between two samples of the same entries. */
struct sample_displacement sample_displacement_of(const float *a, const float *b, size_t count);

/* Whether two samples of one step may be of one run, that went on from an earlier checkpoint or began anew
 * from the same start: their cosine is at least 0.5. Weights that began with different random numbers have
 * one near 0. 1 where it is not known. */
int sample_is_of_one_run(const float *a, const float *b, size_t count);

#endif
