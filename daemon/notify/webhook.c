#include "daemon/notify/webhook.h"

#include "daemon/base/buf.h"
#include "daemon/base/digest.h"
#include "daemon/base/limits.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DAY_MS INT64_C(86400000)
#define PAUSE_FIRST_MS 1000
#define CONNECT_TIMEOUT_MS 10000L

int webhook_sign(const struct webhook_message *message, char signature[WEBHOOK_SIGNATURE_SIZE],
                 struct err *err)
{
    static const char scheme[] = "sha256=";
    struct buf text;
    buf_init(&text, message->body_size + 64);
    buf_appendf(&text, "%" PRId64 ".", message->timestamp_s);
    buf_append(&text, message->body, message->body_size);
    memcpy(signature, scheme, sizeof scheme);
    int code = buf_check(&text, "webhook", err);
    if (!code)
        code = digest_hmac_sha256_hex(message->secret, strlen(message->secret), text.data, text.size,
                                      signature + sizeof scheme - 1, err);
    buf_free(&text);
    return code;
}

int64_t webhook_pause_ms(int attempt)
{
    int64_t pause_ms = PAUSE_FIRST_MS;
    for (int i = 1; i < attempt && pause_ms < WEBHOOK_PAUSE_LONGEST_MS; i++)
        pause_ms *= 2;
    return pause_ms < WEBHOOK_PAUSE_LONGEST_MS ? pause_ms : WEBHOOK_PAUSE_LONGEST_MS;
}

int webhook_is_enough(int attempts)
{
    int64_t all_ms = 0;
    for (int i = 1; i <= attempts && all_ms <= DAY_MS; i++)
        all_ms += webhook_pause_ms(i);
    return all_ms > DAY_MS;
}

/* Throws the answer away, up to its bound. */
static size_t drop(char *data, size_t size, size_t count, void *context)
{
    size_t *received = context;
    (void)data;
    *received += size * count;
    return *received > WEBHOOK_ANSWER_BYTES ? 0 : size * count;
}

static int look_for_cancel(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                           curl_off_t up)
{
    const atomic_bool *cancel = context;
    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return cancel && atomic_load(cancel);
}

static int add_header(struct curl_slist **headers, const char *name, const char *value, struct err *err)
{
    char line[256];
    (void)snprintf(line, sizeof line, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(*headers, line);
    if (!longer)
        return err_set(err, ERR_NO_MEMORY, "webhook: out of memory");
    *headers = longer;
    return 0;
}

static int make_headers(const struct webhook_message *message, struct curl_slist **headers, struct err *err)
{
    char signature[WEBHOOK_SIGNATURE_SIZE], timestamp[32];
    (void)snprintf(timestamp, sizeof timestamp, "%" PRId64, message->timestamp_s);
    const struct {
        const char *name, *value;
    } lines[] = {
        {"Content-Type", "application/json"},   {"Expect", ""}, /* no question beforehand */
        {"X-Bifurcated-Event", message->event}, {"X-Bifurcated-Delivery", message->delivery},
        {"X-Bifurcated-Timestamp", timestamp},  {"X-Bifurcated-Signature-256", signature},
    };
    int code = webhook_sign(message, signature, err);
    for (size_t i = 0; !code && i < sizeof lines / sizeof lines[0]; i++)
        code = add_header(headers, lines[i].name, lines[i].value, err);
    return code;
}

static int set_up(CURL *curl, const struct webhook_options *options, const struct webhook_message *message,
                  struct curl_slist *headers, size_t *received, const atomic_bool *cancel)
{
    int failed = 0;
#define SET(option, value) failed |= curl_easy_setopt(curl, option, value) != CURLE_OK
    SET(CURLOPT_URL, message->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    SET(CURLOPT_TIMEOUT_MS, (long)options->timeout_ms);
    SET(CURLOPT_USERAGENT, options->user_agent);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)message->body_size);
    SET(CURLOPT_POSTFIELDS, message->body);
    SET(CURLOPT_WRITEFUNCTION, drop);
    SET(CURLOPT_WRITEDATA, received);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, look_for_cancel);
    SET(CURLOPT_XFERINFODATA, (void *)(uintptr_t)cancel);
    if (options->ca_file)
        SET(CURLOPT_CAINFO, options->ca_file);
#undef SET
    return failed;
}

/* What the exchange came to. A status counts even if the rest of the answer was too long. */
static int judge(CURLcode result, long status, const char *reason, struct err *err)
{
    if (status >= 200 && status < 300)
        return 0;
    if (status)
        return err_set(err, ERR_HTTP, "the webhook answered with status %ld%s", status,
                       status >= 300 && status < 400 ? "; redirects are not followed: name the final address"
                                                     : "");
    switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(err, ERR_TIMEOUT, "the webhook did not answer in time");
    case CURLE_ABORTED_BY_CALLBACK:
        return err_set(err, ERR_CANCELLED, "the daemon is stopping");
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return err_set(err, ERR_INVALID, "the webhook's URL cannot be used: %.200s", reason);
    default:
        return err_set(err, ERR_NETWORK, "the webhook cannot be reached: %.200s", reason);
    }
}

int webhook_send(const struct webhook_options *options, const struct webhook_message *message,
                 const atomic_bool *cancel, int *ret_status, struct err *err)
{
    char reason[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    size_t received = 0;
    long status = 0;
    *ret_status = 0;
    CURL *curl = curl_easy_init();
    int code =
        curl ? make_headers(message, &headers, err) : err_set(err, ERR_NO_MEMORY, "webhook: out of memory");
    if (!code && set_up(curl, options, message, headers, &received, cancel))
        code = err_set(err, ERR_INTERNAL, "webhook: libcurl refuses an option");
    if (!code) {
        (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
        CURLcode result = curl_easy_perform(curl);
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        code = judge(result, status, reason[0] ? reason : curl_easy_strerror(result), err);
        *ret_status = (int)status;
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return code;
}
