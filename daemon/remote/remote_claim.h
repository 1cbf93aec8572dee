/*
 * How a slot of a remote worker gets a task: it offers what the worker can, waits at the daemon until there
 * is one, tries again while the daemon does not answer, and takes its offer back when the worker stops.
 */
#ifndef BIFURCATED_REMOTE_REMOTE_CLAIM_H
#define BIFURCATED_REMOTE_REMOTE_CLAIM_H

#include "daemon/base/err.h"
#include "daemon/remote/remote_slot.h"

/* How long a request waits for work while sweeps that were left may become possible again: the hub may come
 * back, or somebody may log in. */
#define REMOTE_LEFT_WAIT_S 5

/* Waits for a task: 0, or an error after which the worker ends. Under worker->claim_lock. */
int remote_claim(struct remote_slot *slot, struct wire_task *task, struct err *err);

#endif
