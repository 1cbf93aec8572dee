/* One JSON reply of the hub's API, through redirects and retries. */
#include "daemon/hub/client.h"

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/limits.h"
#include "daemon/hub/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
    int code = transfers_wait_any(transfers, &transfer, 1, repository->repository.cancel, &index, err);
    if (code)
        transfers_abort(transfers, &transfer, 1);
    client_count(repository, transfer);
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

/* Runs a transfer, with its redirects and retries, to a good answer; *url becomes where that came from. Of a
 * reply, `body` is what it had before with each new attempt; without one, the way ends where it leaves the
 * endpoint: by then that has answered. */
static int run_to_answer(struct hub_repository *repository, struct transfer *transfer, struct buf *body,
                         char **url, struct err *err)
{
    struct hub *hub = repository->hub;
    size_t size_before = body ? body->size : 0;
    int hop_count = 0, attempt = 0;
    for (;;) {
        int is_endpoint = client_is_endpoint(hub, *url);
        if (!is_endpoint && !body)
            return 0;
        transfer->url = *url;
        transfer->bucket = !is_endpoint ? TRANSFER_BUCKET_NONE
                           : body       ? TRANSFER_BUCKET_API
                                        : TRANSFER_BUCKET_FILES;
        (void)token_refresh(hub->token);
        if (body)
            body->size = size_before;
        int code = run(repository, transfer, err);
        if (code)
            return code;
        enum client_verdict verdict = client_judge(repository, transfer, err);
        if (verdict == CLIENT_VERDICT_OK)
            return 0;
        if (verdict == CLIENT_VERDICT_REDIRECT) {
            code = follow(transfer, url, &hop_count, err);
            transfer->start_at_ms = 0;
            if (code)
                return code;
            continue;
        }
        int64_t delay_ms = -1;
        if (verdict == CLIENT_VERDICT_RETRY && ++attempt < hub->options.attempts_max)
            delay_ms = client_retry_delay_ms(repository, transfer, attempt, err);
        else if (verdict == CLIENT_VERDICT_RETRY && attempt == hub->options.attempts_max &&
                 transfers_accuse(hub->transfers, transfer))
            delay_ms = 0;
        if (delay_ms < 0)
            return err->code;
        client_count_retry(repository);
        transfer->start_at_ms = clock_monotonic_ms() + delay_ms;
    }
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Whether a reply begins and ends as JSON does: what was cut short on its way, or is a page of a proxy, does
 * not. */
static int is_like_json(const char *text, size_t size)
{
    while (size && is_space(text[size - 1]))
        size--;
    while (size && is_space(*text)) {
        text++;
        size--;
    }
    return size >= 2 &&
           ((text[0] == '{' && text[size - 1] == '}') || (text[0] == '[' && text[size - 1] == ']'));
}

int request_get_json(struct hub_repository *repository, const char *address, struct buf *body,
                     char **ret_next, struct err *err)
{
    struct transfer transfer;
    transfer_init(&transfer);
    transfer.take_body = take_reply;
    transfer.context = body;
    transfer.accepts_compression = 1;
    char *url = strdup(address);
    if (!url)
        return err_set(err, ERR_NO_MEMORY, "request: out of memory");
    size_t size_before = body->size;
    int code = run_to_answer(repository, &transfer, body, &url, err);
    if (!code && !is_like_json(buf_text(body) + size_before, body->size - size_before)) {
        /* Worth a second try; whoever parses it tells what it is then. */
        body->size = size_before;
        client_count_retry(repository);
        transfer.start_at_ms = clock_monotonic_ms() + repository->hub->options.backoff_ms;
        code = run_to_answer(repository, &transfer, body, &url, err);
    }
    if (!code && ret_next && transfer.headers.link_next)
        code = url_follow(url, transfer.headers.link_next, ret_next, err);
    else if (!code && ret_next)
        *ret_next = NULL;
    transfer_reset(&transfer);
    free(url);
    return code;
}

static int take_enough(struct transfer *transfer, struct err *refusal)
{
    (void)transfer;
    (void)refusal;
    return 1; /* that it is given is all */
}

/* What the answer for a file of this commit says of it. An absent file is believed if the hub says in its own
 * words that it knows the commit and not the file. */
static int read_file(int code, const struct headers *headers, const char *commit,
                     struct repository_file *ret_file, struct err *err)
{
    if (code == ERR_NOT_FOUND && strcasecmp(headers->error_code, "EntryNotFound") == 0)
        return code;
    if (code == ERR_NOT_FOUND ||
        (!code &&
         (strcmp(headers->repo_commit, commit) != 0 ||
          !digest_is_hex(headers->linked_etag, REPOSITORY_SHA256_SIZE - 1) || !headers->has_linked_size)))
        return err_set(err, ERR_UNSUPPORTED, "the hub does not state the digest of a single file");
    if (code)
        return code;
    ret_file->size_bytes = headers->linked_size_bytes;
    ret_file->git_oid[0] = 0;
    (void)snprintf(ret_file->sha256, sizeof ret_file->sha256, "%.64s", headers->linked_etag);
    return 0;
}

int request_ask_file(struct hub_repository *repository, const char *address, const char *commit,
                     struct repository_file *ret_file, struct err *err)
{
    struct transfer transfer;
    transfer_init(&transfer);
    transfer.take_headers = take_enough;
    transfer.range_end = 1;
    char *url = strdup(address);
    if (!url)
        return err_set(err, ERR_NO_MEMORY, "request: out of memory");
    int code = run_to_answer(repository, &transfer, NULL, &url, err);
    if (ret_file)
        code = read_file(code, &transfer.headers, commit, ret_file, err);
    transfer_reset(&transfer);
    free(url);
    return code;
}
