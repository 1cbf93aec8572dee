/*
 * What the hub has refused to the sweeps of a watch: due again once it lets us read it.
 */
#ifndef BIFURCATED_WATCH_WATCH_ACCESS_H
#define BIFURCATED_WATCH_WATCH_ACCESS_H

#include "daemon/base/err.h"
#include "daemon/hub/hub.h"
#include "daemon/sweep/revision_list.h"
#include "daemon/sweep/sweep_spec.h"
#include "store/store.h"

#include <jansson.h>
#include <stdatomic.h>

/*
 * Where rows of the list are is_refused, asks the hub once (daemon/sweep/access.h) and selects all of them if
 * it lets us; else the report gets "gated": how many wait for access, and why. Another fault of the hub is no
 * failure of the run either: the next one asks again. Returns ERR_CANCELLED and errors of the store alone.
 */
int watch_access_settle(struct store *store, struct hub *hub, struct repository *repository,
                        const struct sweep_spec *spec, struct revision_list *list, const atomic_bool *cancel,
                        json_t *report, uint64_t *request_count, struct err *err);

#endif
