/*
 * Why work stands still, for whoever follows a sweep: what requests to the hub wait for, the daemon's or
 * those of all its workers; that downloads wait for room in the cache; or that the disk is full, when not
 * even a task can be claimed.
 */
#ifndef BIFURCATED_STANDSTILL_H
#define BIFURCATED_STANDSTILL_H

#include "api/server.h"
#include "daemon/base/reserve.h"
#include "daemon/cut_off.h"
#include "daemon/hub/hub.h"

void standstill_read(struct hub *hub, struct cut_off *cut_off, struct reserve *reserve,
                     struct api_hub_wait *ret_wait);

#endif
