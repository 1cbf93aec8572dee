#include "daemon/hub/network.h"

#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/hub/client.h"
#include "daemon/hub/exchange.h"
#include "daemon/hub/reached.h"

#include <stddef.h>

#define POLL_MS_MAX 1000

struct part *network_part_of(struct transfers *transfers, const struct transfer *transfer, int64_t now_ms)
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
    struct part *part = asked ? asked : network_part_of(transfers, transfer, now_ms);
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
    parts_update(&transfers->parts, now_ms);
    for (struct transfer *transfer = transfers->first; transfer; transfer = next) {
        next = transfer->next;
        if (must_end || transfer->is_abort_wanted) {
            transfer->is_aborted = 1;
            finish(transfers, transfer, CURLE_ABORTED_BY_CALLBACK);
            continue;
        }
        if (transfer->state != TRANSFER_STATE_QUEUED)
            continue;
        struct part *part = network_part_of(transfers, transfer, now_ms);
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

void network_read_wait(const struct transfers *transfers, struct hub_wait *wait)
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

void *network_main(void *context)
{
    struct transfers *transfers = context;
    const struct hub_options *options = transfers->options;
    for (;;) {
        int running = 0, tells = 0;
        (void)pthread_mutex_lock(&transfers->mutex);
        transfers->turn_count++;
        int64_t sleep_ms = schedule(transfers, &tells);
        struct hub_wait wait;
        network_read_wait(transfers, &wait);
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
