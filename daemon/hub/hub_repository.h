/*
 * For this folder only: a repository of the hub behind the verbs of daemon/hub/repository.h. A file is read
 * from the shared cache where it is there, else from the hub, as a range or as a whole.
 */
#ifndef BIFURCATED_HUB_HUB_REPOSITORY_H
#define BIFURCATED_HUB_HUB_REPOSITORY_H

#include "daemon/base/err.h"
#include "daemon/hub/hub.h"
#include "daemon/hub/repository.h"

#include <stdatomic.h>

/* `name` is a valid "owner/name"; makes no request. Closed with repository_close(). */
int hub_repository_open(struct hub *hub, enum repository_kind kind, const char *name,
                        const atomic_bool *cancel, struct repository **ret_repository, struct err *err);

#endif
