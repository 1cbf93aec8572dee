/*
 * Branches and tags that a sweep passes over, since their names give no step, or count something else than
 * the run's others: the run has no place for them.
 */
#ifndef BIFURCATED_API_RESOURCE_PASSED_OVER_H
#define BIFURCATED_API_RESOURCE_PASSED_OVER_H

#include "api/form/json.h"
#include "daemon/base/err.h"
#include "store/store.h"

#include <stdint.h>

/* Appends the member "passed_over": how many there are, as of the newest plan of the model, the first of
 * their names, and what to do; null if there are none. `main` is not counted, nor what somebody has named
 * that is neither branch nor tag (a commit, a pull request, nothing at all). */
int api_passed_over_append(struct store *store, int64_t model_id, struct api_json *json, struct err *err);

#endif
