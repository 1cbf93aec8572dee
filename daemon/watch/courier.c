#include "daemon/watch/courier.h"

#include "api/sweeps/sweep_view.h"
#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/base/log.h"
#include "daemon/base/url.h"
#include "daemon/notify/webhook.h"
#include "daemon/watch/announce.h"
#include "daemon/watch/duty.h"
#include "store/deliveries.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BODY_BYTES_MAX (8 * MIB)

_Static_assert(DELIVERIES_PAUSE_LONGEST_MS >= WEBHOOK_PAUSE_LONGEST_MS,
               "a pause that is longer than the longest is of a clock that was set back");

/* One message on its way. */
struct lane {
    struct courier *courier;
    struct duty *duty;
    /* guarded by the courier's lock */
    int64_t delivery_id;        /* also of one that met a fault of the store, until the next try; 0: idle */
    char url[WATCHES_URL_SIZE]; /* where it is going to; "": idle */
};

struct courier {
    struct store *store;
    struct webhook_options options;
    struct duty *announcer;
    pthread_mutex_t lock;
    struct lane lanes[COURIER_LANES];
};

/* The body of sweep.finished is made when it is sent first: the sweep as the API shows it. */
static int render_sweep(struct store *store, const struct delivery_row *delivery, struct buf *body,
                        struct err *err)
{
    char at[CLOCK_TEXT_SIZE];
    struct api_json json;
    struct buf sweep;
    buf_init(&sweep, BODY_BYTES_MAX);
    int code = api_sweep_append(store, delivery->sweep_id, NULL, &sweep, NULL, NULL, err);
    if (!code) {
        clock_format(delivery->created_ms, at, sizeof at);
        api_json_init(&json, body);
        api_json_open_object(&json, NULL);
        api_json_text(&json, "event", delivery_event_name(delivery->event));
        api_json_text(&json, "at", at);
        api_json_text(&json, "model", delivery->model);
        api_json_raw(&json, "sweep", buf_text(&sweep), sweep.size);
        api_json_close_object(&json);
        code = buf_check(body, "webhook", err);
    }
    buf_free(&sweep);
    return code ? code : deliveries_set_body(store, delivery->id, buf_text(body), err);
}

static int read_body(struct store *store, const struct delivery_row *delivery, struct buf *body,
                     struct err *err)
{
    int code = deliveries_get_body(store, delivery->id, body, err);
    if (!code && body->size == 0 && delivery->sweep_id)
        code = render_sweep(store, delivery, body, err);
    return code;
}

static void log_end_of(const struct delivery_row *delivery, const struct delivery_attempt *attempt)
{
    if (attempt->state == DELIVERY_STATE_DELIVERED)
        log_info("webhook delivered", log_text("model", delivery->model),
                 log_text("event", delivery_event_name(delivery->event)),
                 log_text("delivery", delivery->name), log_end);
    else if (attempt->state == DELIVERY_STATE_FAILED)
        log_error("webhook delivery given up", log_text("model", delivery->model),
                  log_text("event", delivery_event_name(delivery->event)),
                  log_text("delivery", delivery->name), log_text("reason", attempt->error), log_end);
    else if (delivery->attempts == 0)
        log_warning("webhook not reached; it is tried again", log_text("model", delivery->model),
                    log_text("event", delivery_event_name(delivery->event)),
                    log_text("reason", attempt->error), log_end);
}

/* Whether a message that cannot be made can never be made: too large, not to be read. */
static int is_lasting(int code)
{
    return code == ERR_LIMIT || code == ERR_FORMAT || code == ERR_INVALID || code == ERR_UNSUPPORTED ||
           code == ERR_MISMATCH;
}

static int deliver(struct courier *courier, const struct delivery_due *due, const atomic_bool *is_stopping,
                   struct err *err)
{
    const struct delivery_row *delivery = &due->row;
    struct err reason = ERR_INIT;
    struct delivery_attempt attempt = {.state = DELIVERY_STATE_DELIVERED};
    struct buf body;
    buf_init(&body, BODY_BYTES_MAX);
    int code = read_body(courier->store, delivery, &body, err);
    if (code == ERR_NOT_FOUND) { /* the watch or the sweep was deleted meanwhile */
        *err = (struct err)ERR_INIT;
        code = 0;
        goto out;
    }
    if (is_lasting(code)) { /* it must not hold up the others for ever */
        attempt.state = DELIVERY_STATE_FAILED;
        reason = *err;
        *err = (struct err)ERR_INIT;
        attempt.error = reason.message;
        code = deliveries_record(courier->store, delivery->id, &attempt, err);
        if (!code)
            log_end_of(delivery, &attempt);
        goto out;
    }
    if (code)
        goto out;
    struct webhook_message message = {.url = due->watch.webhook_url,
                                      .secret = due->watch.webhook_secret,
                                      .event = delivery_event_name(delivery->event),
                                      .delivery = delivery->name,
                                      .body = buf_text(&body),
                                      .body_size = body.size,
                                      .timestamp_s = clock_wall_ms() / 1000};
    int sent = webhook_send(&courier->options, &message, is_stopping, &attempt.status, &reason);
    if (sent == ERR_CANCELLED)
        goto out;
    attempt.error = reason.message;
    if (sent) {
        attempt.next_ms = clock_wall_ms() + webhook_pause_ms(delivery->attempts + 1);
        attempt.state =
            webhook_is_enough(delivery->attempts + 1) ? DELIVERY_STATE_FAILED : DELIVERY_STATE_PENDING;
    }
    code = deliveries_record(courier->store, delivery->id, &attempt, err);
    if (!code)
        log_end_of(delivery, &attempt);
out:
    buf_free(&body);
    return code;
}

/* Whether this message is on its way (to where its watch was to be told before a change), or another one to
 * the host of this URL: it may be one that does not answer. */
static int is_busy(void *context, int64_t id, const char *url)
{
    const struct courier *courier = context;
    size_t length = url_origin_length(url);
    for (int i = 0; i < COURIER_LANES; i++) {
        const char *other = courier->lanes[i].url;
        if (courier->lanes[i].delivery_id == id ||
            (url_origin_length(other) == length && strncmp(other, url, length) == 0 && length))
            return 1;
    }
    return 0;
}

/* One message to a host that no other lane is speaking to. */
static int send_next(void *context, const atomic_bool *is_stopping, int64_t *ret_wait_ms, struct err *err)
{
    struct lane *lane = context;
    struct courier *courier = lane->courier;
    struct delivery_due due;
    (void)pthread_mutex_lock(&courier->lock);
    lane->delivery_id = 0;
    int code = deliveries_next(courier->store, clock_wall_ms(), is_busy, courier, &due, ret_wait_ms, err);
    if (!code) {
        lane->delivery_id = due.row.id;
        memcpy(lane->url, due.watch.webhook_url, sizeof lane->url);
    }
    (void)pthread_mutex_unlock(&courier->lock);
    if (code == ERR_NOT_FOUND)
        return 0;
    if (code)
        return code;
    *ret_wait_ms = 0;
    code = deliver(courier, &due, is_stopping, err);
    (void)pthread_mutex_lock(&courier->lock);
    if (!code) /* else it waits with this lane, and the others pass it over */
        lane->delivery_id = 0;
    lane->url[0] = 0;
    (void)pthread_mutex_unlock(&courier->lock);
    return code;
}

/* One model of which there may be news. */
static int announce_next(void *context, const atomic_bool *is_stopping, int64_t *ret_wait_ms, struct err *err)
{
    const struct courier *courier = context;
    int has_announced = 0;
    int code = announce_run_once(courier->store, is_stopping, &has_announced, err);
    *ret_wait_ms = has_announced ? 0 : -1;
    return code;
}

int courier_start(struct store *store, const char *ca_file, struct courier **ret_courier, struct err *err)
{
    struct courier *courier = calloc(1, sizeof *courier);
    if (!courier)
        return err_set(err, ERR_NO_MEMORY, "courier: out of memory");
    courier->store = store;
    courier->options = (struct webhook_options){.ca_file = ca_file && ca_file[0] ? ca_file : NULL,
                                                .user_agent = "bifurcated/" BIFURCATED_VERSION,
                                                .timeout_ms = COURIER_TIMEOUT_MS};
    (void)pthread_mutex_init(&courier->lock, NULL);
    int code = duty_start(store, "webhooks cannot be kept", announce_next, courier, &courier->announcer, err);
    for (int i = 0; !code && i < COURIER_LANES; i++) {
        struct lane *lane = &courier->lanes[i];
        lane->courier = courier;
        /* What was sent but could not be noted is sent again, under the same name. */
        code = duty_start(store, "webhooks cannot be kept", send_next, lane, &lane->duty, err);
    }
    if (code) {
        courier_stop(courier);
        return err_wrap(err, "courier");
    }
    *ret_courier = courier;
    return 0;
}

void courier_stop(struct courier *courier)
{
    if (!courier)
        return;
    duty_ask_to_stop(courier->announcer);
    for (int i = 0; i < COURIER_LANES; i++)
        duty_ask_to_stop(courier->lanes[i].duty);
    for (int i = 0; i < COURIER_LANES; i++)
        duty_stop(courier->lanes[i].duty);
    duty_stop(courier->announcer);
    (void)pthread_mutex_destroy(&courier->lock);
    free(courier);
}
