/* What a worker says of itself: its name, and what it offers. */
#include "tests/unit/base/fixture.h"

#include "api/wire/wire.h"

/* What others can read of a worker is no key, and each key makes another name of the same one. */
static void test_names_of_workers(void **state)
{
    (void)state;
    char one[WIRE_KEY_SIZE], other[WIRE_KEY_SIZE];
    char name[WIRE_WORKER_NAME_SIZE], again[WIRE_WORKER_NAME_SIZE], long_name[WIRE_NAME_BYTES_MAX + 1];
    OK(wire_key_make(one, &err));
    OK(wire_key_make(other, &err));
    assert_string_not_equal(one, other);
    OK(wire_worker_name("host/12/00", 7, one, name, &err));
    OK(wire_worker_name("host/12", 7, one, again, &err));
    assert_string_equal(name, again);
    assert_int_equal(strncmp(name, "host/12-", 8), 0);
    assert_null(strstr(name, one));
    OK(wire_worker_name("host/12", 7, other, again, &err));
    assert_string_not_equal(name, again);
    /* sha256sum of the digits */
    OK(wire_worker_name("w", 1, "00000000000000000000000000000000", name, &err));
    assert_string_equal(name, "w-84e0c0eafaa95a34");
    memset(long_name, 'n', sizeof long_name);
    OK(wire_worker_name(long_name, WIRE_NAME_BYTES_MAX, one, name, &err));
    assert_int_equal(strlen(name), WIRE_WORKER_NAME_SIZE - 1);
}

static void test_offer(void **state)
{
    (void)state;
    struct wire_offer offer = {.protocol = WIRE_PROTOCOL,
                               .definition = 101,
                               .scoring = 1,
                               .version = "0.1.0",
                               .key = "00112233445566778899aabbccddeeff",
                               .worker = "host/12/00",
                               .device = "cpu",
                               .backend = "cpu",
                               .sweep_id = 7,
                               .wait_s = 20,
                               .is_again = 1,
                               .is_leaving = 1,
                               .has_new_token = 1,
                               .except = {3, 9},
                               .except_count = 2,
                               .hub_problem = "hub: no such host was found"};
    struct wire_offer read;
    struct err fault = ERR_INIT;
    struct buf buf;
    buf_init(&buf, 4096);
    OK(wire_offer_append(&offer, &buf, &err));
    OK(wire_offer_parse(buf_text(&buf), buf.size, &read, &err));
    assert_memory_equal(&read, &offer, sizeof offer);
    buf_free(&buf);
    /* Of another protocol only that is read. */
    const char *other = "{\"protocol\":3,\"version\":\"9.9\",\"news\":[]}";
    OK(wire_offer_parse(other, strlen(other), &read, &err));
    assert_int_equal(read.protocol, 3);
#define BEGIN "{\"protocol\":2,\"version\":\"1\",\"definition\":1,\"scoring\":1,"
#define KEY "\"key\":\"00112233445566778899aabbccddeeff\","
#define WORKER "\"worker\":\"w/0\",\"device\":\"c\","
#define BACKEND "\"backend\":\"c\",\"wait_s\":1"
    const char *sound = BEGIN KEY WORKER BACKEND "}";
    OK(wire_offer_parse(sound, strlen(sound), &read, &err));
    static const char *const bad[] = {
        "",
        "[]",
        "{\"protocol\":2}",
        "{\"protocol\":0,\"version\":\"1\"}",
        BEGIN KEY "\"worker\":\"\",\"device\":\"c\"," BACKEND "}",
        BEGIN KEY WORKER "\"backend\":\"c\",\"wait_s\":61}",
        BEGIN KEY WORKER BACKEND ",\"except\":[0]}",
        BEGIN KEY WORKER BACKEND ",\"hub_problem\":\"\"}",
        BEGIN KEY WORKER BACKEND ",\"new_token\":\"hf_a\"}",
        BEGIN KEY WORKER "\"backend\":\"a backend with a long name\",\"wait_s\":1}",
        BEGIN WORKER BACKEND "}",
        BEGIN "\"key\":\"\"," WORKER BACKEND "}",
        BEGIN "\"key\":\"00112233445566778899aabbccddeef\"," WORKER BACKEND "}",
        BEGIN "\"key\":\"00112233445566778899AABBCCDDEEFF\"," WORKER BACKEND "}",
        BEGIN "\"key\":7," WORKER BACKEND "}",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        fault = (struct err)ERR_INIT;
        if (wire_offer_parse(bad[i], strlen(bad[i]), &read, &fault) >= 0)
            fail_msg("accepted: %s", bad[i]);
    }
#undef BEGIN
#undef KEY
#undef WORKER
#undef BACKEND
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_workers),
        cmocka_unit_test(test_offer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
