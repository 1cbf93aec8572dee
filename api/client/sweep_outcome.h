/*
 * The outcome of a sweep, as `bifurcate` reports it on standard error.
 */
#ifndef BIFURCATED_API_CLIENT_SWEEP_OUTCOME_H
#define BIFURCATED_API_CLIENT_SWEEP_OUTCOME_H

#include <jansson.h>

/* "  step0 and 24 more: there is no such data set": a line for each message, the member `key` of rows that
 * have one, and at most so many; returns of how many rows nothing is said. */
size_t client_print_alike(const json_t *rows, const char *key, size_t lines_max);

/* Why the sweep or its revisions failed, a line for each reason. */
void client_print_sweep_errors(const json_t *sweep);

/* Which revisions it did not take, since their names give no step; nothing if there are none. */
void client_print_sweep_passed_over(const json_t *sweep);

/* How it ended: its state, what was measured and fetched, and why anything failed. */
void client_print_sweep_end(const json_t *sweep);

/* Where to see what the sweeps of a list have measured; nothing if that is nothing. */
void client_print_sweep_results(const json_t *sweeps);

#endif
