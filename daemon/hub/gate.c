#include "daemon/hub/gate.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_MS (300 * 1000) /* of the hub's rate limit */
#define TOLD_MS 2000           /* shorter pauses are everyday life, and two waits so close are one */
#define SAME_MS 500 /* answers to requests sent at once put the end of a pause at nearly the same time */

const char *hub_wait_reason_name(enum hub_wait_reason reason)
{
    static const char *const names[HUB_WAIT_REASON_COUNT] = {"none",        "request_budget", "rate_limit",
                                                             "retry_after", "unreachable",    "cache_budget"};
    return (unsigned)reason < HUB_WAIT_REASON_COUNT ? names[reason] : "none";
}

void gate_init(struct gate *gate, int budget, int64_t window_ms)
{
    memset(gate, 0, sizeof *gate);
    gate->budget = budget;
    gate->window_ms = window_ms > 0 ? window_ms : WINDOW_MS;
}

void gate_hold(struct gate *gate, enum transfer_bucket bucket, enum hub_wait_reason reason, int64_t now_ms,
               int64_t duration_ms)
{
    if (bucket == TRANSFER_BUCKET_NONE || now_ms + duration_ms <= gate->hold_until_ms[bucket])
        return;
    gate->hold_until_ms[bucket] = now_ms + duration_ms;
    gate->hold_reason[bucket] = reason;
}

void gate_note_left(struct gate *gate, enum transfer_bucket bucket, int64_t left, int64_t now_ms,
                    int64_t reset_ms)
{
    gate->short_until_ms[bucket] = left < GATE_LEFT_TO_OTHERS ? now_ms + reset_ms : 0;
}

int gate_has_room(const struct gate *gate, enum transfer_bucket bucket, int64_t now_ms)
{
    int is_ours_left = gate->budget <= 0 || now_ms >= gate->window_end_ms ||
                       gate->window_count[bucket] < (gate->budget + 1) / 2;
    return is_ours_left && now_ms >= gate->hold_until_ms[bucket] && now_ms >= gate->short_until_ms[bucket];
}

void gate_note_outage(struct gate *gate, int64_t ask_at_ms)
{
    gate->next.reason = HUB_WAIT_UNREACHABLE;
    gate->next_until_ms = ask_at_ms;
}

void gate_count(struct gate *gate, enum transfer_bucket bucket)
{
    gate->window_count[bucket]++;
}

void gate_begin_turn(struct gate *gate)
{
    gate->next = (struct hub_wait){.reason = HUB_WAIT_NONE};
    gate->next_until_ms = 0;
}

int64_t gate_wait_ms(struct gate *gate, enum transfer_bucket bucket, int64_t start_at_ms, int64_t now_ms)
{
    int64_t open_ms = gate->hold_until_ms[bucket];
    enum hub_wait_reason reason = gate->hold_reason[bucket];
    if (bucket != TRANSFER_BUCKET_NONE && gate->budget > 0) {
        if (now_ms >= gate->window_end_ms) {
            gate->window_end_ms = now_ms + gate->window_ms;
            memset(gate->window_count, 0, sizeof gate->window_count);
        }
        if (gate->window_count[bucket] >= gate->budget && gate->window_end_ms > open_ms) {
            open_ms = gate->window_end_ms;
            reason = HUB_WAIT_REQUEST_BUDGET;
        }
    }
    if (open_ms > now_ms) {
        gate->next.request_count++;
        if (open_ms > gate->next_until_ms) {
            gate->next_until_ms = open_ms;
            gate->next.reason = reason;
        }
    }
    int64_t at_ms = open_ms > start_at_ms ? open_ms : start_at_ms;
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

int gate_end_turn(struct gate *gate, int64_t now_ms, int64_t wall_ms)
{
    struct hub_wait *wait = &gate->wait, *next = &gate->next;
    if (wait->reason && now_ms > gate->turn_ms)
        wait->waited_ms += now_ms - gate->turn_ms;
    gate->turn_ms = now_ms;
    int is_short = !wait->reason && !gate->is_told && next->reason != HUB_WAIT_UNREACHABLE &&
                   gate->next_until_ms - now_ms < TOLD_MS;
    if (!next->reason || is_short)
        *next = (struct hub_wait){.reason = HUB_WAIT_NONE};
    wait->request_count = next->request_count;
    int is_same = next->reason == wait->reason &&
                  (!next->reason || llabs(gate->next_until_ms - gate->wait_until_ms) < SAME_MS);
    if (!is_same) {
        wait->reason = next->reason;
        gate->wait_until_ms = next->reason ? gate->next_until_ms : 0;
        wait->until_ms = next->reason ? wall_ms + gate->next_until_ms - now_ms : 0;
        wait->serial++;
    }
    if (wait->reason == HUB_WAIT_UNREACHABLE) { /* as is its end, by whoever noted it */
        gate->is_told = 0;
        gate->over_ms = 0;
        return 0;
    }
    if (wait->reason) {
        int is_new = !gate->is_told;
        gate->over_ms = 0;
        gate->is_told = 1;
        return is_new;
    }
    if (gate->is_told && !gate->over_ms)
        gate->over_ms = now_ms;
    if (!gate->is_told || now_ms - gate->over_ms < TOLD_MS)
        return 0;
    gate->is_told = 0;
    gate->over_ms = 0;
    return 1;
}
