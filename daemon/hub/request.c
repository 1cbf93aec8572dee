/* One JSON reply of the hub's API, through redirects and retries. */
#include "daemon/hub/client.h"

#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/hub/url.h"

#include <stdlib.h>
#include <string.h>

static int take_reply(struct transfer *transfer, const char *data, size_t size, struct err *refusal)
{
    struct buf *body = transfer->context;
    return buf_append(body, data, size) ? buf_check(body, "reply", refusal) : 0;
}

/* Runs one transfer to its end. */
static int run(struct hub_repository *repository, struct transfer *transfer, struct err *err)
{
    size_t index;
    struct transfers *transfers = repository->hub->transfers;
    transfers_submit(transfers, transfer);
    int code = transfers_wait_any(transfers, &transfer, 1, repository->cancel, &index, err);
    if (code)
        transfers_abort(transfers, &transfer, 1);
    client_count(repository, NULL, transfer);
    return code;
}

/* The redirect's target becomes *url; `hop_count` is counted up. */
static int follow(const struct transfer *transfer, char **url, int *hop_count, struct err *err)
{
    char *next = NULL;
    if (++*hop_count > LIMIT_HUB_REDIRECTS)
        return err_set(err, ERR_HTTP, "more than %d redirects", LIMIT_HUB_REDIRECTS);
    int code = url_follow(*url, transfer->headers.location, &next, err);
    if (code)
        return code;
    free(*url);
    *url = next;
    return 0;
}

int request_get_json(struct hub_repository *repository, const char *address, struct buf *body,
                     char **ret_next, struct err *err)
{
    struct hub *hub = repository->hub;
    struct transfer transfer;
    size_t size_before = body->size;
    int hop_count = 0, attempt = 0, code = 0;
    transfer_init(&transfer);
    transfer.take_body = take_reply;
    transfer.context = body;
    transfer.accepts_compression = 1;
    char *url = strdup(address);
    if (!url)
        return err_set(err, ERR_NO_MEMORY, "request: out of memory");
    for (;;) {
        int is_endpoint = client_is_endpoint(hub, url);
        transfer.url = url;
        (void)token_look(hub->token);
        transfer.bucket = is_endpoint ? TRANSFER_BUCKET_API : TRANSFER_BUCKET_NONE;
        body->size = size_before;
        code = run(repository, &transfer, err);
        if (code)
            goto out;
        enum client_verdict verdict = client_judge(repository, &transfer, err);
        if (verdict == CLIENT_VERDICT_OK)
            break;
        if (verdict == CLIENT_VERDICT_REDIRECT) {
            code = follow(&transfer, &url, &hop_count, err);
            transfer.start_at_ms = 0;
            if (code)
                goto out;
            continue;
        }
        code = err->code;
        int64_t delay_ms = -1;
        if (verdict == CLIENT_VERDICT_RETRY && ++attempt < hub->options.attempts_max)
            delay_ms = client_retry_delay_ms(repository, &transfer, attempt, err);
        else if (verdict == CLIENT_VERDICT_RETRY && attempt == hub->options.attempts_max &&
                 transfers_accuse(hub->transfers, &transfer))
            delay_ms = 0;
        if (delay_ms < 0)
            goto out;
        client_count_retry(repository, NULL);
        transfer.start_at_ms = clock_monotonic_ms() + delay_ms;
    }
    code = 0;
    if (ret_next && transfer.headers.link_next)
        code = url_follow(url, transfer.headers.link_next, ret_next, err);
    else if (ret_next)
        *ret_next = NULL;
out:
    transfer_reset(&transfer);
    free(url);
    return code;
}
