/* What a finished transfer means: errors in words that say what to do, whether another try may help, and what
 * it tells of the hub as a whole. */
#include "daemon/hub/client.h"

#include "daemon/base/clock.h"
#include "daemon/hub/hub_json.h"
#include "daemon/hub/login.h"
#include "daemon/hub/token.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* "https://user@host:1/path?secret" -> "host:1": enough to know whom to look for, and nothing secret. */
static void host_of(const char *url, char *host, size_t size)
{
    const char *begin = strstr(url, "://");
    begin = begin ? begin + 3 : url;
    size_t length = strcspn(begin, "/?#");
    const char *user_end = memrchr(begin, '@', length);
    if (user_end) {
        length -= (size_t)(user_end + 1 - begin);
        begin = user_end + 1;
    }
    (void)snprintf(host, size, "%.*s", (int)length, begin);
}

static enum client_verdict judge_proxy(const char *host, int status, struct err *err)
{
    if (status == 407) {
        (void)err_set(
            err, ERR_UNAUTHORIZED,
            "%s: the proxy asks for a user and a password: put them into HTTPS_PROXY or http_proxy, as "
            "http://USER:PASSWORD@HOST:PORT",
            host);
        return CLIENT_VERDICT_FAILED;
    }
    (void)err_set(err, ERR_NETWORK,
                  "%s: the proxy refuses access (%d): check HTTPS_PROXY, http_proxy and NO_PROXY", host,
                  status);
    return CLIENT_VERDICT_RETRY;
}

/* A certificate that is not valid at what this machine takes for the time is more often that machine's fault.
 */
static enum client_verdict judge_certificate(const char *host, const char *reason, struct err *err)
{
    char now[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_ms(), now, sizeof now);
    if (strstr(reason, "not yet valid") || strstr(reason, "expired"))
        (void)err_set(
            err, ERR_NETWORK,
            "%s: its certificate is not valid now: %.120s: see whether this machine's clock is right, which "
            "says %s",
            host, reason, now);
    else
        (void)err_set(err, ERR_NETWORK,
                      "%s: its certificate is not trusted: %.120s: name the right certificates with "
                      "REQUESTS_CA_BUNDLE or the option for them",
                      host, reason);
    return CLIENT_VERDICT_FAILED;
}

enum client_verdict client_judge_connection(const struct transfer *transfer, struct err *err)
{
    char host[200];
    const char *reason =
        transfer->curl_reason[0] ? transfer->curl_reason : curl_easy_strerror((CURLcode)transfer->curl_code);
    host_of(transfer->url, host, sizeof host);
    if (transfer->proxy_status >= 300)
        return judge_proxy(host, transfer->proxy_status, err);
    switch (transfer->curl_code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        (void)err_set(err, ERR_NETWORK, "%s: no such host was found: check the network, DNS and HF_ENDPOINT",
                      host);
        return CLIENT_VERDICT_RETRY;
    case CURLE_COULDNT_RESOLVE_PROXY:
        (void)err_set(err, ERR_NETWORK,
                      "%s: the proxy's host cannot be found: check http_proxy and HTTPS_PROXY", host);
        return CLIENT_VERDICT_RETRY;
    case CURLE_COULDNT_CONNECT:
        (void)err_set(err, ERR_NETWORK,
                      "%s: no connection: %.120s: check the network, HF_ENDPOINT and proxies", host, reason);
        return CLIENT_VERDICT_RETRY;
    case CURLE_OPERATION_TIMEDOUT:
        (void)err_set(err, ERR_TIMEOUT, "%s: %.160s: check the network and proxies%s", host, reason,
                      transfer->is_connected ? "; a larger stall timeout gives it more time" : "");
        return CLIENT_VERDICT_RETRY;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return judge_certificate(host, reason, err);
    case CURLE_SSL_CONNECT_ERROR:
        (void)err_set(err, ERR_NETWORK,
                      "%s: does not speak TLS as this program does: %.120s: check HF_ENDPOINT and proxies",
                      host, reason);
        return CLIENT_VERDICT_RETRY;
    case CURLE_URL_MALFORMAT:
        (void)err_set(err, ERR_INVALID, "%.200s: not an address that can be asked: %.100s", host, reason);
        return CLIENT_VERDICT_FAILED;
    case CURLE_OUT_OF_MEMORY:
        (void)err_set(err, ERR_NO_MEMORY, "%s: out of memory", host);
        return CLIENT_VERDICT_FAILED;
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* of the answer: the address was checked */
        (void)err_set(err, ERR_HTTP,
                      "%s: does not answer in proper HTTP: %.120s: check HF_ENDPOINT and proxies", host,
                      reason);
        return CLIENT_VERDICT_RETRY;
    default:
        (void)err_set(err, ERR_NETWORK, "%s: the connection broke off: %.120s", host, reason);
        return CLIENT_VERDICT_RETRY;
    }
}

/* Where another token is put: the end of a sentence. */
static const char *place_of_token(const struct hub *hub, char *text, size_t size)
{
    if (hub->options.token_path)
        (void)snprintf(text, size, "into %.150s, or set HF_TOKEN and restart bifurcated",
                       hub->options.token_path);
    else
        (void)snprintf(text, size, "into HF_TOKEN and restart bifurcated");
    return text;
}

/* Whether a browser's login, which expires, is what was refused; then `err` says when it did. */
static int judge_login(const struct hub *hub, const struct transfer *transfer, enum err_code code,
                       struct err *err)
{
    char token[TOKEN_SIZE], when[CLOCK_TEXT_SIZE];
    const char *path = hub->options.token_path;
    if (!path || !transfer->has_token || token_copy(hub->token, token) != transfer->token_serial)
        return 0;
    int64_t expiry_ms = login_expiry_ms(path, token);
    if (expiry_ms == 0 || expiry_ms > clock_wall_ms())
        return 0;
    clock_format(expiry_ms, when, sizeof when);
    (void)err_set(err, code, "the login in %.150s expired at %s: " LOGIN_REMEDY, path, when);
    return 1;
}

static int is_gated(const struct transfer *transfer)
{
    return strcasecmp(transfer->headers.error_code, "GatedRepo") == 0;
}

/* What keeps a repository from a token is ERR_GATED: who has another one may have it. */
static void judge_forbidden(const struct hub_repository *repository, const struct transfer *transfer,
                            const char *said, struct err *err)
{
    const struct hub_options *options = &repository->hub->options;
    const char *name = repository->repository.name, *kind = client_kind_word(repository);
    const char *folder = repository->kind == REPOSITORY_KIND_MODEL ? "" : "datasets/";
    int is_file = transfer->bucket == TRANSFER_BUCKET_FILES; /* of a revision that somebody has seen */
    char place[256];
    (void)place_of_token(repository->hub, place, sizeof place);
    if (judge_login(repository->hub, transfer, is_file ? ERR_GATED : ERR_UNAUTHORIZED, err))
        return;
    if (is_gated(transfer)) {
        (void)err_set(err, ERR_GATED, "%s %s is gated: accept its terms at %.150s/%s%s, then %s %s", kind,
                      name, options->endpoint, folder, name,
                      transfer->has_token
                          ? "ask again once access is granted to the owner of this token, or put another one"
                          : "put a token of that account",
                      place);
    } else if (strstr(said, "Access to this resource is disabled")) {
        (void)err_set(err, ERR_UNAUTHORIZED, "%s %s is disabled by the hub: it cannot be read", kind, name);
    } else if (strstr(said, "Invalid credentials")) {
        (void)err_set(err, is_file ? ERR_GATED : ERR_UNAUTHORIZED,
                      "the hub does not accept the token: put a renewed one %s, or remove it to ask "
                      "anonymously",
                      place);
    } else if (transfer->status == 401 && !transfer->has_token) {
        (void)err_set(err, is_file ? ERR_GATED : ERR_NOT_FOUND,
                      "no public %s %s on %.150s: check the name; if it is private, put a token %s", kind,
                      name, options->endpoint, place);
    } else {
        (void)err_set(err, ERR_GATED,
                      "the hub refuses access to %s %s (%d%s%.120s): put a token that may read it %s", kind,
                      name, transfer->status, said[0] ? ": " : "", said, place);
    }
}

static void judge_missing(const struct hub_repository *repository, const struct transfer *transfer,
                          const char *said, struct err *err)
{
    const char *name = repository->repository.name, *kind = client_kind_word(repository);
    const char *code = transfer->headers.error_code;
    char place[256];
    if (strcasecmp(code, "RepoNotFound") == 0)
        (void)err_set(err, transfer->bucket == TRANSFER_BUCKET_FILES ? ERR_GATED : ERR_NOT_FOUND,
                      "no %s %s on %.150s that this token may see: check the name, or put one that may read "
                      "it %s",
                      kind, name, repository->hub->options.endpoint,
                      place_of_token(repository->hub, place, sizeof place));
    else if (strcasecmp(code, "RevisionNotFound") == 0 && transfer->bucket == TRANSFER_BUCKET_FILES)
        (void)err_set_absent(err, ERR_ABSENT_REVISION, CLIENT_NO_COMMIT, kind, name);
    else if (strcasecmp(code, "RevisionNotFound") == 0)
        (void)err_set_absent(err, ERR_ABSENT_REVISION,
                             "%s %s has no such revision: list its revisions to see the names", kind, name);
    else if (strcasecmp(code, "EntryNotFound") == 0)
        (void)err_set(err, ERR_NOT_FOUND, "%s %s has no such file in this revision", kind, name);
    else
        (void)err_set(err, ERR_NOT_FOUND,
                      "%s %s: %.150s does not know it%s%.150s: check the name and HF_ENDPOINT", kind, name,
                      repository->hub->options.endpoint, said[0] ? ": " : "", said);
}

int client_is_refused_elsewhere(const struct transfer *transfer)
{
    const struct headers *headers = &transfer->headers;
    return transfer->bucket == TRANSFER_BUCKET_NONE && transfer->has_taken_headers &&
           (transfer->status == 401 || transfer->status == 403) &&
           (headers->error_code[0] || headers->error_message[0]);
}

static void judge_refused_elsewhere(const struct hub_repository *repository, const struct transfer *transfer,
                                    const char *host, struct err *err)
{
    const struct headers *headers = &transfer->headers;
    (void)err_set(err, ERR_GATED,
                  "%s refuses access (%d: %.100s), and no token is given to it, since %.150s has sent us "
                  "there: %sif that is the hub of your account, set HF_ENDPOINT to it and restart bifurcated",
                  host, transfer->status,
                  headers->error_code[0] ? headers->error_code : headers->error_message,
                  repository->hub->options.endpoint, is_gated(transfer) ? "" : "check the name; ");
}

/* Whether a refusal is of all the repository, by the hub's own words: a firewall, or a mirror's own rights,
 * may keep one file. */
static int is_of_repository(const struct transfer *transfer)
{
    return transfer->status != 403 || transfer->headers.error_code[0];
}

/* So long an expected repository may be refused. All attempts of one request take less. */
#define TAKEN_BACK_MS 15000

/* Whether the API says that it does not know an expected repository, or us, for less than that. */
static int may_be_taken_back(struct hub_repository *repository, const struct transfer *transfer)
{
    int status = transfer->status;
    int64_t now_ms = clock_monotonic_ms(), first_ms = 0;
    const char *code = transfer->headers.error_code;
    int is_unknown = (status == 404 || status == 410) && (!code[0] || strcasecmp(code, "RepoNotFound") == 0);
    int is_forbidden = (status == 401 || status == 403) && !is_gated(transfer);
    if (!repository->is_expected || transfer->bucket != TRANSFER_BUCKET_API || !(is_unknown || is_forbidden))
        return 0;
    if (atomic_compare_exchange_strong(&repository->refused_ms, &first_ms, now_ms))
        return 1;
    return now_ms - first_ms < TAKEN_BACK_MS;
}

static int is_retried_status(int status)
{
    return status == 408 || status == 425 || status == 429 ||
           (status >= 500 && status != 501 && status != 505);
}

/* Whether ERR_NOT_FOUND says that there is no such model at all, for us. */
static void note_absent_model(const struct hub_repository *repository, const struct transfer *transfer,
                              struct err *err)
{
    const char *code = transfer->headers.error_code;
    if (err->code == ERR_NOT_FOUND && repository->kind == REPOSITORY_KIND_MODEL &&
        transfer->bucket == TRANSFER_BUCKET_API && (!code[0] || strcasecmp(code, "RepoNotFound") == 0))
        err->absent = ERR_ABSENT_MODEL;
}

/* What a status that is no success means, in words. */
static void describe_status(struct hub_repository *repository, const struct transfer *transfer, int is_hub,
                            struct err *err)
{
    char host[200], said[256];
    host_of(transfer->url, host, sizeof host);
    (void)snprintf(said, sizeof said, "%s", transfer->headers.error_message);
    if (!said[0] && transfer->problem.size)
        hub_json_parse_error(transfer->problem.data, transfer->problem.size, said, sizeof said);
    if (is_hub && (transfer->status == 401 || transfer->status == 403))
        judge_forbidden(repository, transfer, said, err);
    else if (is_hub && (transfer->status == 404 || transfer->status == 410))
        judge_missing(repository, transfer, said, err);
    else if (transfer->status == 429)
        (void)err_set(err, ERR_RATE_LIMITED, "%s asks for fewer requests%s", host,
                      !is_hub || transfer->has_token ? "" : ": a token (HF_TOKEN) raises the limit");
    else if (transfer->status == 407)
        (void)judge_proxy(host, transfer->status, err);
    else if (transfer->status == 416)
        (void)err_set(err, ERR_MISMATCH, "%s: the file is shorter than the hub's listing says", host);
    else if (client_is_refused_elsewhere(transfer))
        judge_refused_elsewhere(repository, transfer, host, err);
    else
        (void)err_set(err, ERR_HTTP, "%s answers %d%s%.200s", host, transfer->status, said[0] ? ": " : "",
                      said);
    note_absent_model(repository, transfer, err);
}

static enum client_verdict judge_status(struct hub_repository *repository, const struct transfer *transfer,
                                        struct err *err)
{
    int is_hub = client_is_endpoint(repository->hub, transfer->url);
    describe_status(repository, transfer, is_hub, err);
    /* Somebody has logged in since it was sent. */
    if (is_hub && transfer->status < 429 && transfer->token_serial != token_refresh(repository->hub->token))
        return CLIENT_VERDICT_RETRY;
    if (may_be_taken_back(repository, transfer))
        return CLIENT_VERDICT_RETRY;
    if (err->code == ERR_GATED && transfer->bucket == TRANSFER_BUCKET_FILES && is_of_repository(transfer) &&
        !refusals_note(&repository->hub->refusals, repository->kind, repository->repository.name,
                       transfer->token_serial, is_gated(transfer), err, clock_monotonic_ms()))
        return CLIENT_VERDICT_RETRY;
    return is_retried_status(transfer->status) ? CLIENT_VERDICT_RETRY : CLIENT_VERDICT_FAILED;
}

/* Bytes that came are an answer, too. TLS that fails is not the hub's being down. */
enum outage_sign client_read_sign(const struct transfer *transfer, struct err *reason)
{
    char host[200];
    int status = transfer->has_taken_headers ? transfer->status : 0;
    if (transfer->is_aborted || !transfer->is_sent || (transfer->refusal.code && !status))
        return OUTAGE_SIGN_NONE;
    if (status >= 500 && is_retried_status(status)) {
        host_of(transfer->url, host, sizeof host);
        (void)err_set(reason, ERR_HTTP, "%s answers %d", host, status);
        return OUTAGE_SIGN_FAILURE;
    }
    if (status)
        return OUTAGE_SIGN_ANSWER;
    (void)client_judge_connection(transfer, reason);
    if (transfer->proxy_status >= 300)
        return transfer->proxy_status >= 500 ? OUTAGE_SIGN_NO_HOST : OUTAGE_SIGN_NONE;
    switch (transfer->curl_code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        return OUTAGE_SIGN_NO_HOST;
    case CURLE_OPERATION_TIMEDOUT:
        return transfer->is_connected ? OUTAGE_SIGN_FAILURE : OUTAGE_SIGN_NO_HOST;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2: /* as of a connection that is ended with GOAWAY */
    case CURLE_HTTP2_STREAM:
        return OUTAGE_SIGN_FAILURE;
    default:
        return OUTAGE_SIGN_NONE;
    }
}

static enum client_verdict judge(struct hub_repository *repository, const struct transfer *transfer,
                                 struct err *err)
{
    if (transfer->refusal.code) {
        *err = transfer->refusal;
        return CLIENT_VERDICT_FAILED;
    }
    if (transfer->is_aborted) {
        (void)err_set(err, ERR_CANCELLED, "cancelled");
        return CLIENT_VERDICT_FAILED;
    }
    if (transfer->has_taken_headers && transfer->status >= 300 && transfer->status < 400 &&
        transfer->headers.location)
        return CLIENT_VERDICT_REDIRECT;
    /* What an error's body says is of less weight than its status, so it may be cut short. */
    if (transfer->has_taken_headers && transfer->status != 200 && transfer->status != 206)
        return judge_status(repository, transfer, err);
    if (transfer->is_complete)
        return CLIENT_VERDICT_OK;
    return client_judge_connection(transfer, err);
}

enum client_verdict client_judge(struct hub_repository *repository, const struct transfer *transfer,
                                 struct err *err)
{
    enum client_verdict verdict = judge(repository, transfer, err);
    /* Of what is down no further attempt is made, and none is used up. */
    if (verdict == CLIENT_VERDICT_RETRY && transfers_refuse(repository->hub->transfers, transfer, err))
        return CLIENT_VERDICT_FAILED;
    return verdict;
}
