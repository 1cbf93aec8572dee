#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/base/limits.h"
#include "daemon/checkpoint/tensor_name.h"

#include <string.h>

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int code;
    } cases[] = {
        {"gpt_neox.embed_in.weight", 0},
        {"\xc3\xa9", 0},
        {"\xe6\x97\xa5", 0},
        {"\xf0\x9f\x98\x80", 0},
        {"\xf4\x8f\xbf\xbf", 0},
        {"", ERR_FORMAT},
        {"a\nb", ERR_FORMAT},
        {"a\x7f", ERR_FORMAT},
        {"\x80", ERR_FORMAT},             /* a continuation alone */
        {"\xc3", ERR_FORMAT},             /* cut */
        {"\xc3(", ERR_FORMAT},            /* no continuation */
        {"\xc0\xaf", ERR_FORMAT},         /* overlong '/' */
        {"\xe0\x80\xaf", ERR_FORMAT},     /* the same in three bytes */
        {"\xed\xa0\x80", ERR_FORMAT},     /* a surrogate */
        {"\xf4\x90\x80\x80", ERR_FORMAT}, /* beyond U+10FFFF */
        {"\xf8\x88\x80\x80\x80", ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        if (tensor_name_check(cases[i].name, strlen(cases[i].name), &err) != cases[i].code)
            fail_msg("case %zu: %s", i, err.message);
    }
}

static void test_length(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char name[LIMIT_TENSOR_NAME_BYTES + 1];
    memset(name, 'a', sizeof name);
    assert_int_equal(tensor_name_check(name, LIMIT_TENSOR_NAME_BYTES, &err), 0);
    assert_int_equal(tensor_name_check(name, LIMIT_TENSOR_NAME_BYTES + 1, &err), ERR_LIMIT);
    assert_int_equal(tensor_name_check("a\0b", 3, &err), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
