#include "daemon/courier.h"

#include "api/sweep_view.h"
#include "daemon/announce.h"
#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/base/log.h"
#include "daemon/notify/webhook.h"
#include "daemon/pause.h"
#include "store/deliveries.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define WAIT_LONGEST_MS 2000 /* the wall clock may be set meanwhile; a wake-up may come before the wait */
#define LOOK_SHORTEST_MS 200
#define FAULT_PAUSE_MS 2000
#define FAULT_PAUSE_LONGEST_MS 60000
#define BODY_BYTES_MAX (8 * MIB)

struct courier {
    struct store *store;
    struct webhook_options options;
    pthread_t thread;
    struct pause *pause;
    atomic_bool is_stopping;
};

/* The body of sweep.finished is made when it is sent first: the sweep as the API shows it. */
static int render_sweep(struct store *store, const struct delivery_row *delivery, struct buf *body,
                        struct err *err)
{
    char at[CLOCK_TEXT_SIZE];
    struct api_json json;
    struct buf sweep;
    buf_init(&sweep, BODY_BYTES_MAX);
    int code = api_sweep_append(store, delivery->sweep_id, &sweep, NULL, NULL, err);
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
        log_info("webhook told", log_text("model", delivery->model),
                 log_text("event", delivery_event_name(delivery->event)),
                 log_text("delivery", delivery->name), log_end);
    else if (attempt->state == DELIVERY_STATE_FAILED)
        log_error("webhook given up", log_text("model", delivery->model),
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

static int deliver(struct courier *courier, const struct delivery_row *delivery,
                   const struct watch_row *watch, struct err *err)
{
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
    struct webhook_message message = {.url = watch->webhook_url,
                                      .secret = watch->webhook_secret,
                                      .event = delivery_event_name(delivery->event),
                                      .delivery = delivery->name,
                                      .body = buf_text(&body),
                                      .body_size = body.size,
                                      .timestamp_s = clock_wall_ms() / 1000};
    int sent = webhook_send(&courier->options, &message, &courier->is_stopping, &attempt.status, &reason);
    if (sent == ERR_CANCELLED)
        goto out;
    attempt.error = reason.message;
    if (sent) {
        int64_t now_ms = clock_wall_ms();
        attempt.next_ms = now_ms + webhook_pause_ms(delivery->attempts + 1);
        attempt.state = attempt.next_ms > delivery->created_ms + COURIER_GIVE_UP_MS ? DELIVERY_STATE_FAILED
                                                                                    : DELIVERY_STATE_PENDING;
    }
    code = deliveries_record(courier->store, delivery->id, &attempt, err);
    if (!code)
        log_end_of(delivery, &attempt);
out:
    buf_free(&body);
    return code;
}

/* One duty; *ret_wait_ms becomes the time until there may be another, 0 if something was done. */
static int work(struct courier *courier, int64_t *ret_wait_ms, struct err *err)
{
    struct delivery_row delivery;
    struct watch_row watch;
    struct err reason = ERR_INIT;
    int has_announced = 0;
    *ret_wait_ms = 0;
    int announced = announce_run_once(courier->store, &has_announced, &reason);
    if (!announced && has_announced)
        return 0;
    int code = deliveries_next(courier->store, clock_wall_ms(), &delivery, &watch, ret_wait_ms, err);
    if (!code)
        return deliver(courier, &delivery, &watch, err);
    if (code != ERR_NOT_FOUND)
        return code;
    *err = reason;
    if (announced) /* only now: what is there to be sent does not wait for it */
        return announced;
    if (*ret_wait_ms < 0 || *ret_wait_ms > WAIT_LONGEST_MS)
        *ret_wait_ms = WAIT_LONGEST_MS;
    return 0;
}

static void *run(void *context)
{
    struct courier *courier = context;
    int64_t fault_ms = FAULT_PAUSE_MS;
    while (!atomic_load(&courier->is_stopping)) {
        struct err err = ERR_INIT;
        int64_t wait_ms = 0;
        uint64_t version = store_version(courier->store);
        int code = work(courier, &wait_ms, &err);
        if (atomic_load(&courier->is_stopping))
            break;
        if (code) {
            /* What was sent but could not be noted is sent again, under the same name. */
            log_error("webhooks cannot be kept", log_text("reason", err.message),
                      log_int("again_after_ms", fault_ms), log_end);
            pause_wait(courier->pause, fault_ms);
            fault_ms = 2 * fault_ms < FAULT_PAUSE_LONGEST_MS ? 2 * fault_ms : FAULT_PAUSE_LONGEST_MS;
            continue;
        }
        fault_ms = FAULT_PAUSE_MS;
        if (wait_ms > 0) {
            (void)store_wait_change(courier->store, version, wait_ms);
            pause_wait(courier->pause, wait_ms < LOOK_SHORTEST_MS ? wait_ms : LOOK_SHORTEST_MS);
        }
    }
    return NULL;
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
    int code = pause_new(&courier->pause, err);
    if (!code) {
        int failed = pthread_create(&courier->thread, NULL, run, courier);
        if (failed)
            code = err_set_errno(err, failed, "courier: cannot start a thread");
    }
    if (code) {
        pause_free(courier->pause);
        free(courier);
        return code;
    }
    *ret_courier = courier;
    return 0;
}

void courier_stop(struct courier *courier)
{
    if (!courier)
        return;
    atomic_store(&courier->is_stopping, true);
    pause_end(courier->pause);
    store_wake(courier->store);
    (void)pthread_join(courier->thread, NULL);
    pause_free(courier->pause);
    free(courier);
}
