/*
 * What the handlers of all resources are given beside the request (request->context): the store, and what
 * only the daemon knows.
 */
#ifndef BIFURCATED_API_RESOURCE_CONTEXT_H
#define BIFURCATED_API_RESOURCE_CONTEXT_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct api_events;
struct api_workers;
struct store;

/* What the daemon's requests to the hub wait for, or everything. */
struct api_hub_wait {
    const char *reason; /* "request_budget", "rate_limit", "retry_after", "unreachable"; "cache_budget":
                           downloads wait for room that others have; "no_space": all work waits for room on
                           the disk; NULL: nothing waits */
    int64_t until_ms;   /* wall clock */
    uint64_t serial;    /* grows whenever one of them changes */
    char detail[ERR_MESSAGE_BYTES]; /* of the last three: what failed, or to change, in words; else "" */
    int is_endured;                 /* the hub's API is down for so long that nothing waits for it any more */
};

/* A token, a watch or a model that a request has made, changed or ended. */
struct api_change {
    const char *event;   /* "token created", "watch deleted", "model removed", "sweep cancelled" */
    int64_t token;       /* number of the token; 0: it is of a model */
    int64_t sweep;       /* number of the sweep; 0: it is of none */
    const char *name;    /* of the token, or of the model */
    const char *by_name; /* of the token that the request carried; "" without one */
    int64_t by_token;    /* its number; 0: none, or that of the option token-file */
};

/* What only the daemon knows. Every member may be NULL; each is called from several threads at once, with
 * `context` as first argument. */
struct api_hooks {
    void *context;

    /* Nonzero if work can be taken; else writes one sentence to reason. NULL: ready while it listens. */
    int (*ready)(void *context, char *reason, size_t reason_size);

    /* Appends one JSON array of devices: [{"name": ..., "backend": "cpu", "is_available": true, ...}]. */
    int (*devices)(void *context, struct buf *json, struct err *err);

    /* Appends the members of a JSON object without braces ("\"workers\":2,\"hub\":\"...\""), shown by
     * GET /v1/status. */
    int (*status)(void *context, struct buf *members, struct err *err);

    /* What requests to the hub wait for at present. NULL: they never wait. */
    void (*hub_wait)(void *context, struct api_hub_wait *ret_wait);

    /* A worker says that it does not reach the hub: does the daemon? */
    void (*doubt_hub)(void *context);

    /* A worker spoke: why none of those that spoke lately reaches the hub; "" if one may. */
    void (*note_hub_of_workers)(void *context, const char *problem);

    /* Appends whole lines in Prometheus' text format; names start with "bifurcated_". */
    int (*metrics)(void *context, struct buf *text, struct err *err);

    /* A sweep was stored or cancelled: the planner and the workers may look at once. */
    void (*wake)(void *context);

    /* Writes down who changed what, once it is stored: the API itself does not log. */
    void (*note_change)(void *context, const struct api_change *change);
};

struct api_context {
    struct store *store;
    struct api_hooks hooks;
    struct api_events *events;   /* api/sweeps/events.h */
    struct api_workers *workers; /* api/workers/workers.h */
};

/* Something was stored that the daemon's threads wait for. */
void api_context_wake(const struct api_context *context);

/* What a request has changed is stored. */
void api_context_note_change(const struct api_context *context, const struct api_change *change);

/* A worker has said whether it reaches the hub; `problem`: why it does not, and `of_all`, why none does; ""
 * if it, or one, may. */
void api_context_note_worker_hub(const struct api_context *context, const char *problem, const char *of_all);

/* What the daemon's requests to the hub wait for; without a reason where nothing does. */
void api_context_read_hub_wait(const struct api_context *context, struct api_hub_wait *ret_wait);

#endif
