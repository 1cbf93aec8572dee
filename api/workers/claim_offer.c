#include "api/workers/claim_offer.h"

#include "api/http/http.h"
#include "api/resource/context.h"
#include "api/workers/state.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

/* Which side is older, in words. */
static int refuse_version(const struct api_request *request, const struct wire_offer *offer,
                          struct api_response *response, struct err *err)
{
    const struct api_claims_options *claims = &request->context->workers->options;
    const char *version = api_http_version(request->http);
    response->status = MHD_HTTP_CONFLICT;
    if (offer->protocol != WIRE_PROTOCOL)
        return err_set(err, ERR_UNSUPPORTED,
                       "the worker (bifurcated %s) speaks protocol %" PRId64
                       " and the daemon (%s) %d: upgrade "
                       "the %s",
                       offer->version, offer->protocol, version, WIRE_PROTOCOL,
                       offer->protocol < WIRE_PROTOCOL ? "worker" : "daemon");
    int is_older = offer->definition < claims->definition || offer->scoring < claims->scoring_definition;
    return err_set(err, ERR_UNSUPPORTED,
                   "the worker (bifurcated %s) measures by definition %" PRId64 ".%" PRId64
                   " and the daemon (%s) by %" PRId64 ".%" PRId64 ", so their numbers cannot be compared: "
                   "upgrade the %s",
                   offer->version, offer->definition, offer->scoring, version, claims->definition,
                   claims->scoring_definition, is_older ? "worker" : "daemon");
}

/* "NAME/SLOT" as the description has it: visible characters and a number. */
static int is_well_named(const char *worker, const char *slash)
{
    size_t digits = strspn(slash + 1, "0123456789");
    size_t length = (size_t)(slash - worker);
    for (const char *at = worker; at < slash; at++) {
        if (*at <= ' ' || *at > '~')
            return 0;
    }
    return length >= 1 && length <= WIRE_NAME_BYTES_MAX && digits >= 1 && digits <= WIRE_SLOT_DIGITS_MAX &&
           !slash[1 + digits];
}

/* From here on a worker is called what only the holder of its key can be. */
static int name_worker(struct wire_offer *offer, struct api_response *response, struct err *err)
{
    char name[WIRE_WORKER_NAME_SIZE], slot[WIRE_SLOT_DIGITS_MAX + 1];
    const char *slash = strrchr(offer->worker, '/');
    if (!slash || !is_well_named(offer->worker, slash))
        return api_response_refuse(
            response, "body", "/worker", err, ERR_INVALID,
            "worker: not NAME/SLOT, a name of 1 to %d visible ASCII characters and a number of "
            "at most %d digits",
            WIRE_NAME_BYTES_MAX, WIRE_SLOT_DIGITS_MAX);
    if (strncmp(offer->worker, "local/", 6) == 0)
        return api_response_refuse(response, "body", "/worker", err, ERR_INVALID,
                                   "worker: \"local\" is what the daemon calls its own workers");
    (void)snprintf(slot, sizeof slot, "%s", slash + 1);
    int code = wire_worker_name(offer->worker, (size_t)(slash - offer->worker), offer->key, name, err);
    if (!code)
        (void)snprintf(offer->worker, sizeof offer->worker, "%s/%s", name, slot);
    return code;
}

int api_claim_offer_read(struct api_request *request, struct wire_offer *offer, struct api_response *response,
                         struct err *err)
{
    const struct api_claims_options *claims = &request->context->workers->options;
    int code = api_response_name_member(
        response, wire_offer_parse(buf_text(&request->body), request->body.size, offer, err), err);
    if (code)
        return code;
    if (offer->protocol != WIRE_PROTOCOL || offer->definition != claims->definition ||
        offer->scoring != claims->scoring_definition)
        return refuse_version(request, offer, response, err);
    return name_worker(offer, response, err);
}
