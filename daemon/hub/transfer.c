#include "daemon/hub/transfer.h"

#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"
#include "daemon/hub/client.h"
#include "daemon/hub/exchange.h"
#include "daemon/hub/outage.h"
#include "daemon/hub/parts.h"
#include "daemon/hub/reached.h"

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
    struct token *token;
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
    struct parts parts;
};

static struct part *part_of(struct transfers *transfers, const struct transfer *transfer, int64_t now_ms)
{
    return parts_find(&transfers->parts, transfer->bucket, transfer->url, now_ms);
}

static int start(struct transfers *transfers, struct transfer *transfer)
{
    int code = exchange_prepare(transfers->options, transfers->token, transfer);
    if (code == CURLE_OK && curl_multi_add_handle(transfers->multi, transfer->easy) != CURLM_OK)
        code = CURLE_OUT_OF_MEMORY;
    return code;
}

/* What the end of a transfer tells of the part of the hub that it was for. */
static void note_sign(struct transfers *transfers, const struct transfer *transfer)
{
    struct err reason = ERR_INIT;
    enum outage_sign sign = client_read_sign(transfer, &reason);
    int64_t now_ms = clock_monotonic_ms();
    struct part *asked = parts_of_question(&transfers->parts, transfer);
    struct part *part = asked ? asked : part_of(transfers, transfer, now_ms);
    if (asked)
        outage_note_question(&part->outage, sign, reason.message, now_ms, client_jitter());
    else if (part)
        outage_note(&part->outage, transfer->url, sign, reason.message, now_ms, client_jitter());
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

/* Asks whether a part of the hub answers, if it is time; milliseconds until it is, 0 if it was; -1: never. */
static int64_t ask(struct transfers *transfers, struct part *part, int64_t now_ms)
{
    struct transfer *question = &part->question;
    const char *url = outage_ask(&part->outage, now_ms);
    if (!url)
        return outage_ask_wait_ms(&part->outage, now_ms);
    transfer_reset(question);
    question->url = url;
    question->bucket = part->bucket;
    question->range_end = 1;
    question->take_headers = take_enough;
    (void)launch(transfers, question);
    return 0;
}

/* Asks what is to be asked; returns as above, of all together. */
static int64_t ask_all(struct transfers *transfers, int must_end, int64_t now_ms)
{
    int64_t wait_ms = -1;
    for (size_t i = 0; i < transfers->parts.count; i++) {
        struct part *part = transfers->parts.rows[i];
        if (must_end && part->question.state == TRANSFER_STATE_RUNNING) {
            part->question.is_aborted = 1;
            finish(transfers, &part->question, CURLE_ABORTED_BY_CALLBACK);
        }
        int64_t part_ms = must_end ? -1 : ask(transfers, part, now_ms);
        if (part_ms >= 0 && (wait_ms < 0 || part_ms < wait_ms))
            wait_ms = part_ms;
    }
    return wait_ms;
}

/* Starts what may start and ends what is not wanted any more; how long to sleep at most, and whether a wait
 * is to be told. */
static int64_t schedule(struct transfers *transfers, int *ret_tells)
{
    int64_t now_ms = clock_monotonic_ms(), sleep_ms = POLL_MS_MAX;
    int must_end = transfers->is_stopping || transfers->is_cancelled;
    struct transfer *next;
    gate_begin_turn(&transfers->gate);
    parts_look(&transfers->parts, now_ms);
    for (struct transfer *transfer = transfers->first; transfer; transfer = next) {
        next = transfer->next;
        if (must_end || transfer->is_abort_wanted) {
            transfer->is_aborted = 1;
            finish(transfers, transfer, CURLE_ABORTED_BY_CALLBACK);
            continue;
        }
        if (transfer->state != TRANSFER_STATE_QUEUED)
            continue;
        struct part *part = part_of(transfers, transfer, now_ms);
        if (parts_refuse(part, now_ms, &transfer->refusal))
            finish(transfers, transfer, CURLE_ABORTED_BY_CALLBACK);
        if (transfer->state != TRANSFER_STATE_QUEUED || (part && part->outage.state == OUTAGE_STATE_DOUBT))
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
    int64_t ask_ms = ask_all(transfers, must_end, now_ms);
    if (ask_ms >= 0 && ask_ms < sleep_ms)
        sleep_ms = ask_ms;
    if (parts_ask_at_ms(&transfers->parts) >= 0)
        gate_note_outage(&transfers->gate, parts_ask_at_ms(&transfers->parts));
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
    parts_read_wait(&transfers->parts, wait);
}

/* Tells whoever wants to know of outages, and the state folder of what answered for the first time. A
 * question that was broken off because all stops is no news. */
static void tell_of_parts(struct transfers *transfers)
{
    const struct hub_options *options = transfers->options;
    struct hub_outage news;
    struct buf urls;
    buf_init(&urls, (size_t)PARTS_MAX * LIMIT_URL_BYTES);
    (void)pthread_mutex_lock(&transfers->mutex);
    int has_reached = parts_take_reached(&transfers->parts, &urls);
    while (!transfers->is_stopping && !transfers->is_cancelled && parts_take_news(&transfers->parts, &news)) {
        (void)pthread_mutex_unlock(&transfers->mutex);
        if (options->tell_outage)
            options->tell_outage(options->tell_context, &news);
        (void)pthread_mutex_lock(&transfers->mutex);
    }
    (void)pthread_mutex_unlock(&transfers->mutex);
    if (has_reached && options->outage_first_ms && options->state_folder)
        reached_write(options->state_folder, options->endpoint, buf_text(&urls));
    buf_free(&urls);
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
        tell_of_parts(transfers);
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

int transfers_open(const struct hub_options *options, struct token *token, struct transfers **ret_transfers,
                   struct err *err)
{
    pthread_condattr_t attributes;
    (void)pthread_once(&curl_once, start_curl);
    struct transfers *transfers = calloc(1, sizeof *transfers);
    if (!transfers)
        return err_set(err, ERR_NO_MEMORY, "hub: out of memory");
    transfers->options = options;
    transfers->token = token;
    transfers->last = &transfers->first;
    gate_init(&transfers->gate, options->request_budget, options->request_window_ms);
    if (parts_init(&transfers->parts, options, err)) {
        free(transfers);
        return err->code;
    }
    transfers->multi = curl_multi_init();
    if (!transfers->multi) {
        parts_free(&transfers->parts);
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
        parts_free(&transfers->parts);
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
    parts_free(&transfers->parts);
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

int transfers_refuse(struct transfers *transfers, const struct transfer *transfer, struct err *err)
{
    int64_t now_ms = clock_monotonic_ms();
    (void)pthread_mutex_lock(&transfers->mutex);
    struct part *part = transfer ? part_of(transfers, transfer, now_ms) : transfers->parts.rows[0];
    int is_down = parts_refuse(part, now_ms, err);
    (void)pthread_mutex_unlock(&transfers->mutex);
    return is_down;
}

uint64_t transfers_read_mark(struct transfers *transfers)
{
    (void)pthread_mutex_lock(&transfers->mutex);
    uint64_t mark = parts_mark(&transfers->parts);
    (void)pthread_mutex_unlock(&transfers->mutex);
    return mark;
}

int transfers_accuse(struct transfers *transfers, const struct transfer *transfer)
{
    struct err reason = ERR_INIT;
    enum outage_sign sign = client_read_sign(transfer, &reason);
    int64_t now_ms = clock_monotonic_ms();
    (void)pthread_mutex_lock(&transfers->mutex);
    struct part *part = part_of(transfers, transfer, now_ms);
    int is_accused =
        part && outage_accuse(&part->outage, transfer->url, sign, reason.message, now_ms, client_jitter());
    (void)pthread_mutex_unlock(&transfers->mutex);
    return is_accused;
}

void transfers_doubt(struct transfers *transfers)
{
    (void)pthread_mutex_lock(&transfers->mutex);
    outage_doubt(&transfers->parts.rows[0]->outage, clock_monotonic_ms());
    (void)pthread_mutex_unlock(&transfers->mutex);
    (void)curl_multi_wakeup(transfers->multi);
}

void transfers_read_wait(struct transfers *transfers, struct hub_wait *ret_wait)
{
    (void)pthread_mutex_lock(&transfers->mutex);
    read_wait(transfers, ret_wait);
    (void)pthread_mutex_unlock(&transfers->mutex);
}
