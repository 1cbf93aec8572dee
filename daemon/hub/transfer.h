/*
 * Transfers: HTTP exchanges that one network thread drives for all callers through libcurl's multi interface.
 *
 * A caller fills in a struct transfer, submits it and waits. It starts when its time has come, the gate
 * (daemon/hub/gate.h) lets it through and a connection is free. While the part of the hub that it is for is
 * down (daemon/hub/parts.h), it ends at once with a refusal that says so. One transfer is one request:
 * redirects and retries are the caller's business. While a transfer is submitted and not done it belongs to
 * the network thread, which also runs its callbacks.
 */
#ifndef BIFURCATED_HUB_TRANSFER_H
#define BIFURCATED_HUB_TRANSFER_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/hub/gate.h"
#include "daemon/hub/headers.h"
#include "daemon/hub/hub.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum transfer_state {
    TRANSFER_STATE_IDLE,
    TRANSFER_STATE_QUEUED,
    TRANSFER_STATE_RUNNING,
    TRANSFER_STATE_DONE
};

struct transfer {
    /* The request. */
    const char *url;
    uint64_t range_begin, range_end; /* the end is exclusive; 0: no Range field */
    int accepts_compression;
    enum transfer_bucket bucket; /* unless NONE, the endpoint is asked, which gets the token */
    int64_t start_at_ms;         /* monotonic; not before */

    /* Called on the network thread for a 200 or 206 answer: first the headers, then the body in pieces. A
     * nonzero return breaks the transfer off; `refusal` then says why, or has code 0 for "enough". */
    int (*take_headers)(struct transfer *transfer, struct err *refusal);
    int (*take_body)(struct transfer *transfer, const char *data, size_t size, struct err *refusal);
    void *context;

    /* The result, once done. */
    int status; /* of HTTP; 0 if no answer came */
    struct headers headers;
    struct buf problem; /* the body of any other answer, cut off at 16 KiB */
    int is_complete;    /* the whole answer arrived, or take_* had enough */
    int is_aborted;     /* by transfers_abort or the end of the engine */
    int is_sent;        /* it got as far as being started */
    int has_token;      /* with a token */
    int is_connected;   /* it got as far as the request */
    int curl_code;      /* CURLcode */
    int proxy_status;   /* of a proxy's answer to CONNECT; 0: there was none */
    char curl_reason[256];
    struct err refusal;
    uint64_t received_bytes; /* of bodies */
    uint64_t duration_us;    /* from its start, without waits in the queue */
    uint64_t token_serial;   /* of the token, or of there being none, see token.h */

    /* The engine's own. */
    enum transfer_state state;
    struct transfer *next;
    void *easy;
    void *fields;
    int has_taken_headers, is_abort_wanted;
};

struct token;
struct transfers;

/* Starts the network thread; `options` and `token` must outlive it. */
int transfers_open(const struct hub_options *options, struct token *token, struct transfers **ret_transfers,
                   struct err *err);

/* Breaks off what runs and joins the thread. No caller may be inside any more. NULL is allowed. */
void transfers_close(struct transfers *transfers);

/* Breaks off everything, now and in future. */
void transfers_cancel(struct transfers *transfers);

/* All members zero; call before filling in the request. */
void transfer_init(struct transfer *transfer);

/* Frees the result; the request's members stay, so the transfer can be submitted again. */
void transfer_reset(struct transfer *transfer);

void transfers_submit(struct transfers *transfers, struct transfer *transfer);

/* Waits until one of `count` submitted transfers is done and gives its index; entries that are NULL are
 * passed over. ERR_CANCELLED as soon as *cancel (which may be NULL) is true or the engine is cancelled. */
int transfers_wait_any(struct transfers *transfers, struct transfer *const *list, size_t count,
                       const atomic_bool *cancel, size_t *ret_index, struct err *err);

/* Breaks off those of the list that are not done and waits until they are. */
void transfers_abort(struct transfers *transfers, struct transfer *const *list, size_t count);

/* Lets no request of this bucket start for a while, see gate_hold(). */
void transfers_hold(struct transfers *transfers, enum transfer_bucket bucket, enum hub_wait_reason reason,
                    int64_t duration_ms);

/* The hub says how many requests of this bucket it still takes, see gate_note_left(). */
void transfers_note_left(struct transfers *transfers, enum transfer_bucket bucket, int64_t left,
                         int64_t reset_ms);

/* Whether this part of it may be asked for what can wait, see gate_has_room(). */
int transfers_has_room(struct transfers *transfers, enum transfer_bucket bucket);

/* Whether the part of the hub that this transfer is for is down; NULL: whether the hub itself is, its API.
 * err (which may be NULL) then says so. */
int transfers_refuse(struct transfers *transfers, const struct transfer *transfer, struct err *err);

/* See hub_outage_mark(). */
uint64_t transfers_read_mark(struct transfers *transfers);

/* A transfer has used up its attempts: whether it shall be submitted once more, see outage_accuse(). */
int transfers_accuse(struct transfers *transfers, const struct transfer *transfer);

/* See outage_doubt(). */
void transfers_doubt(struct transfers *transfers);

/* What waits before the endpoint now. */
void transfers_read_wait(struct transfers *transfers, struct hub_wait *ret_wait);

/* As hub_read_problem(). */
void transfers_read_problem(struct transfers *transfers, char problem[ERR_MESSAGE_BYTES]);

#endif
