/* Steps of a normalizer, one after the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/text/normalizer.h"

static struct normalizer_step make(enum normalizer_kind kind, const char *pattern, const char *content)
{
    struct normalizer_step step = {
        .kind = kind, .pattern_size = strlen(pattern), .content_size = strlen(content)};
    memcpy(step.pattern, pattern, step.pattern_size);
    memcpy(step.content, content, step.content_size);
    return step;
}

static void add(struct normalizer *normalizer, enum normalizer_kind kind, const char *pattern,
                const char *content)
{
    struct err err = ERR_INIT;
    const struct normalizer_step step = make(kind, pattern, content);
    assert_int_equal(normalizer_add(normalizer, &step, &err), 0);
}

static int apply(const struct normalizer *normalizer, const char *text, char shown[100], struct err *err)
{
    struct normalizer_scratch scratch;
    const char *result;
    size_t size;
    normalizer_scratch_init(&scratch);
    int code = normalizer_apply(normalizer, &scratch, text, strlen(text), &result, &size, err);
    if (!code)
        (void)snprintf(shown, 100, "%.*s", (int)size, result);
    normalizer_scratch_free(&scratch);
    return code;
}

static void check(const struct normalizer *normalizer, const char *text, const char *expected)
{
    struct err err = ERR_INIT;
    char shown[100];
    if (apply(normalizer, text, shown, &err))
        fail_msg("%s", err.message);
    assert_string_equal(shown, expected);
}

static void in_order(void **state)
{
    (void)state;
    struct normalizer normalizer = {0};
    check(&normalizer, "e\u0301 x", "e\u0301 x");
    add(&normalizer, NORMALIZER_PREPEND, "", "_");
    add(&normalizer, NORMALIZER_REPLACE, " ", "_");
    check(&normalizer, "", "");
    check(&normalizer, "a  b ", "_a__b_");
    check(&normalizer, " ", "__");
    add(&normalizer, NORMALIZER_REPLACE, "__", "e");
    add(&normalizer, NORMALIZER_REPLACE, "a", "");
    add(&normalizer, NORMALIZER_NFC, "", "");
    check(&normalizer, "   \u0301", "e\u00e9"); /* four, from the left */
    check(&normalizer, "aa", "_");
    assert_int_equal(normalizer_count(&normalizer, NORMALIZER_REPLACE), 3);
}

static void emptied(void **state)
{
    (void)state;
    struct normalizer normalizer = {0};
    add(&normalizer, NORMALIZER_REPLACE, "ab", "");
    add(&normalizer, NORMALIZER_PREPEND, "", "_");
    check(&normalizer, "abab", "");
    check(&normalizer, "aabb", "_ab"); /* what is made is not looked at again */
}

/* Of steps that each make more of a text, nobody waits for the last. */
static void bounds(void **state)
{
    (void)state;
    struct normalizer normalizer = {0};
    struct err err = ERR_INIT;
    char many[NORMALIZER_STRING_BYTES_MAX + 1] = "", shown[100];
    memset(many, 'a', NORMALIZER_STRING_BYTES_MAX);
    for (int i = 0; i < NORMALIZER_STEPS_MAX; i++)
        add(&normalizer, NORMALIZER_REPLACE, "a", many);
    assert_int_equal(apply(&normalizer, "a", shown, &err), ERR_LIMIT);
    const struct normalizer_step more = make(NORMALIZER_NFC, "", "");
    err = (struct err)ERR_INIT;
    assert_int_equal(normalizer_add(&normalizer, &more, &err), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),
        cmocka_unit_test(emptied),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
