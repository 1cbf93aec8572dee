#include "tests/unit/base/fixture.h"

#include "daemon/base/digest.h"
#include "daemon/notify/webhook.h"

/* Vectors of RFC 4231 (case 2) and of Python: hmac.new(key, b"%d." % timestamp + body, hashlib.sha256). */
static void test_signatures(void **state)
{
    static const char finished[] = "{\"event\":\"sweep.finished\"}";
    char hex[DIGEST_SHA256_HEX_SIZE], signature[WEBHOOK_SIGNATURE_SIZE], long_key[201], bytes[127];
    (void)state;
    OK(digest_hmac_sha256_hex("Jefe", 4, "what do ya want for nothing?", 28, hex, &err));
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(long_key, 'k', 200);
    long_key[200] = 0;
    for (int i = 0; i < 127; i++)
        bytes[i] = (char)(i + 1);
    const struct {
        struct webhook_message message;
        const char *signature;
    } cases[] = {
        {{.secret = "sixteen letters!",
          .timestamp_s = 1764081000,
          .body = finished,
          .body_size = sizeof finished - 1},
         "sha256=671d68b0c2b9087b17d7f0b702ba87c80d3df015819413aaa421798092d77c37"},
        {{.secret = long_key, .timestamp_s = 0, .body = "", .body_size = 0},
         "sha256=76a82ba859636cc3081c72aa270fd66ac81a202f8182404e7752795c6e7ba88f"},
        {{.secret = "schl\xc3\xbcssel \xce\x94 geheim",
          .timestamp_s = 9999999999,
          .body = bytes,
          .body_size = 127},
         "sha256=0a69a30ef1ac9625779943a4cdd2351ee55bf555d8d9f16067b250babd57576a"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        OK(webhook_sign(&cases[i].message, signature, &err));
        assert_string_equal(signature, cases[i].signature);
    }
}

static void test_pauses(void **state)
{
    int64_t sum = 0;
    int attempts = 0;
    (void)state;
    assert_int_equal(webhook_pause_ms(1), 1000);
    assert_int_equal(webhook_pause_ms(2), 2000);
    assert_int_equal(webhook_pause_ms(5), 16000);
    assert_int_equal(webhook_pause_ms(13), 3600000);
    assert_int_equal(webhook_pause_ms(1000000), 3600000);
    while (sum <= 24 * 3600000)
        sum += webhook_pause_ms(++attempts);
    assert_in_range(attempts, 30, 40); /* of a receiver that is down for a day */
    assert_false(webhook_is_enough(attempts - 1));
    assert_true(webhook_is_enough(attempts));
    assert_true(webhook_is_enough(1000000));
}

/* What is not http never reaches libcurl's other protocols. */
static void test_addresses_that_are_not_spoken(void **state)
{
    static const char *const urls[] = {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:25/_x",
                                       "dict://127.0.0.1/",  "http://",           "nonsense\x01"};
    struct webhook_options options = {.user_agent = "test", .timeout_ms = 2000};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct webhook_message message = {.url = urls[i],
                                          .secret = "sixteen letters!",
                                          .event = "sweep.finished",
                                          .delivery = "d",
                                          .body = "{}",
                                          .body_size = 2};
        struct err err = ERR_INIT;
        int status = -1;
        int code = webhook_send(&options, &message, NULL, &status, &err);
        if (code != ERR_INVALID && code != ERR_NETWORK)
            fail_msg("%s: %s", urls[i], err_name(code));
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_addresses_that_are_not_spoken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
