/*
 * The connection to the daemon: requests, problems as errors, and streams of events.
 */
#ifndef BIFURCATED_API_CLIENT_LINK_H
#define BIFURCATED_API_CLIENT_LINK_H

#include "api/client/arguments.h"
#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <jansson.h>
#include <signal.h>

struct client_link;

/* A daemon may send at most this much at once. */
#define CLIENT_BODY_BYTES_MAX ((size_t)256 * 1024 * 1024)

/* Set by the handler of SIGINT and SIGTERM; what runs ends with ERR_CANCELLED. */
extern volatile sig_atomic_t client_link_is_interrupted;

/* Takes --server and --token-file, or their variables. The caller frees. ERR_INVALID, ERR_IO. */
int client_link_open(const struct client_arguments *arguments, struct client_link **ret_link,
                     struct err *err);
void client_link_close(struct client_link *link);

/* No exchange from here on takes longer than so many seconds; before, five minutes. */
void client_link_set_timeout(struct client_link *link, long timeout_s);

/* The daemon's URL without a final slash; borrowed. */
const char *client_link_server(const struct client_link *link);

/*
 * One exchange; `body` NULL for none, `key` an Idempotency-Key or NULL. Appends the answer to `answer`. An
 * answer that is a problem becomes an error: ERR_NOT_FOUND for 404, ERR_INVALID for 400, ERR_UNAUTHORIZED,
 * ERR_CONFLICT, else ERR_HTTP. ERR_NETWORK: no daemon answers.
 */
int client_link_request(struct client_link *link, const char *method, const char *target, const char *body,
                        const char *key, struct buf *answer, struct err *err);

/* The JSON of an answer or an event; NULL if it is none. Plain (api/client/plain.h), unless it is for
 * programs: with --json, or --csv where that does not go to a terminal. The caller releases. */
json_t *client_link_load(const struct client_link *link, const char *text, size_t size);

/* GET of JSON, as client_link_load has it; the caller releases *ret_json. */
int client_link_get(struct client_link *link, const char *target, json_t **ret_json, struct err *err);

/* Bytes of all answers that client_link_get() has taken so far. */
size_t client_link_taken(const struct client_link *link);

/*
 * Follows a stream of events until it ends: `take(context, event, data)` is called for each and returns 0 to
 * go on; `tick(context)` about once a second or oftener, by the same thread. ERR_NETWORK if the stream broke
 * off (it may be opened again).
 */
int client_link_follow(struct client_link *link, const char *target,
                       int (*take)(void *context, const char *event, const char *data),
                       void (*tick)(void *context), void *context, struct err *err);

/* Appends text with all but letters, digits and "-._~" percent-encoded. */
void client_link_encode(struct buf *buf, const char *text);

/* Appends a parameter to a target, "?name=value" or "&name=value", encoded; none for NULL. */
void client_link_append(struct buf *target, const char *name, const char *value);

#endif
