/*
 * For this folder only: which perplexities of a run may stand in one line. They must be of the same texts,
 * cut and scored alike.
 */
#ifndef BIFURCATED_API_SERIES_RUN_TEXTS_H
#define BIFURCATED_API_SERIES_RUN_TEXTS_H

#include "api/series/run.h"

#include <stdint.h>

/* A perplexity of a point. */
struct run_score {
    double value, stderror; /* NaN: none */
    uint64_t texts;         /* the same number for what may be compared */
};

/* A number for the texts of a perplexity and how they are scored. Not for precision and backend, which change
 * it by less than its last digits that count. */
uint64_t run_texts_number(const struct perplexity_row *score);

/* Chooses one kind of perplexity for the whole run, of the same texts: the one that most revisions have;
 * marks the points whose perplexities are of others. `scores` has a row for each point. ERR_NO_MEMORY. */
int run_texts_choose(struct api_run *run, struct run_score (*scores)[PERPLEXITY_MODE_COUNT], struct err *err);

#endif
