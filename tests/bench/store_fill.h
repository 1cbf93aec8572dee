/*
 * What bench_store measures: a database of many models of few revisions each, and one model with a long
 * series. Whatever fails ends the program.
 */
#ifndef BIFURCATED_TESTS_BENCH_STORE_FILL_H
#define BIFURCATED_TESTS_BENCH_STORE_FILL_H

#include "store/store.h"

#include <stdint.h>

#define LONG_SERIES 50000 /* revisions of the model after the last short one */
#define QUEUE_TASKS 100000

/* Says what cannot be done and why, and ends the program. */
void store_fill_stop(const char *what, const struct err *err);

/* Writes the rows into a database that store_open() has made and nobody has open. */
void store_fill_database(const char *path, int64_t models, int64_t revisions);

/* Cancels what runs: an earlier run's tasks would be passed over, one by one. */
void store_fill_empty_queue(struct store *store);

/* A queue of QUEUE_TASKS: four sweeps over halves of the long series, two of them of lower priority. */
void store_fill_queue(struct store *store, int64_t models, int64_t revisions);

#endif
