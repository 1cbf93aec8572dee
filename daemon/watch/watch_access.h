/*
 * What the hub has refused to the sweeps of a watch: due again once it lets us read it.
 */
#ifndef BIFURCATED_WATCH_WATCH_ACCESS_H
#define BIFURCATED_WATCH_WATCH_ACCESS_H

#include "daemon/base/err.h"
#include "daemon/sweep/access.h"
#include "daemon/sweep/revision_list.h"

#include <jansson.h>
#include <stdint.h>

/* Those who measure: the daemon, and workers on other machines, which have tokens of their own. */
struct watch_others {
    /* Whether there is somebody that may read this model; has_access: this process may. */
    int (*may_read)(void *context, int64_t model_id, int has_access);
    void *context;
};

struct watch_access {
    struct access own; /* this process's, with its token */
    int64_t model_id;
    const struct watch_others *others; /* NULL: this process alone */
};

/*
 * Where rows of the list are is_refused, asks the hub once (daemon/sweep/access.h) and selects all of them if
 * somebody may read them; else the report gets "gated": how many wait for access, and why. What is new of
 * such a model is asked for then, too, and waits with them if it is refused. Another fault of the hub is no
 * failure of the run either: the next one asks again. Returns ERR_CANCELLED and errors of the store alone.
 */
int watch_access_settle(const struct watch_access *access, struct revision_list *list, json_t *report,
                        uint64_t *request_count, struct err *err);

#endif
