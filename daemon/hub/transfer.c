#include "daemon/hub/transfer.h"

#include "daemon/base/clock.h"
#include "daemon/base/condition.h"
#include "daemon/base/pulse.h"
#include "daemon/hub/client.h"
#include "daemon/hub/network.h"
#include "daemon/hub/outage.h"

#include <stdlib.h>

#define CANCEL_POLL_MS 50

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

int transfers_open(const struct hub_options *options, struct token *token, struct transfers **ret_transfers,
                   struct err *err)
{
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
    (void)pthread_cond_init(&transfers->done, NULL);
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
    (void)condition_wait(&transfers->done, &transfers->mutex, CANCEL_POLL_MS);
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

void transfers_note_left(struct transfers *transfers, enum transfer_bucket bucket, int64_t left,
                         int64_t reset_ms)
{
    (void)pthread_mutex_lock(&transfers->mutex);
    gate_note_left(&transfers->gate, bucket, left, clock_monotonic_ms(), reset_ms);
    (void)pthread_mutex_unlock(&transfers->mutex);
}

int transfers_has_room(struct transfers *transfers, enum transfer_bucket bucket)
{
    (void)pthread_mutex_lock(&transfers->mutex);
    int has_room = gate_has_room(&transfers->gate, bucket, clock_monotonic_ms());
    (void)pthread_mutex_unlock(&transfers->mutex);
    return has_room;
}

int transfers_refuse(struct transfers *transfers, const struct transfer *transfer, struct err *err)
{
    int64_t now_ms = clock_monotonic_ms();
    (void)pthread_mutex_lock(&transfers->mutex);
    struct part *part = transfer ? network_part_of(transfers, transfer, now_ms) : transfers->parts.rows[0];
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
    struct part *part = network_part_of(transfers, transfer, now_ms);
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
    network_read_wait(transfers, ret_wait);
    (void)pthread_mutex_unlock(&transfers->mutex);
}

void transfers_read_problem(struct transfers *transfers, char problem[ERR_MESSAGE_BYTES])
{
    (void)pthread_mutex_lock(&transfers->mutex);
    parts_read_problem(&transfers->parts, problem);
    (void)pthread_mutex_unlock(&transfers->mutex);
}
