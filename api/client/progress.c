#include "api/client/progress.h"

#include "api/client/member.h"
#include "api/client/plain.h"
#include "api/client/terminal.h"
#include "daemon/base/local_name.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BAR_CELLS_MAX 30
#define BAR_CELLS_MIN 6
#define COUNT_MAX INT64_C(1000000000000)

/* A number of revisions; what a daemon cannot mean would overflow sums. */
static int64_t count_of(const json_t *object, const char *key)
{
    int64_t count = member_integer(object, key);
    return count < 0 ? 0 : count < COUNT_MAX ? count : COUNT_MAX;
}

/* Of two numbers, at most `most`; what a daemon cannot mean counts as that. */
static int64_t sum_of(int64_t one, int64_t other, int64_t most)
{
    int64_t sum;
    return one < 0 || other < 0 || __builtin_add_overflow(one, other, &sum) || sum > most ? most : sum;
}

void client_progress_read(const json_t *sweep, struct client_progress *progress)
{
    const json_t *part = json_object_get(sweep, "progress");
    const json_t *wait = json_object_get(sweep, "hub_wait"), *error = json_object_get(sweep, "error");
    *progress = (struct client_progress){
        .id = member_integer(sweep, "id"),
        .total = count_of(part, "revisions_total"),
        .done = count_of(part, "done"),
        .failed = count_of(part, "failed"),
        .cancelled = count_of(part, "cancelled"),
        .bytes_fetched = member_integer(part, "bytes_fetched"),
        .bytes_expected = member_integer(part, "bytes_expected"),
        .rate_bytes_per_s = member_number(part, "rate_bytes_per_s"),
        .seconds_left = member_number(part, "seconds_left"),
        .wait_seconds = member_number(wait, "seconds_left"),
    };
    client_plain_copy(json_object_get(sweep, "model"), "", progress->model, sizeof progress->model);
    progress->is_folder = local_name_is(progress->model);
    if (progress->is_folder && progress->bytes_fetched <= 0) { /* it is read where it is */
        progress->bytes_fetched = progress->bytes_expected = 0;
        progress->rate_bytes_per_s = (double)NAN;
    }
    client_plain_copy(json_object_get(sweep, "state"), "", progress->state, sizeof progress->state);
    client_plain_copy(json_object_get(wait, "reason"), "", progress->wait_reason,
                      sizeof progress->wait_reason);
    client_plain_copy(json_object_get(wait, "detail"), "", progress->wait_detail,
                      sizeof progress->wait_detail);
    progress->is_plan_waiting = strcmp(progress->state, "planning") == 0 && json_is_object(error);
    if (progress->is_plan_waiting) {
        client_plain_copy(json_object_get(error, "code"), "", progress->wait_reason,
                          sizeof progress->wait_reason);
        client_plain_copy(json_object_get(error, "message"), "", progress->wait_detail,
                          sizeof progress->wait_detail);
    }
    for (char *at = progress->wait_reason; (at = strchr(at, '_')); at++)
        *at = ' ';
}

int client_progress_is_over(const struct client_progress *progress)
{
    return strcmp(progress->state, "done") == 0 || strcmp(progress->state, "failed") == 0 ||
           strcmp(progress->state, "cancelled") == 0;
}

void client_progress_format_bytes(double bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    while (bytes >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        bytes /= 1000.0;
        unit++;
    }
    (void)snprintf(text, size, "%.*f %s", unit > 0 && bytes < 99.95 ? 1 : 0, bytes, units[unit]);
}

/* "12 s", "3:07 min", "2:05 h". */
static void format_time(double seconds, char *text, size_t size)
{
    if (!(seconds >= 0.0) || seconds > 1e9) {
        (void)snprintf(text, size, "?");
        return;
    }
    long long whole = llround(seconds);
    if (whole < 60)
        (void)snprintf(text, size, "%lld s", whole);
    else if (whole < 3600)
        (void)snprintf(text, size, "%lld:%02lld min", whole / 60, whole % 60);
    else
        (void)snprintf(text, size, "%lld:%02lld h", whole / 3600, whole / 60 % 60);
}

/* ", waits for the hub: 42 s, request budget"; ", waits for the hub, asked again in 42 s: no such host"; ",
 * waits: the disk is full" */
static void append_wait(const struct client_progress *progress, char *text, size_t size)
{
    char left[32];
    size_t length = strlen(text);
    format_time(progress->wait_seconds > 0.0 ? progress->wait_seconds : 0.0, left, sizeof left);
    if (strcmp(progress->wait_reason, "no space") == 0 || strcmp(progress->wait_reason, "cache budget") == 0)
        (void)snprintf(text + length, size - length, ", waits: %s", progress->wait_detail);
    else if (progress->wait_detail[0])
        (void)snprintf(text + length, size - length, ", waits for the hub, asked again in %s: %s", left,
                       progress->wait_detail);
    else
        (void)snprintf(text + length, size - length, ", waits for the hub: %s, %s", left,
                       progress->wait_reason);
}

/* Whether the sweep stands still because the hub is not asked; a rate would mean nothing then. */
static int is_waiting(const struct client_progress *progress)
{
    return progress->wait_reason[0] && !client_progress_is_over(progress);
}

/* The words: "12/24 revisions, 1.2 of 3.4 MB, 850 kB/s, 12 s left, 1 failed, 2 cancelled"; with less detail
 * than 2 without the rate, with less than 1 without the bytes. */
static void format_words(const struct client_progress *progress, int detail, char *text, size_t size)
{
    char fetched[32], expected[32], rate[32], left[32];
    int64_t tried = progress->done + progress->failed;
    int length = snprintf(text, size, "%" PRId64 "/%" PRId64 " revisions", tried, progress->total);
    if (detail > 0 && (progress->bytes_fetched || progress->bytes_expected)) {
        client_progress_format_bytes((double)progress->bytes_fetched, fetched, sizeof fetched);
        client_progress_format_bytes((double)progress->bytes_expected, expected, sizeof expected);
        int is_expected = progress->bytes_fetched <= progress->bytes_expected; /* it is an estimate */
        length += snprintf(text + length, size - (size_t)length, ", %s%s%s", fetched,
                           is_expected ? " of " : "", is_expected ? expected : "");
    }
    int is_moving = !client_progress_is_over(progress) && !is_waiting(progress);
    if (detail > 1 && is_moving && isfinite(progress->rate_bytes_per_s)) {
        client_progress_format_bytes(progress->rate_bytes_per_s, rate, sizeof rate);
        length += snprintf(text + length, size - (size_t)length, ", %s/s", rate);
    }
    if (is_moving && isfinite(progress->seconds_left)) {
        format_time(progress->seconds_left, left, sizeof left);
        length += snprintf(text + length, size - (size_t)length, ", %s left", left);
    }
    if (progress->failed)
        length += snprintf(text + length, size - (size_t)length, ", %" PRId64 " failed", progress->failed);
    if (progress->cancelled)
        (void)snprintf(text + length, size - (size_t)length, ", %" PRId64 " cancelled", progress->cancelled);
}

static void cut(char *text, size_t width, int is_terminal)
{
    text[client_terminal_fit(text, width, is_terminal)] = '\0';
}

/* The words with as much detail as there is room for: what is left to do, and why it waits, come first. */
static void format_fitting(const struct client_progress *progress, size_t width, int is_terminal, char *text,
                           size_t size)
{
    int detail = 2;
    do {
        if (progress->is_plan_waiting)
            (void)snprintf(text, size, "planning: waits: %.230s", progress->wait_detail);
        else if (strcmp(progress->state, "planning") == 0)
            (void)snprintf(text, size, "planning: listing the revisions of %.128s", progress->model);
        else
            format_words(progress, detail, text, size);
        cut(text, size, is_terminal);
        if (is_waiting(progress) && !progress->is_plan_waiting)
            append_wait(progress, text, size);
        cut(text, size, is_terminal);
    } while (client_terminal_columns(text, is_terminal) > width && detail-- > 0);
}

void client_progress_format(const struct client_progress *progress, size_t width, int has_bar, char *text,
                            size_t size)
{
    char words[256];
    char bar[BAR_CELLS_MAX + 1] = "";
    format_fitting(progress, width, has_bar, words, sizeof words);
    const size_t own = client_terminal_columns(words, has_bar);
    size_t room = width > own + 3 ? width - own - 3 : 0;
    size_t cells = room < BAR_CELLS_MAX ? room : BAR_CELLS_MAX;
    if (has_bar && cells >= BAR_CELLS_MIN && progress->total > 0) {
        int64_t ended = progress->done + progress->failed + progress->cancelled;
        size_t full = (size_t)((double)cells * (double)ended / (double)progress->total);
        memset(bar, '.', cells);
        memset(bar, '#', full < cells ? full : cells);
        bar[cells] = '\0';
        (void)snprintf(text, size, "[%s] %s", bar, words);
    } else {
        (void)snprintf(text, size, "%s", words);
    }
    cut(text, width, has_bar);
}

/* What one still has to do, in bytes where they are known; revisions weigh next to nothing beside them. */
static double left_of(const struct client_progress *part)
{
    double bytes = (double)part->bytes_expected - (double)part->bytes_fetched;
    int64_t ended = part->done + part->failed + part->cancelled;
    return (bytes > 0.0 ? bytes : 0.0) + (double)(part->total > ended ? part->total - ended : 0);
}

void client_progress_add(struct client_progress_sum *sum, const struct client_progress *part)
{
    struct client_progress *whole = &sum->whole;
    int is_over = client_progress_is_over(part);
    int is_planning = strcmp(part->state, "planning") == 0;
    if (sum->count++ == 0)
        whole->rate_bytes_per_s = whole->seconds_left = (double)NAN;
    sum->over += (size_t)is_over;
    sum->planning += (size_t)is_planning;
    whole->total = sum_of(whole->total, part->total, COUNT_MAX);
    whole->done = sum_of(whole->done, part->done, COUNT_MAX);
    whole->failed = sum_of(whole->failed, part->failed, COUNT_MAX);
    whole->cancelled = sum_of(whole->cancelled, part->cancelled, COUNT_MAX);
    whole->bytes_fetched = sum_of(whole->bytes_fetched, part->bytes_fetched, INT64_MAX);
    whole->bytes_expected =
        sum_of(whole->bytes_expected, is_over ? part->bytes_fetched : part->bytes_expected, INT64_MAX);
    if (!is_over && !whole->wait_reason[0] && !part->is_plan_waiting) {
        memcpy(whole->wait_reason, part->wait_reason, sizeof whole->wait_reason);
        memcpy(whole->wait_detail, part->wait_detail, sizeof whole->wait_detail);
        whole->wait_seconds = part->wait_seconds;
    }
    if (is_over || is_planning)
        return;
    if (isfinite(part->rate_bytes_per_s))
        whole->rate_bytes_per_s =
            part->rate_bytes_per_s + (isfinite(whole->rate_bytes_per_s) ? whole->rate_bytes_per_s : 0.0);
    sum->left += left_of(part);
    if (part->seconds_left > 0.0 && isfinite(part->seconds_left))
        sum->speed += left_of(part) / part->seconds_left;
}

void client_progress_format_sum(const struct client_progress_sum *sum, size_t width, int has_bar, char *text,
                                size_t size)
{
    struct client_progress whole = sum->whole;
    int length = snprintf(text, size, "%zu of %zu sweeps ended", sum->over, sum->count);
    if (sum->planning)
        length += snprintf(text + length, size - (size_t)length, ", %zu being planned", sum->planning);
    length += snprintf(text + length, size - (size_t)length, "; ");
    (void)snprintf(whole.state, sizeof whole.state, "%s", sum->over == sum->count ? "done" : "running");
    if (sum->speed > 0.0)
        whole.seconds_left = fmin(sum->left / sum->speed, 1e9);
    client_progress_format(&whole, width > (size_t)length ? width - (size_t)length : 0, has_bar,
                           text + length, size - (size_t)length);
    cut(text, width, has_bar);
}
