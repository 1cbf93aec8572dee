#include "daemon/hub/client.h"

#include "daemon/base/clock.h"
#include "daemon/hub/ledger.h"
#include "daemon/hub/url.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void usage_read(struct usage *usage, struct repository_counters *counters)
{
    *counters = (struct repository_counters){
        .request_count = atomic_load(&usage->request_count),
        .received_bytes = atomic_load(&usage->received_bytes),
        .transfer_us = atomic_load(&usage->transfer_us),
        .retry_count = atomic_load(&usage->retry_count),
        .cache_hit_count = atomic_load(&usage->cache_hit_count),
    };
}

/* For whom something counts. */
struct payers {
    struct usage *usage[3];
    size_t count;
};

static struct payers payers_of(struct hub_repository *repository)
{
    struct payers payers = {{&repository->hub->usage, &repository->usage}, 2};
    if (repository->payer)
        payers.usage[payers.count++] = &repository->payer->usage;
    return payers;
}

void client_count(struct hub_repository *repository, const struct transfer *transfer)
{
    struct payers all = payers_of(repository);
    for (size_t i = 0; i < all.count; i++) {
        (void)atomic_fetch_add(&all.usage[i]->request_count, transfer->is_sent ? 1u : 0u);
        (void)atomic_fetch_add(&all.usage[i]->received_bytes, transfer->received_bytes);
        (void)atomic_fetch_add(&all.usage[i]->transfer_us, transfer->duration_us);
    }
    const struct headers *headers = &transfer->headers;
    if (transfer->has_taken_headers && headers->ratelimit_left >= 0 && headers->ratelimit_reset_ms >= 0)
        transfers_note_left(repository->hub->transfers, transfer->bucket, headers->ratelimit_left,
                            headers->ratelimit_reset_ms);
    /* The last request of the window was this one: the next would only earn a 429. */
    if (transfer->has_taken_headers && headers->ratelimit_left == 0 && headers->ratelimit_reset_ms > 0 &&
        headers->ratelimit_reset_ms <= repository->hub->options.wait_max_ms)
        transfers_hold(repository->hub->transfers, transfer->bucket, HUB_WAIT_RATE_LIMIT,
                       headers->ratelimit_reset_ms);
}

void client_count_retry(struct hub_repository *repository)
{
    struct payers all = payers_of(repository);
    for (size_t i = 0; i < all.count; i++)
        (void)atomic_fetch_add(&all.usage[i]->retry_count, 1u);
}

void client_count_cache_hit(struct hub_repository *repository)
{
    struct payers all = payers_of(repository);
    for (size_t i = 0; i < all.count; i++)
        (void)atomic_fetch_add(&all.usage[i]->cache_hit_count, 1u);
}

void client_note_cache_hit(struct hub_repository *repository, const char *path)
{
    char *blob = repository->hub->options.state_folder ? realpath(path, NULL) : NULL;
    const char *slash = blob ? strrchr(blob, '/') : NULL;
    if (slash)
        ledger_touch(repository->hub->options.state_folder, &repository->cache, slash + 1);
    free(blob);
    client_count_cache_hit(repository);
}

int client_is_endpoint(const struct hub *hub, const char *url)
{
    return url_is_same_origin(hub->options.endpoint, url);
}

const char *client_kind_word(const struct hub_repository *repository)
{
    return repository->kind == REPOSITORY_KIND_MODEL ? "model" : "data set";
}

void client_append_api(const struct hub_repository *repository, struct buf *url)
{
    (void)buf_append_text(url, repository->hub->options.endpoint);
    (void)buf_append_text(url, repository->kind == REPOSITORY_KIND_MODEL ? "/api/models/" : "/api/datasets/");
    url_append_path(url, repository->repository.name);
}

static void append_page(const struct hub_repository *repository, struct buf *url)
{
    (void)buf_append_text(url, repository->hub->options.endpoint);
    (void)buf_append_text(url, repository->kind == REPOSITORY_KIND_MODEL ? "/" : "/datasets/");
    url_append_path(url, repository->repository.name);
}

void client_append_resolve(const struct hub_repository *repository, const char *commit, const char *path,
                           struct buf *url)
{
    append_page(repository, url);
    (void)buf_append_text(url, "/resolve/");
    url_append_segment(url, commit);
    (void)buf_append_char(url, '/');
    url_append_path(url, path);
}

double client_jitter(void)
{
    uint32_t bits = 0;
    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != sizeof bits)
        bits = (uint32_t)clock_monotonic_ms() * 2654435761u;
    return 0.5 + 0.5 * (double)bits / 4294967296.0;
}

int64_t client_retry_delay_ms(struct hub_repository *repository, const struct transfer *transfer, int attempt,
                              struct err *err)
{
    const struct hub_options *options = &repository->hub->options;
    int64_t asked_ms = -1;
    int is_limited = transfer->has_taken_headers && transfer->status == 429;
    enum hub_wait_reason reason = is_limited ? HUB_WAIT_RATE_LIMIT : HUB_WAIT_RETRY_AFTER;
    if (is_limited && transfer->headers.ratelimit_left == 0 && transfer->headers.ratelimit_reset_ms >= 0)
        asked_ms = transfer->headers.ratelimit_reset_ms + 500;
    else if (transfer->has_taken_headers && transfer->status >= 400 && transfer->headers.retry_after_ms >= 0)
        asked_ms = transfer->headers.retry_after_ms + 100;
    /* Whether a hub that is closed for hours is down is found out by asking on; then nothing fails. */
    if (asked_ms > options->wait_max_ms && transfer->status >= 500 && options->outage_first_ms)
        asked_ms = -1;
    if (asked_ms > options->wait_max_ms) {
        (void)err_wrap(err, "it asks to wait %" PRId64 " s, which is longer than this program waits",
                       asked_ms / 1000);
        return -1;
    }
    if (asked_ms >= 0) {
        transfers_hold(repository->hub->transfers, transfer->bucket, reason, asked_ms);
        return asked_ms;
    }
    int64_t pause_ms = options->backoff_ms;
    for (int i = 1; i < attempt && pause_ms < options->backoff_max_ms; i++)
        pause_ms *= 2;
    if (pause_ms > options->backoff_max_ms)
        pause_ms = options->backoff_max_ms;
    pause_ms = (int64_t)((double)pause_ms * client_jitter());
    if (is_limited)
        transfers_hold(repository->hub->transfers, transfer->bucket, reason, pause_ms);
    return pause_ms;
}
