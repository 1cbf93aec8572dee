#include "daemon/hub/transfer.h"

#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"
#include "daemon/hub/client.h"
#include "daemon/hub/exchange.h"
#include "daemon/hub/outage.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MS_MAX 1000
#define CANCEL_POLL_MS 50

struct transfers {
    const struct hub_options *options;
    CURLM *multi;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards all below and the `state` and `is_abort_wanted` of submitted transfers */
    pthread_cond_t done;
    struct transfer *first; /* queued and running ones, in the order of their submission */
    struct transfer **last;
    int running_count;
    int is_stopping, is_cancelled;
    uint64_t turn_count; /* of the network thread */
    struct gate gate;
    struct outage outage;
    struct transfer question; /* whether the hub answers; in no list */
};

static int start(struct transfers *transfers, struct transfer *transfer)
{
    int code = exchange_prepare(transfers->options, transfer);
    if (code == CURLE_OK && curl_multi_add_handle(transfers->multi, transfer->easy) != CURLM_OK)
        code = CURLE_OUT_OF_MEMORY;
    return code;
}

/* What the end of a transfer tells of the hub as a whole. */
static void note_sign(struct transfers *transfers, const struct transfer *transfer)
{
    struct err reason = ERR_INIT;
    enum outage_sign sign = client_read_sign(transfer, &reason);
    int64_t now_ms = clock_monotonic_ms();
    if (transfer == &transfers->question)
        outage_note_question(&transfers->outage, sign, reason.message, now_ms, client_jitter());
    else
        outage_note(&transfers->outage, transfer->bucket, transfer->url, sign, reason.message, now_ms,
                    client_jitter());
}

/* Fills in the result and hands the transfer back; the mutex is held. */
static void finish(struct transfers *transfers, struct transfer *transfer, int curl_code)
{
    exchange_end(transfers->multi, transfer, curl_code);
    note_sign(transfers, transfer);
    if (transfer->state == TRANSFER_STATE_RUNNING)
        transfers->running_count--;
    for (struct transfer **p = &transfers->first; *p; p = &(*p)->next) {
        if (*p != transfer)
            continue;
        *p = transfer->next;
        if (!transfer->next)
            transfers->last = p;
        break;
    }
    transfer->next = NULL;
    transfer->state = TRANSFER_STATE_DONE;
    (void)pthread_cond_broadcast(&transfers->done);
}

/* -- The network thread --------------------------------------------------------------------------------- */

static int launch(struct transfers *transfers, struct transfer *transfer)
{
    transfer->state = TRANSFER_STATE_RUNNING;
    transfer->is_sent = 1;
    transfers->running_count++;
    gate_count(&transfers->gate, transfer->bucket);
    int code = start(transfers, transfer);
    if (code != CURLE_OK)
        finish(transfers, transfer, code);
    return code;
}

static int take_enough(struct transfer *transfer, struct err *refusal)
{
    (void)transfer;
    (void)refusal;
    return 1; /* that it answers is all */
}

/* Asks whether the hub answers, if it is time; returns whether. */
static int ask(struct transfers *transfers, int64_t now_ms)
{
    struct transfer *question = &transfers->question;
    const char *url = outage_ask(&transfers->outage, now_ms);
    if (!url)
        return 0;
    transfer_reset(question);
    question->url = url;
    question->bucket = transfers->outage.asks_of;
    question->token = question->bucket != TRANSFER_BUCKET_NONE ? transfers->options->token : NULL;
    question->range_end = 1;
    question->take_headers = take_enough;
    (void)launch(transfers, question);
    return 1;
}

static int set_refusal(const struct outage *outage, struct err *err)
{
    return err_set(err, ERR_UNREACHABLE, "the hub is down and is waited for: %s", outage->reason);
}

/* Starts what may start and ends what is not wanted any more; how long to sleep at most, and whether a wait
 * is to be told. */
static int64_t schedule(struct transfers *transfers, int *ret_tells)
{
    int64_t now_ms = clock_monotonic_ms(), sleep_ms = POLL_MS_MAX;
    int must_end = transfers->is_stopping || transfers->is_cancelled;
    struct transfer *next;
    gate_begin_turn(&transfers->gate);
    if (must_end && transfers->question.state == TRANSFER_STATE_RUNNING) {
        transfers->question.is_aborted = 1;
        finish(transfers, &transfers->question, CURLE_ABORTED_BY_CALLBACK);
    }
    for (struct transfer *transfer = transfers->first; transfer; transfer = next) {
        next = transfer->next;
        if (must_end || transfer->is_abort_wanted) {
            transfer->is_aborted = 1;
            finish(transfers, transfer, CURLE_ABORTED_BY_CALLBACK);
            continue;
        }
        if (transfer->state != TRANSFER_STATE_QUEUED)
            continue;
        enum outage_order order = outage_order(&transfers->outage, transfer->bucket, now_ms);
        if (order == OUTAGE_ORDER_REFUSE) {
            (void)set_refusal(&transfers->outage, &transfer->refusal);
            finish(transfers, transfer, CURLE_ABORTED_BY_CALLBACK);
        }
        if (order != OUTAGE_ORDER_GO)
            continue;
        int64_t wait_ms = gate_wait_ms(&transfers->gate, transfer->bucket, transfer->start_at_ms, now_ms);
        if (wait_ms > 0) {
            sleep_ms = wait_ms < sleep_ms ? wait_ms : sleep_ms;
            continue;
        }
        if (transfers->running_count >= transfers->options->connections_max)
            continue; /* one that ends wakes us */
        if (launch(transfers, transfer) == CURLE_OK)
            sleep_ms = 0;
    }
    if (!must_end && ask(transfers, now_ms))
        sleep_ms = 0;
    if (outage_order(&transfers->outage, TRANSFER_BUCKET_API, now_ms) == OUTAGE_ORDER_REFUSE)
        gate_note_outage(&transfers->gate, transfers->outage.ask_at_ms);
    int64_t ask_ms = outage_ask_wait_ms(&transfers->outage, now_ms);
    if (!must_end && ask_ms >= 0 && ask_ms < sleep_ms)
        sleep_ms = ask_ms;
    *ret_tells = gate_end_turn(&transfers->gate, now_ms, clock_wall_ms());
    return sleep_ms;
}

static void collect(struct transfers *transfers)
{
    int left = 0;
    for (CURLMsg *message = curl_multi_info_read(transfers->multi, &left); message;
         message = curl_multi_info_read(transfers->multi, &left)) {
        char *context = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        int code = (int)message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &context);
        finish(transfers, (struct transfer *)(void *)context, code);
    }
}

static void read_wait(const struct transfers *transfers, struct hub_wait *wait)
{
    *wait = transfers->gate.wait;
    wait->is_endured = transfers->outage.state == OUTAGE_STATE_ENDURED;
    (void)snprintf(wait->detail, sizeof wait->detail, "%s", transfers->outage.reason);
}

static void *network_main(void *context)
{
    struct transfers *transfers = context;
    const struct hub_options *options = transfers->options;
    for (;;) {
        int running = 0, tells = 0;
        (void)pthread_mutex_lock(&transfers->mutex);
        transfers->turn_count++;
        int64_t sleep_ms = schedule(transfers, &tells);
        struct hub_wait wait;
        read_wait(transfers, &wait);
        int is_over = transfers->is_stopping && !transfers->first;
        (void)pthread_mutex_unlock(&transfers->mutex);
        if (tells && options->tell_wait)
            options->tell_wait(options->tell_context, &wait);
        if (is_over)
            return NULL;
        (void)curl_multi_poll(transfers->multi, NULL, 0, (int)sleep_ms, NULL);
        (void)curl_multi_perform(transfers->multi, &running);
        (void)pthread_mutex_lock(&transfers->mutex);
        collect(transfers);
        (void)pthread_mutex_unlock(&transfers->mutex);
    }
}

/* -- For callers ------------------------------------------------------------------------------------------
 */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

int transfers_open(const struct hub_options *options, struct transfers **ret_transfers, struct err *err)
{
    pthread_condattr_t attributes;
    char home[LIMIT_URL_BYTES];
    (void)pthread_once(&curl_once, start_curl);
    struct transfers *transfers = calloc(1, sizeof *transfers);
    if (!transfers)
        return err_set(err, ERR_NO_MEMORY, "hub: out of memory");
    transfers->options = options;
    transfers->last = &transfers->first;
    gate_init(&transfers->gate, options->request_budget, options->request_window_ms);
    (void)snprintf(home, sizeof home, "%s" HUB_QUESTION, options->endpoint);
    outage_init(&transfers->outage, home, options->outage_first_ms, options->outage_longest_ms,
                options->outage_limit_ms, options->is_reached);
    transfer_init(&transfers->question);
    transfers->multi = curl_multi_init();
    if (!transfers->multi) {
        free(transfers);
        return err_set(err, ERR_NO_MEMORY, "hub: libcurl does not start");
    }
    /* Pieces of a range are meant to have a connection each, also where the server offers HTTP/2. */
    (void)curl_multi_setopt(transfers->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    (void)curl_multi_setopt(transfers->multi, CURLMOPT_MAXCONNECTS, 2L * options->connections_max);
    (void)pthread_mutex_init(&transfers->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&transfers->done, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    int failed = pthread_create(&transfers->thread, NULL, network_main, transfers);
    if (failed) {
        (void)pthread_cond_destroy(&transfers->done);
        (void)pthread_mutex_destroy(&transfers->mutex);
        (void)curl_multi_cleanup(transfers->multi);
        free(transfers);
        return err_set_errno(err, failed, "hub: cannot start the network thread");
    }
    *ret_transfers = transfers;
    return 0;
}

static void set_and_wake(struct transfers *transfers, int *flag)
{
    (void)pthread_mutex_lock(&transfers->mutex);
    *flag = 1;
    (void)pthread_cond_broadcast(&transfers->done);
    (void)pthread_mutex_unlock(&transfers->mutex);
    (void)curl_multi_wakeup(transfers->multi);
}

void transfers_close(struct transfers *transfers)
{
    if (!transfers)
        return;
    set_and_wake(transfers, &transfers->is_stopping);
    (void)pthread_join(transfers->thread, NULL);
    transfer_reset(&transfers->question);
    (void)curl_multi_cleanup(transfers->multi);
    (void)pthread_cond_destroy(&transfers->done);
    (void)pthread_mutex_destroy(&transfers->mutex);
    free(transfers);
}

void transfers_cancel(struct transfers *transfers)
{
    set_and_wake(transfers, &transfers->is_cancelled);
}

void transfers_submit(struct transfers *transfers, struct transfer *transfer)
{
    transfer_reset(transfer);
    (void)pthread_mutex_lock(&transfers->mutex);
    transfer->state = TRANSFER_STATE_QUEUED;
    transfer->next = NULL;
    *transfers->last = transfer;
    transfers->last = &transfer->next;
    (void)pthread_mutex_unlock(&transfers->mutex);
    (void)curl_multi_wakeup(transfers->multi);
}

static void wait_a_little(struct transfers *transfers)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += CANCEL_POLL_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    (void)pthread_cond_timedwait(&transfers->done, &transfers->mutex, &until);
}

int transfers_wait_any(struct transfers *transfers, struct transfer *const *list, size_t count,
                       const atomic_bool *cancel, size_t *ret_index, struct err *err)
{
    int code = 1;
    uint64_t turn = 0;
    (void)pthread_mutex_lock(&transfers->mutex);
    while (code > 0) {
        if (turn != transfers->turn_count)
            pulse_beat(); /* waiting for the network is no standing still, while that moves */
        turn = transfers->turn_count;
        for (size_t i = 0; i < count && code > 0; i++) {
            if (list[i] && list[i]->state == TRANSFER_STATE_DONE) {
                *ret_index = i;
                code = 0;
            }
        }
        if (transfers->is_cancelled || (cancel && atomic_load(cancel)))
            code = err_set(err, ERR_CANCELLED, "cancelled");
        if (code > 0)
            wait_a_little(transfers);
    }
    (void)pthread_mutex_unlock(&transfers->mutex);
    return code;
}

void transfers_abort(struct transfers *transfers, struct transfer *const *list, size_t count)
{
    (void)pthread_mutex_lock(&transfers->mutex);
    for (size_t i = 0; i < count; i++) {
        if (list[i])
            list[i]->is_abort_wanted = 1;
    }
    (void)curl_multi_wakeup(transfers->multi);
    for (size_t i = 0; i < count; i++) {
        while (list[i] &&
               (list[i]->state == TRANSFER_STATE_QUEUED || list[i]->state == TRANSFER_STATE_RUNNING))
            wait_a_little(transfers);
    }
    (void)pthread_mutex_unlock(&transfers->mutex);
}

void transfers_hold(struct transfers *transfers, enum transfer_bucket bucket, enum hub_wait_reason reason,
                    int64_t duration_ms)
{
    (void)pthread_mutex_lock(&transfers->mutex);
    gate_hold(&transfers->gate, bucket, reason, clock_monotonic_ms(), duration_ms);
    (void)pthread_mutex_unlock(&transfers->mutex);
}

int transfers_refuse(struct transfers *transfers, struct err *err)
{
    (void)pthread_mutex_lock(&transfers->mutex);
    int is_down =
        outage_order(&transfers->outage, TRANSFER_BUCKET_API, clock_monotonic_ms()) == OUTAGE_ORDER_REFUSE;
    if (is_down && err)
        (void)set_refusal(&transfers->outage, err);
    (void)pthread_mutex_unlock(&transfers->mutex);
    return is_down;
}

int transfers_accuse(struct transfers *transfers, const struct transfer *transfer)
{
    struct err reason = ERR_INIT;
    enum outage_sign sign = client_read_sign(transfer, &reason);
    (void)pthread_mutex_lock(&transfers->mutex);
    int is_accused = outage_accuse(&transfers->outage, transfer->bucket, transfer->url, sign, reason.message,
                                   clock_monotonic_ms(), client_jitter());
    (void)pthread_mutex_unlock(&transfers->mutex);
    return is_accused;
}

void transfers_doubt(struct transfers *transfers)
{
    (void)pthread_mutex_lock(&transfers->mutex);
    outage_doubt(&transfers->outage, clock_monotonic_ms());
    (void)pthread_mutex_unlock(&transfers->mutex);
    (void)curl_multi_wakeup(transfers->multi);
}

void transfers_read_wait(struct transfers *transfers, struct hub_wait *ret_wait)
{
    (void)pthread_mutex_lock(&transfers->mutex);
    read_wait(transfers, ret_wait);
    (void)pthread_mutex_unlock(&transfers->mutex);
}
