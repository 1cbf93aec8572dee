#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/checkpoint/gather.h"

#include <string.h>

static void test_is_contiguous(void **state)
{
    (void)state;
    static const struct {
        struct tensor_shape shape;
        uint64_t stride[4];
        int is_contiguous;
        uint64_t span;
    } cases[] = {
        {{0, {0}}, {0}, 1, 1},
        {{1, {5}}, {1}, 1, 5},
        {{1, {5}}, {2}, 0, 9},
        {{2, {2, 3}}, {3, 1}, 1, 6},
        {{2, {3, 2}}, {1, 3}, 0, 6},
        {{2, {1, 3}}, {77, 1}, 1, 3}, /* the stride of one row does not matter */
        {{2, {3, 1}}, {1, 99}, 1, 3},
        {{2, {2, 3}}, {4, 1}, 0, 7},
        {{2, {0, 3}}, {9, 9}, 1, 0},
        {{2, {2, 3}}, {0, 1}, 0, 3},
        {{3, {2, 1, 2}}, {2, 5, 1}, 1, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(gather_is_contiguous(&cases[i].shape, cases[i].stride), cases[i].is_contiguous);
        assert_int_equal(gather_span(&cases[i].shape, cases[i].stride), cases[i].span);
    }
}

static void test_copy(void **state)
{
    (void)state;
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    static const struct {
        struct tensor_shape shape;
        uint64_t stride[4];
        size_t element_bytes;
        const char *expected;
    } cases[] = {
        {{0, {0}}, {0}, 1, "a"},
        {{1, {3}}, {2}, 1, "ace"},
        {{2, {3, 2}}, {1, 3}, 1, "adbecf"},
        {{2, {2, 2}}, {1, 2}, 2, "abefcdgh"},
        {{3, {2, 2, 2}}, {1, 2, 4}, 1, "aecgbfdh"},
        {{4, {1, 2, 1, 3}}, {9, 3, 9, 1}, 1, "abcdef"},
        {{2, {2, 2}}, {0, 1}, 1, "abab"},
        {{2, {0, 2}}, {0, 1}, 1, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char out[32] = {0};
        gather_copy((const unsigned char *)letters, &cases[i].shape, cases[i].stride, cases[i].element_bytes,
                    out);
        assert_string_equal((const char *)out, cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_contiguous),
        cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
