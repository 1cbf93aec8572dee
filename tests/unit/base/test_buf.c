#include "tests/unit/base/fixture.h"

#include "daemon/base/buf.h"

static void test_empty(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    assert_null(buf.data);
    assert_string_equal(buf_text(&buf), "");
    OK(buf_check(&buf, "x", &err));
    assert_int_equal(buf_append(&buf, NULL, 0), 0);
    assert_string_equal(buf_text(&buf), "");
    buf_free(&buf);
    buf_free(NULL);
}

static void test_grows_and_stays_terminated(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000000);
    for (size_t i = 0; i < 100000; i++) {
        assert_int_equal(buf_append_char(&buf, (char)('a' + i % 26)), 0);
        assert_int_equal(buf.data[buf.size], 0);
    }
    assert_int_equal(buf_appendf(&buf, "%s-%d", "end", 7), 0);
    assert_int_equal(buf_append_text(&buf, "!"), 0);
    assert_int_equal(buf.size, 100006);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(buf.data[i], 'a' + i % 26);
    assert_string_equal(buf.data + 100000, "end-7!");
    buf_clear(&buf);
    assert_int_equal(buf.size, 0);
    assert_string_equal(buf_text(&buf), "");
    buf_free(&buf);
}

static void test_max_is_exact(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 8);
    assert_int_equal(buf_append(&buf, "12345678", 8), 0);
    assert_int_equal(buf.failed, 0);
    assert_null(buf_reserve(&buf, 1));
    assert_int_equal(buf.failed, ERR_LIMIT);
    buf_clear(&buf);
    assert_int_equal(buf_append(&buf, "123456789", 9), ERR_LIMIT);
    assert_string_equal(buf_text(&buf), "");
    buf_clear(&buf);
    assert_int_equal(buf_appendf(&buf, "%d", 123456789), ERR_LIMIT);
    buf_clear(&buf);
    assert_int_equal(buf_appendf(&buf, "%d", 12345678), 0);
    assert_string_equal(buf_text(&buf), "12345678");
    buf_free(&buf);
    assert_int_equal(buf.max, 8);
}

static void test_failure_sticks_until_cleared(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 4);
    (void)buf_append_text(&buf, "ab");
    assert_int_equal(buf_append_text(&buf, "cde"), ERR_LIMIT);
    assert_int_equal(buf_append_text(&buf, "c"), ERR_LIMIT); /* would fit, but comes too late */
    assert_int_equal(buf_append_char(&buf, 'c'), ERR_LIMIT);
    assert_int_equal(buf_appendf(&buf, "c"), ERR_LIMIT);
    assert_string_equal(buf_text(&buf), "ab");
    FAILS(ERR_LIMIT, "the page", buf_check(&buf, "the page", &err));
    FAILS(ERR_LIMIT, "4 bytes", buf_check(&buf, "the page", &err));
    assert_null(buf_take(&buf));
    buf_clear(&buf);
    assert_int_equal(buf_append_text(&buf, "wxyz"), 0);
    OK(buf_check(&buf, "the page", &err));
    buf_free(&buf);
}

static void test_huge_sizes_do_not_wrap(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    (void)buf_append_text(&buf, "abc");
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_int_equal(buf.failed, ERR_LIMIT);
    buf_clear(&buf);
    (void)buf_append_text(&buf, "abc");
    assert_null(buf_reserve(&buf, SIZE_MAX - 3));
    assert_string_equal(buf_text(&buf), "abc");
    buf_free(&buf);
}

static void test_reserve_then_commit(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    (void)buf_append_text(&buf, "head ");
    char *place = buf_reserve(&buf, 500);
    assert_non_null(place);
    memset(place, 'x', 500);
    buf.size += 500;
    (void)buf_append_text(&buf, " tail");
    assert_int_equal(buf.size, 510);
    assert_memory_equal(buf.data, "head x", 6);
    assert_string_equal(buf.data + 504, "x tail");
    buf_free(&buf);
}

static void test_take_hands_over(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    (void)buf_append_text(&buf, "mine");
    char *text = buf_take(&buf);
    assert_string_equal(text, "mine");
    assert_null(buf.data);
    assert_int_equal(buf.size, 0);
    free(text);
    text = buf_take(&buf); /* of an empty buffer: an empty text */
    assert_string_equal(text, "");
    free(text);
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_grows_and_stays_terminated),
        cmocka_unit_test(test_max_is_exact),
        cmocka_unit_test(test_failure_sticks_until_cleared),
        cmocka_unit_test(test_huge_sizes_do_not_wrap),
        cmocka_unit_test(test_reserve_then_commit),
        cmocka_unit_test(test_take_hands_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
