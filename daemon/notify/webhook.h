/*
 * One message to one webhook: a JSON POST that the receiver can check.
 *
 *     POST /hook HTTP/1.1
 *     Content-Type: application/json
 *     X-Bifurcated-Event: sweep.finished
 *     X-Bifurcated-Delivery: 6f0c...         the same whenever this message is sent again
 *     X-Bifurcated-Timestamp: 1764081000     seconds since 1970 at this attempt
 *     X-Bifurcated-Signature-256: sha256=    HMAC-SHA256 of "1764081000.<body>", keyed with the secret
 *
 * A receiver computes the HMAC of timestamp, full stop and body, compares it in constant time, refuses
 * timestamps that are minutes old, and takes each delivery once.
 *
 * Only http and https are spoken, redirects are not followed, and no more than WEBHOOK_ANSWER_BYTES of the
 * answer are read; they are thrown away. The address may be a private one: whoever may write to the daemon
 * may name it.
 */
#ifndef BIFURCATED_NOTIFY_WEBHOOK_H
#define BIFURCATED_NOTIFY_WEBHOOK_H

#include "daemon/base/err.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define WEBHOOK_SIGNATURE_SIZE 72 /* "sha256=", 64 digits and a 0 */
#define WEBHOOK_ANSWER_BYTES ((size_t)64 * 1024)
#define WEBHOOK_PAUSE_LONGEST_MS 3600000 /* an hour */

struct webhook_message {
    const char *url, *secret;
    const char *event, *delivery;
    const char *body;
    size_t body_size;
    int64_t timestamp_s;
};

struct webhook_options {
    const char *ca_file;    /* PEM; NULL: the system's */
    const char *user_agent; /* "bifurcated/0.1.0" */
    int64_t timeout_ms;     /* for the whole exchange */
};

/* The value of X-Bifurcated-Signature-256. ERR_NO_MEMORY, ERR_INTERNAL. */
int webhook_sign(const struct webhook_message *message, char signature[WEBHOOK_SIGNATURE_SIZE],
                 struct err *err);

/*
 * Sends the message. 0: the answer's status was 200 to 299. ERR_HTTP: another status; *ret_status (0: no
 * answer) tells which. ERR_NETWORK, ERR_TIMEOUT, ERR_CANCELLED (*cancel became true), ERR_INVALID (no URL
 * that is spoken).
 */
int webhook_send(const struct webhook_options *options, const struct webhook_message *message,
                 const atomic_bool *cancel, int *ret_status, struct err *err);

/* The pause after the attempt with this number, from 1: 1 s, doubled up to the longest. */
int64_t webhook_pause_ms(int attempt);

/* Whether so many attempts, with the pauses after them, took a day. By their number: the wall clock may have
 * been put forward since the event, as that of a machine that booted without a time, and one attempt is not
 * enough. */
int webhook_is_enough(int attempts);

#endif
