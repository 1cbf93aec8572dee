#include "daemon/hub/exchange.h"

#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/hub/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROBLEM_BYTES_MAX (16 * KIB)
#define LOW_SPEED_BYTES_PER_S 128

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
    transfer->duration_us = transfer->token_serial = 0;
    transfer->has_token = 0;
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

/* -- Start and end -------------------------------------------------------------------------------------- */

static int append_field(struct transfer *transfer, const char *text)
{
    struct curl_slist *grown = curl_slist_append(transfer->fields, text);
    if (!grown)
        return -1;
    transfer->fields = grown;
    return 0;
}

static int add_fields(struct token *token, struct transfer *transfer)
{
    char text[TOKEN_SIZE + 32], secret[TOKEN_SIZE];
    int failed = 0;
    if (transfer->bucket != TRANSFER_BUCKET_NONE) {
        transfer->token_serial = token_copy(token, secret);
        transfer->has_token = secret[0] != 0;
    }
    if (transfer->has_token) {
        (void)snprintf(text, sizeof text, "Authorization: Bearer %s", secret);
        failed = append_field(transfer, text);
    }
    if (!failed && !transfer->accepts_compression)
        failed = append_field(transfer, "Accept-Encoding: identity");
    return failed;
}

int exchange_prepare(const struct hub_options *options, struct token *token, struct transfer *transfer)
{
    char range[64];
    CURL *easy = curl_easy_init();
    transfer->easy = easy;
    if (!easy || add_fields(token, transfer))
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
    SET(CURLOPT_TIMEOUT_MS, (long)(options->stall_timeout_ms * EXCHANGE_STALLS_MAX));
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

void exchange_end(CURLM *multi, struct transfer *transfer, int curl_code)
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
        (void)curl_multi_remove_handle(multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
        transfer->easy = NULL;
    }
    curl_slist_free_all(transfer->fields);
    transfer->fields = NULL;
    transfer->curl_code = curl_code;
}
