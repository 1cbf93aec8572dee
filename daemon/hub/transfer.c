#include "daemon/hub/transfer.h"

#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBLEM_BYTES_MAX (16 * KIB)
#define POLL_MS_MAX 1000
#define CANCEL_POLL_MS 50
#define LOW_SPEED_BYTES_PER_S 128
#define STALLS_PER_TRANSFER                                                                                  \
    10 /* one transfer, of at most LIMIT_HUB_JSON_BYTES, takes no longer than so many */

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
};

void transfer_init(struct transfer *transfer)
{
    memset(transfer, 0, sizeof *transfer);
    headers_init(&transfer->headers);
    buf_init(&transfer->problem, PROBLEM_BYTES_MAX);
}

void transfer_reset(struct transfer *transfer)
{
    headers_free(&transfer->headers);
    buf_free(&transfer->problem);
    transfer->status = 0;
    transfer->is_complete = transfer->is_aborted = transfer->is_sent = transfer->is_connected = 0;
    transfer->curl_code = transfer->proxy_status = 0;
    transfer->curl_reason[0] = 0;
    transfer->refusal = (struct err)ERR_INIT;
    transfer->received_bytes = 0;
    transfer->duration_us = 0;
    transfer->has_taken_headers = transfer->is_abort_wanted = 0;
    transfer->state = TRANSFER_STATE_IDLE;
}

/* -- libcurl's callbacks, on the network thread ------------------------------------------------------- */

static size_t take_header_line(char *line, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size *= count;
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        /* The final answer after 1xx: only that it all has a bound is left of those. */
        size_t total_bytes = transfer->headers.total_bytes;
        headers_free(&transfer->headers);
        transfer->headers.total_bytes = total_bytes;
    }
    if (headers_parse_line(&transfer->headers, line, size, clock_wall_ms())) {
        (void)err_set(&transfer->refusal, ERR_NO_MEMORY, "answer: out of memory");
        return 0;
    }
    if (transfer->headers.total_bytes > LIMIT_HUB_HEADER_BYTES) {
        (void)err_set(&transfer->refusal, ERR_LIMIT, "the answer's header is larger than %zu bytes",
                      LIMIT_HUB_HEADER_BYTES);
        return 0;
    }
    return size;
}

static int is_content(const struct transfer *transfer)
{
    return transfer->status == 200 || transfer->status == 206;
}

static int note_headers(struct transfer *transfer)
{
    long status = 0;
    if (transfer->has_taken_headers)
        return 0;
    transfer->has_taken_headers = 1;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    transfer->status = (int)status;
    if (is_content(transfer) && transfer->take_headers)
        return transfer->take_headers(transfer, &transfer->refusal);
    return 0;
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size *= count;
    transfer->received_bytes += size;
    if (note_headers(transfer))
        return 0;
    if (is_content(transfer))
        return transfer->take_body(transfer, data, size, &transfer->refusal) ? 0 : size;
    size_t room = transfer->problem.max - transfer->problem.size;
    (void)buf_append(&transfer->problem, data, size < room ? size : room);
    return size <= room ? size : 0; /* nobody needs to say more than this about a failure */
}

/* -- Starting and ending one transfer ------------------------------------------------------------------ */

static int append_field(struct transfer *transfer, const char *text)
{
    struct curl_slist *grown = curl_slist_append(transfer->fields, text);
    if (!grown)
        return -1;
    transfer->fields = grown;
    return 0;
}

static int add_fields(struct transfer *transfer)
{
    char text[4096];
    int failed = 0;
    if (transfer->token) {
        if ((size_t)snprintf(text, sizeof text, "Authorization: Bearer %s", transfer->token) >= sizeof text)
            return -1;
        failed = append_field(transfer, text);
    }
    if (!failed && !transfer->accepts_compression)
        failed = append_field(transfer, "Accept-Encoding: identity");
    return failed;
}

static int prepare(const struct hub_options *options, struct transfer *transfer)
{
    char range[64];
    CURL *easy = curl_easy_init();
    transfer->easy = easy;
    if (!easy || add_fields(transfer))
        return CURLE_OUT_OF_MEMORY;
    int failed = 0;
#define SET(option, value) failed |= curl_easy_setopt(easy, option, value) != CURLE_OK
    SET(CURLOPT_URL, transfer->url);
    SET(CURLOPT_HTTPHEADER, (struct curl_slist *)transfer->fields);
    SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* a proxy's CONNECT gets no token */
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_USERAGENT, options->user_agent);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout_ms);
    SET(CURLOPT_LOW_SPEED_LIMIT, (long)LOW_SPEED_BYTES_PER_S);
    SET(CURLOPT_LOW_SPEED_TIME, (long)((options->stall_timeout_ms + 999) / 1000));
    SET(CURLOPT_TIMEOUT_MS, (long)(options->stall_timeout_ms * STALLS_PER_TRANSFER));
    SET(CURLOPT_BUFFERSIZE, 256L * 1024);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_ERRORBUFFER, transfer->curl_reason);
    SET(CURLOPT_HEADERFUNCTION, take_header_line);
    SET(CURLOPT_HEADERDATA, transfer);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_PRIVATE, transfer);
    if (transfer->accepts_compression)
        SET(CURLOPT_ACCEPT_ENCODING, "");
    if (options->ca_file)
        SET(CURLOPT_CAINFO, options->ca_file);
    if (transfer->range_end) {
        (void)snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, transfer->range_begin,
                       transfer->range_end - 1);
        SET(CURLOPT_RANGE, range);
    }
#undef SET
    return failed ? CURLE_OUT_OF_MEMORY : CURLE_OK;
}

static int start(struct transfers *transfers, struct transfer *transfer)
{
    int code = prepare(transfers->options, transfer);
    if (code == CURLE_OK && curl_multi_add_handle(transfers->multi, transfer->easy) != CURLM_OK)
        code = CURLE_OUT_OF_MEMORY;
    return code;
}

/* Fills in the result and hands the transfer back; the mutex is held. */
static void finish(struct transfers *transfers, struct transfer *transfer, int curl_code)
{
    if (transfer->easy) {
        /* An answer without a body never came by take_body. */
        int has_enough = 0;
        if (curl_code == CURLE_OK)
            has_enough = note_headers(transfer);
        else if (curl_code == CURLE_WRITE_ERROR)
            has_enough = 1;
        transfer->is_complete = !transfer->refusal.code && (curl_code == CURLE_OK || has_enough);
        if (!transfer->has_taken_headers && curl_code != CURLE_OK)
            headers_free(&transfer->headers);
        long proxy_status = 0;
        (void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
        transfer->proxy_status = (int)proxy_status;
        curl_off_t duration_us = 0, connected_us = 0;
        (void)curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
        transfer->is_connected = connected_us > 0;
        (void)curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &duration_us);
        transfer->duration_us = duration_us > 0 ? (uint64_t)duration_us : 0;
        (void)curl_multi_remove_handle(transfers->multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
        transfer->easy = NULL;
    }
    curl_slist_free_all(transfer->fields);
    transfer->fields = NULL;
    transfer->curl_code = curl_code;
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

/* Starts what may start and ends what is not wanted any more; how long to sleep at most, and whether a wait
 * is to be told. */
static int64_t schedule(struct transfers *transfers, int *ret_tells)
{
    int64_t now_ms = clock_monotonic_ms(), sleep_ms = POLL_MS_MAX;
    int must_end = transfers->is_stopping || transfers->is_cancelled;
    struct transfer *next;
    gate_begin_turn(&transfers->gate);
    for (struct transfer *transfer = transfers->first; transfer; transfer = next) {
        next = transfer->next;
        if (must_end || transfer->is_abort_wanted) {
            transfer->is_aborted = 1;
            finish(transfers, transfer, CURLE_ABORTED_BY_CALLBACK);
            continue;
        }
        if (transfer->state != TRANSFER_STATE_QUEUED)
            continue;
        int64_t wait_ms = gate_wait_ms(&transfers->gate, transfer->bucket, transfer->start_at_ms, now_ms);
        if (wait_ms > 0) {
            sleep_ms = wait_ms < sleep_ms ? wait_ms : sleep_ms;
            continue;
        }
        if (transfers->running_count >= transfers->options->connections_max)
            continue; /* one that ends wakes us */
        transfer->state = TRANSFER_STATE_RUNNING;
        transfer->is_sent = 1;
        transfers->running_count++;
        gate_count(&transfers->gate, transfer->bucket);
        int code = start(transfers, transfer);
        if (code != CURLE_OK)
            finish(transfers, transfer, code);
        else
            sleep_ms = 0;
    }
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

static void *network_main(void *context)
{
    struct transfers *transfers = context;
    const struct hub_options *options = transfers->options;
    for (;;) {
        int running = 0, tells = 0;
        (void)pthread_mutex_lock(&transfers->mutex);
        transfers->turn_count++;
        int64_t sleep_ms = schedule(transfers, &tells);
        struct hub_wait wait = transfers->gate.wait;
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
    (void)pthread_once(&curl_once, start_curl);
    struct transfers *transfers = calloc(1, sizeof *transfers);
    if (!transfers)
        return err_set(err, ERR_NO_MEMORY, "hub: out of memory");
    transfers->options = options;
    transfers->last = &transfers->first;
    gate_init(&transfers->gate, options->request_budget, options->request_window_ms);
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

void transfers_read_wait(struct transfers *transfers, struct hub_wait *ret_wait)
{
    (void)pthread_mutex_lock(&transfers->mutex);
    *ret_wait = transfers->gate.wait;
    (void)pthread_mutex_unlock(&transfers->mutex);
}
