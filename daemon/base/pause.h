/* A wait that another thread can end: for threads that sleep between their duties. */
#ifndef BIFURCATED_BASE_PAUSE_H
#define BIFURCATED_BASE_PAUSE_H

#include "daemon/base/err.h"

#include <stdint.h>

struct pause;

int pause_new(struct pause **ret_pause, struct err *err);

/* Waits; returns at once, now and in future, after pause_end(). Whether that was called. */
int pause_wait(struct pause *pause, int64_t duration_ms);
void pause_end(struct pause *pause);

/* Nobody may wait. NULL is allowed. */
void pause_free(struct pause *pause);

#endif
