/*
 * For this folder only: the present state of a sweep as one server-sent event, made once for all who follow
 * it.
 */
#ifndef BIFURCATED_API_SWEEPS_EVENT_TEXT_H
#define BIFURCATED_API_SWEEPS_EVENT_TEXT_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct api_context;

struct event_text {
    unsigned references; /* under the mutex of those who share it */
    size_t size;
    char data[];
};

/* Takes no lock. The version grows when the sweep changes or what it waits for: both numbers only grow, so
 * their sum tells either. The caller has the one reference. */
int event_text_render(const struct api_context *context, int64_t sweep_id, struct event_text **ret_text,
                      uint64_t *ret_version, int *ret_is_over, struct err *err);

/* Gives a reference back. NULL is allowed. */
void event_text_release(struct event_text *text);

#endif
