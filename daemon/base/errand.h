/*
 * Errands: work that may never come back, such as a look at a folder whose file server is gone. A thread of
 * its own does it, and the sender stops waiting once nothing has moved there for some seconds.
 *
 * Only the end of the process ends such a thread. So what it uses belongs to the errand, and is freed if it
 * does come back; and no other errand is sent to a place that is silent.
 */
#ifndef BIFURCATED_BASE_ERRAND_H
#define BIFURCATED_BASE_ERRAND_H

#include "daemon/base/err.h"

#include <stdatomic.h>
#include <stdint.h>

struct errands;

struct errand {
    int (*work)(void *context, struct err *err); /* beats (daemon/base/pulse.h) whenever something moves */
    void (*leave)(void *context); /* nobody waits for it any more; by the waiting thread, while it works */
    void (*drop)(void *context);  /* frees the context */
    void *context;
};

/* A place is silent from `silent_ms` without a beat on, and lost from `lost_ms` on (0: never). */
int errands_new(int64_t silent_ms, int64_t lost_ms, struct errands **ret_errands, struct err *err);

/* No errand is sent any more; those that did not come back may do so later. NULL is allowed. */
void errands_free(struct errands *errands);

/*
 * Runs the errand at a place, which messages name. *ret_is_back 1: it came back, with work's code, and the
 * context is the caller's again. 0: it did not come back, or was not sent, and the caller must not touch
 * the context any more; ERR_UNREACHABLE: the place is silent; ERR_TIMEOUT: it is lost; ERR_CANCELLED, after
 * *cancel became true.
 */
int errands_run(struct errands *errands, const char *place, const struct errand *errand,
                const atomic_bool *cancel, int *ret_is_back, struct err *err);

/* Whether the place answers: 0, or ERR_UNREACHABLE or ERR_TIMEOUT as above. */
int errands_check_place(struct errands *errands, const char *place, struct err *err);

/* How many threads are at silent places now. */
int errands_silent_count(struct errands *errands);

#endif
