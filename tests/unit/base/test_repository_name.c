#include "daemon/base/repository_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void names(void **state)
{
    static const char *const good[] = {"gpt2", "EleutherAI/pythia-14m", "a/b.c_d-e", "0/1"};
    static const char *const bad[] = {"",   "/",    "a/",   "/a",      "a/b/c", "a b", "a--b", "a..b", "-a",
                                      "a-", ".a/b", "a/.b", "a/b.git", "a/b?",  "ä/b", "../a", "a/..", "a\n"};
    char longest[REPOSITORY_NAME_SIZE + 1];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(repository_name_is_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(repository_name_is_valid(bad[i]));
    memset(longest, 'a', sizeof longest);
    longest[REPOSITORY_NAME_SIZE] = '\0';
    assert_false(repository_name_is_valid(longest));
    longest[REPOSITORY_NAME_SIZE - 1] = '\0';
    assert_true(repository_name_is_valid(longest));
}

static void owners(void **state)
{
    (void)state;
    assert_int_equal(repository_name_owner_size("EleutherAI/pythia-14m"), 10);
    assert_int_equal(repository_name_owner_size("gpt2"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(owners)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
