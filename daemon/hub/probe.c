/* One question to the hub that shows whether it, the network and the token are as they should be. */
#include "daemon/hub/client.h"

#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/hub/hub_json.h"

#include <string.h>

static int take_reply(struct transfer *transfer, const char *data, size_t size, struct err *refusal)
{
    struct buf *body = transfer->context;
    return buf_append(body, data, size) ? buf_check(body, "reply", refusal) : 0;
}

/* The answer to a question that needs a token: 401 is the right one without. */
static int judge(const struct hub_options *options, const struct transfer *transfer, const struct buf *body,
                 struct hub_probe *probe, struct err *err)
{
    const char *endpoint = options->endpoint;
    char said[256] = "";
    if (!transfer->has_taken_headers && !transfer->is_complete) {
        (void)client_judge_connection(transfer, err);
        return err->code;
    }
    probe->knows_users = transfer->status != 404;
    if (!probe->knows_users)
        return 0;
    if (transfer->status == 200)
        return hub_json_parse_user(buf_text(body), body->size, probe->user, sizeof probe->user, err);
    hub_json_parse_error(transfer->problem.data, transfer->problem.size, said, sizeof said);
    if (transfer->status == 401 && !transfer->has_token)
        return said[0] ? 0
                       : err_set(err, ERR_FORMAT,
                                 "%.200s: answers, but not as a hub does: check HF_ENDPOINT and proxies",
                                 endpoint);
    if (transfer->status == 401 || transfer->status == 403)
        return err_set(
            err, ERR_UNAUTHORIZED,
            "%.150s does not accept the token of %.150s: renew it, or remove it to ask anonymously", endpoint,
            options->token_path ? options->token_path : "HF_TOKEN");
    if (transfer->status == 429)
        return err_set(err, ERR_RATE_LIMITED, "%.200s asks for fewer requests: wait%s", endpoint,
                       transfer->has_token ? "" : ", or set HF_TOKEN, which raises the limit");
    return err_set(err, ERR_HTTP, "%.200s answers %d%s%.150s", endpoint, transfer->status,
                   said[0] ? ": " : "", said);
}

int hub_ask(struct hub *hub, struct hub_probe *ret_probe, struct err *err)
{
    struct transfer transfer, *list = &transfer;
    struct hub_probe probe = {.requests_left = -1, .requests_reset_ms = -1};
    struct buf url, body;
    size_t index;
    buf_init(&url, LIMIT_URL_BYTES);
    buf_init(&body, 64 * KIB);
    transfer_init(&transfer);
    (void)buf_appendf(&url, "%s" HUB_QUESTION, hub->options.endpoint);
    int code = buf_check(&url, "address", err);
    if (code)
        goto out;
    transfer.url = url.data;
    transfer.bucket = TRANSFER_BUCKET_API;
    transfer.accepts_compression = 1;
    transfer.take_body = take_reply;
    transfer.context = &body;
    int64_t start = clock_monotonic_ms();
    transfers_submit(hub->transfers, &transfer);
    code = transfers_wait_any(hub->transfers, &list, 1, NULL, &index, err);
    if (code) {
        transfers_abort(hub->transfers, &list, 1);
        goto out;
    }
    probe.answer_ms = clock_monotonic_ms() - start;
    code = transfer.refusal.code
               ? err_set(err, (enum err_code)transfer.refusal.code, "%s", transfer.refusal.message)
               : judge(&hub->options, &transfer, &body, &probe, err);
    if (transfer.headers.date_ms >= 0)
        probe.ahead_ms = clock_wall_ms() - transfer.headers.date_ms;
    probe.requests_left = transfer.headers.ratelimit_left;
    probe.requests_reset_ms = transfer.headers.ratelimit_reset_ms;
    if (!code)
        *ret_probe = probe;
out:
    transfer_reset(&transfer);
    buf_free(&url);
    buf_free(&body);
    return code;
}
