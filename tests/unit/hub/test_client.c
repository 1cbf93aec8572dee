/* What the end of one transfer tells of the hub as a whole. */
#include "daemon/hub/client.h"

#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *name;
    int curl_code, status, is_connected, proxy_status;
    enum outage_sign sign;
    const char *says; /* in the reason, of a failure */
} cases[] = {
    {"an answer", CURLE_OK, 200, 1, 0, OUTAGE_SIGN_ANSWER, ""},
    {"a piece that breaks off", CURLE_PARTIAL_FILE, 206, 1, 0, OUTAGE_SIGN_ANSWER, ""},
    {"a redirect", CURLE_OK, 302, 1, 0, OUTAGE_SIGN_ANSWER, ""},
    {"not found", CURLE_OK, 404, 1, 0, OUTAGE_SIGN_ANSWER, ""},
    {"too many requests", CURLE_OK, 429, 1, 0, OUTAGE_SIGN_ANSWER, ""},
    {"not implemented", CURLE_OK, 501, 1, 0, OUTAGE_SIGN_ANSWER, ""},
    {"a fault", CURLE_OK, 500, 1, 0, OUTAGE_SIGN_FAILURE, "hub:1 answers 500"},
    {"a bad gateway", CURLE_OK, 502, 1, 0, OUTAGE_SIGN_FAILURE, "answers 502"},
    {"not available", CURLE_OK, 503, 1, 0, OUTAGE_SIGN_FAILURE, "answers 503"},
    {"a gateway's time-out", CURLE_OK, 504, 1, 0, OUTAGE_SIGN_FAILURE, "answers 504"},
    {"no address", CURLE_COULDNT_RESOLVE_HOST, 0, 0, 0, OUTAGE_SIGN_NO_HOST, "no such host"},
    {"no address of a proxy", CURLE_COULDNT_RESOLVE_PROXY, 0, 0, 0, OUTAGE_SIGN_NO_HOST, "proxy's host"},
    {"refused", CURLE_COULDNT_CONNECT, 0, 0, 0, OUTAGE_SIGN_NO_HOST, "no connection"},
    {"no connection in time", CURLE_OPERATION_TIMEDOUT, 0, 0, 0, OUTAGE_SIGN_NO_HOST, "check the network"},
    {"a proxy that reaches nobody", CURLE_RECV_ERROR, 0, 0, 502, OUTAGE_SIGN_NO_HOST, "proxy"},
    {"a proxy that forbids", CURLE_RECV_ERROR, 0, 0, 403, OUTAGE_SIGN_NONE, ""},
    {"a proxy that wants a password", CURLE_RECV_ERROR, 0, 0, 407, OUTAGE_SIGN_NONE, ""},
    {"silence", CURLE_OPERATION_TIMEDOUT, 0, 1, 0, OUTAGE_SIGN_FAILURE, "check the network"},
    {"an end without a word", CURLE_GOT_NOTHING, 0, 1, 0, OUTAGE_SIGN_FAILURE, "broke off"},
    {"a reset", CURLE_RECV_ERROR, 0, 1, 0, OUTAGE_SIGN_FAILURE, "broke off"},
    {"a stream that is reset", CURLE_HTTP2_STREAM, 0, 1, 0, OUTAGE_SIGN_FAILURE, "broke off"},
    {"a connection sent away", CURLE_HTTP2, 0, 1, 0, OUTAGE_SIGN_FAILURE, "broke off"},
    {"a certificate", CURLE_PEER_FAILED_VERIFICATION, 0, 0, 0, OUTAGE_SIGN_NONE, ""},
    {"another TLS", CURLE_SSL_CONNECT_ERROR, 0, 0, 0, OUTAGE_SIGN_NONE, ""},
    {"no HTTP", CURLE_WEIRD_SERVER_REPLY, 0, 1, 0, OUTAGE_SIGN_NONE, ""},
};

static void test_signs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct transfer transfer;
        struct err reason = ERR_INIT;
        transfer_init(&transfer);
        transfer.url = "http://name:secret@hub:1/a/resolve/b?token=secret";
        transfer.is_sent = 1;
        transfer.is_connected = cases[i].is_connected;
        transfer.curl_code = cases[i].curl_code;
        transfer.status = cases[i].status;
        transfer.has_taken_headers = cases[i].status != 0;
        transfer.proxy_status = cases[i].proxy_status;
        if (client_read_sign(&transfer, &reason) != cases[i].sign)
            fail_msg("%s: another sign", cases[i].name);
        if (!strstr(reason.message, cases[i].says) || strstr(reason.message, "secret"))
            fail_msg("%s: %s", cases[i].name, reason.message);
        transfer.is_aborted = 1;
        assert_int_equal(client_read_sign(&transfer, &reason), OUTAGE_SIGN_NONE);
        transfer.is_aborted = transfer.is_sent = 0; /* refused before it was sent */
        assert_int_equal(client_read_sign(&transfer, &reason), OUTAGE_SIGN_NONE);
        transfer_reset(&transfer);
    }
}

/* What we do not take of an answer is our refusal, and an answer nevertheless. */
static void test_refusal(void **state)
{
    struct transfer transfer;
    struct err reason = ERR_INIT;
    (void)state;
    transfer_init(&transfer);
    transfer.url = "http://hub/";
    transfer.is_sent = 1;
    transfer.curl_code = CURLE_WRITE_ERROR;
    (void)err_set(&transfer.refusal, ERR_LIMIT, "too large");
    assert_int_equal(client_read_sign(&transfer, &reason), OUTAGE_SIGN_NONE);
    transfer.status = 200;
    transfer.has_taken_headers = 1;
    assert_int_equal(client_read_sign(&transfer, &reason), OUTAGE_SIGN_ANSWER);
    transfer_reset(&transfer);
}

static void expect_of_certificate(const char *curl_reason, const char *word)
{
    struct transfer transfer;
    struct err reason = ERR_INIT;
    transfer_init(&transfer);
    transfer.url = "https://hub/";
    transfer.curl_code = CURLE_PEER_FAILED_VERIFICATION;
    (void)snprintf(transfer.curl_reason, sizeof transfer.curl_reason, "%s", curl_reason);
    assert_int_equal(client_judge_connection(&transfer, &reason), CLIENT_VERDICT_FAILED);
    if (!strstr(reason.message, word))
        fail_msg("%s", reason.message);
    transfer_reset(&transfer);
}

/* On a machine that booted without a time, no other certificates would help. */
static void test_certificates(void **state)
{
    (void)state;
    expect_of_certificate("SSL certificate problem: self-signed certificate", "REQUESTS_CA_BUNDLE");
    expect_of_certificate("SSL certificate problem: certificate is not yet valid", "this machine's clock");
    expect_of_certificate("SSL certificate problem: certificate has expired", "this machine's clock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_signs), cmocka_unit_test(test_refusal),
                                       cmocka_unit_test(test_certificates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
