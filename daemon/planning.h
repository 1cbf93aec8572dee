/*
 * Planning: the thread that plans sweeps as they come, and the lister behind it. Between plans it deletes a
 * part of what is to go (upkeep.h); and it logs a disk that becomes full, or a database that is moved away.
 */
#ifndef BIFURCATED_DAEMON_PLANNING_H
#define BIFURCATED_DAEMON_PLANNING_H

#include "daemon/base/err.h"
#include "daemon/base/pulse.h"
#include "daemon/base/reserve.h"
#include "daemon/hub/hub.h"
#include "daemon/measure/references.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdint.h>

struct planning;

/* All must outlive the planning. */
struct planning_options {
    struct store *store;
    struct hub *hub;
    struct references *references;
    int lister_threads; /* that list files of what is planned */
    struct reserve *reserve;
    const char *state;              /* the folder, for the log */
    int64_t retention_days;         /* 0: everything is kept */
    const atomic_bool *is_stopping; /* ends a plan on its way, too */
};

int planning_start(const struct planning_options *options, struct planning **ret_planning, struct err *err);

/* Waits for the end of the thread, and frees: *is_stopping is true by now, the hub cancelled and the store
 * woken. NULL is allowed. */
void planning_stop(struct planning *planning);

/* It beats while it plans, waits for sweeps, or waits for the hub. */
const struct pulse *planning_pulse(const struct planning *planning);

#endif
