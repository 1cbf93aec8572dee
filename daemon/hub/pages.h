/*
 * For this folder only: listings of several pages. Each answer names the next page in its Link field, by
 * whatever address the hub likes (a cursor for trees and models, a number for commits). A listing that leads
 * in a circle, that drips or that never ends is given up.
 */
#ifndef BIFURCATED_HUB_PAGES_H
#define BIFURCATED_HUB_PAGES_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/hub/client.h"

/* Parses one page, and appends it to `list`. */
typedef int pages_take(const char *data, size_t size, void *list, struct err *err);

/* GETs `url`, whose text is taken, and every page after it, at most LIMIT_HUB_PAGES. `what` is for errors. */
int pages_read(struct hub_repository *repository, const char *what, struct buf *url, pages_take *take,
               void *list, struct err *err);

#endif
