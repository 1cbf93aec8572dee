#include "tests/unit/base/fixture.h"

#include "daemon/base/utf8.h"

#include <errno.h>

static void test_set_gives_code_and_words(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_int_equal(err.code, ERR_OK);
    assert_int_equal(err_set(&err, ERR_FORMAT, "%s: byte %d", "x.bin", 7), ERR_FORMAT);
    assert_int_equal(err.code, ERR_FORMAT);
    assert_string_equal(err.message, "x.bin: byte 7");
}

static void test_errno_chooses_the_code(void **state)
{
    (void)state;
    static const struct {
        int errno_value, code;
    } cases[] = {
        {ENOSPC, ERR_NO_SPACE},  {EDQUOT, ERR_NO_SPACE}, {ENOMEM, ERR_NO_MEMORY},
        {ENOENT, ERR_NOT_FOUND}, {EACCES, ERR_IO},       {EIO, ERR_IO},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = ERR_INIT;
        char reason[ERR_MESSAGE_BYTES];
        (void)snprintf(reason, sizeof reason, "/a: cannot open: %s", strerror(cases[i].errno_value));
        assert_int_equal(err_set_errno(&err, cases[i].errno_value, "/a: cannot %s", "open"), cases[i].code);
        assert_string_equal(err.message, reason);
    }
}

static void test_wrap_reads_as_a_chain(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    (void)err_set(&err, ERR_TIMEOUT, "no byte for 30 s");
    assert_int_equal(err_wrap(&err, "model.safetensors"), ERR_TIMEOUT);
    assert_int_equal(err_wrap(&err, "revision %s", "step512"), ERR_TIMEOUT);
    assert_string_equal(err.message, "revision step512: model.safetensors: no byte for 30 s");
}

static void test_wrap_does_not_repeat(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    (void)err_set(&err, ERR_FORMAT, "model.bin: no header");
    (void)err_wrap(&err, "model.bin");
    assert_string_equal(err.message, "model.bin: no header");
    (void)err_wrap(&err, "model");
    assert_string_equal(err.message, "model: model.bin: no header");
    (void)err_set(&err, ERR_FORMAT, "model.bin");
    (void)err_wrap(&err, "model.bin");
    assert_string_equal(err.message, "model.bin: model.bin");
}

static void test_long_words_are_cut_and_the_reason_stays(void **state)
{
    (void)state;
    char text[2 * ERR_MESSAGE_BYTES];
    struct err err = ERR_INIT;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    (void)err_set(&err, ERR_IO, "%s", text);
    assert_int_equal(strlen(err.message), ERR_MESSAGE_BYTES - 1);

    (void)err_set(&err, ERR_IO, "the reason");
    (void)err_wrap(&err, "%s", text);
    assert_int_equal(strlen(err.message), ERR_MESSAGE_BYTES / 2 + strlen(": the reason"));
    assert_string_equal(err.message + strlen(err.message) - 12, ": the reason");
    for (int i = 0; i < 100; i++)
        (void)err_wrap(&err, "again and again");
    assert_true(strlen(err.message) < ERR_MESSAGE_BYTES);
    assert_int_equal(err.code, ERR_IO);

    memset(text, 'y', sizeof text);
    text[sizeof text - 1] = 0;
    (void)err_set_errno(&err, ENOSPC, "%s", text); /* no room is left for the system's words */
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_true(strlen(err.message) < ERR_MESSAGE_BYTES);
}

static void test_foreign_text_cannot_break_the_line(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    (void)err_set(&err, ERR_HTTP, "the hub says \"%s\"", "no\r\n2026 error forged\x1b[31m\x7f\t.");
    assert_string_equal(err.message, "the hub says \"no  2026 error forged [31m  .\"");
    (void)err_wrap(&err, "a\nb");
    assert_null(strpbrk(err.message, "\n\r\x1b"));
}

/* Whoever passes a message on, as JSON above all, needs UTF-8: foreign bytes and cuts must leave nothing
 * else. */
static void test_messages_are_utf8(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char text[2 * ERR_MESSAGE_BYTES] = "";
    (void)err_set(&err, ERR_FORMAT, "\xc3\xa9t\xe9: \xe2\x82\xac, \xed\xa0\x80, %.3s", "a\xc3\xa9\xc3\xa9");
    assert_string_equal(err.message, "\xc3\xa9t?: \xe2\x82\xac, ???, a\xc3\xa9");
    (void)err_set(&err, ERR_FORMAT, "%.2s", "a\xc3\xa9");
    assert_string_equal(err.message, "a?");
    for (size_t i = 0; i < 3; i++) { /* whatever the place of the cut in a character of three bytes */
        memset(text, 'x', i);
        for (size_t at = i; at + 3 < sizeof text; at += 3)
            memcpy(text + at, "\xe2\x82\xac", 4);
        (void)err_set(&err, ERR_FORMAT, "%s", text);
        assert_true(utf8_is_valid(err.message, strlen(err.message)));
        (void)err_wrap(&err, "%s", text);
        assert_true(utf8_is_valid(err.message, strlen(err.message)));
        (void)err_set_errno(&err, ENOENT, "%s", text);
        assert_true(utf8_is_valid(err.message, strlen(err.message)));
    }
}

static void test_names_are_a_bijection(void **state)
{
    (void)state;
    for (int code = ERR_INTERNAL; code < 0; code++) {
        assert_int_equal(err_code_of(err_name(code)), code);
        for (int other = ERR_INTERNAL; other < code; other++)
            assert_string_not_equal(err_name(code), err_name(other));
    }
    assert_string_equal(err_name(ERR_OK), "ok");
    assert_int_equal(err_code_of("ok"), ERR_OK);
    assert_string_equal(err_name(-1000), "internal");
    assert_int_equal(err_code_of("nonsense"), ERR_INTERNAL);
}

static void test_what_is_tried_again(void **state)
{
    (void)state;
    static const int passing[] = {ERR_NETWORK,     ERR_TIMEOUT, ERR_RATE_LIMITED, ERR_NO_SPACE,
                                  ERR_DEVICE_LOST, ERR_HTTP,    ERR_UNREACHABLE};
    static const int lasting[] = {ERR_OK,          ERR_INVALID,   ERR_NOT_FOUND,    ERR_FORMAT,
                                  ERR_UNSUPPORTED, ERR_CANCELLED, ERR_UNAUTHORIZED, ERR_MISMATCH,
                                  ERR_CONFLICT,    ERR_INTERNAL,  ERR_LIMIT,        ERR_DEVICE,
                                  ERR_NO_MEMORY,   ERR_GATED};
    for (size_t i = 0; i < COUNT_OF(passing); i++)
        assert_true(err_is_transient(passing[i]));
    for (size_t i = 0; i < COUNT_OF(lasting); i++)
        assert_false(err_is_transient(lasting[i]));
}

static void only_what_may_have_been_the_device_is_suspect(void **state)
{
    static const struct {
        int code, is_suspect;
    } cases[] = {
        {ERR_DEVICE_LOST, 1}, {ERR_DEVICE, 1},   {ERR_NO_MEMORY, 1}, {ERR_TIMEOUT, 1},
        {ERR_INTERNAL, 1},    {ERR_HTTP, 0},     {ERR_NETWORK, 0},   {ERR_RATE_LIMITED, 0},
        {ERR_NO_SPACE, 0},    {ERR_MISMATCH, 0}, {ERR_GATED, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (err_may_be_of_the_device(cases[i].code) != cases[i].is_suspect)
            fail_msg("%s", err_name(cases[i].code));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_gives_code_and_words),
        cmocka_unit_test(test_errno_chooses_the_code),
        cmocka_unit_test(test_wrap_reads_as_a_chain),
        cmocka_unit_test(test_wrap_does_not_repeat),
        cmocka_unit_test(test_long_words_are_cut_and_the_reason_stays),
        cmocka_unit_test(test_foreign_text_cannot_break_the_line),
        cmocka_unit_test(test_messages_are_utf8),
        cmocka_unit_test(test_names_are_a_bijection),
        cmocka_unit_test(test_what_is_tried_again),
        cmocka_unit_test(only_what_may_have_been_the_device_is_suspect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
