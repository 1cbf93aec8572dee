/*
 * What a remote worker asks of its daemon, call by call: claims and what becomes of them (api/openapi.json,
 * api/wire/wire.h). One thread at a time.
 *
 * Of the errors, ERR_NETWORK (also a proxy's word that it does not reach the daemon), ERR_HTTP (any other
 * answer), ERR_RATE_LIMITED and ERR_NO_SPACE (the daemon's disk is full) pass: the same call may succeed
 * later. ERR_CONFLICT means that the claim is lost (another has it, or it was cancelled): its worker drops
 * it.
 */
#ifndef BIFURCATED_REMOTE_REMOTE_LINK_H
#define BIFURCATED_REMOTE_REMOTE_LINK_H

#include "api/client/rest.h"
#include "api/wire/wire.h"
#include "daemon/base/err.h"

#include <stdint.h>

/* Whether the same call may succeed later. */
int remote_link_may_pass(int code);

/* Waits for a task as the offer says. ERR_NOT_FOUND: there is none now. ERR_UNSUPPORTED: the daemon is of
 * another version. ERR_UNREACHABLE: what answers at this address is no daemon. ERR_UNAUTHORIZED. The caller
 * frees *ret_task, unless there is an error. */
int remote_link_claim(struct rest *rest, const struct wire_offer *offer, struct wire_task *ret_task,
                      struct err *err);

/* Waits for a third of the lease at most, so that one answer that is lost does not cost it. */
int remote_link_extend(struct rest *rest, const char *id, int64_t lease_ms, int64_t bytes_fetched,
                       struct err *err);

/* Hands in the bytes of wire_result_append(). ERR_MISMATCH or ERR_INVALID: the daemon refuses this result. */
int remote_link_record(struct rest *rest, const char *id, const struct buf *result, struct err *err);

/* `is_refused`: the daemon refused the result, for this reason; another worker may do better. *ret_is_final
 * becomes whether the task is not tried again. */
int remote_link_fail(struct rest *rest, const char *id, const struct err *reason, int is_refused,
                     int *ret_is_final, struct err *err);

/* Gives the task back; `declined` says why this worker cannot do it, or is NULL where it only stops. */
int remote_link_release(struct rest *rest, const char *id, const char *declined, struct err *err);

#endif
