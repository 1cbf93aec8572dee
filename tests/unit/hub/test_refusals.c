/* What the hub refuses to our token, on a clock of the test's own: of which repository, and for how long. */
#include "daemon/hub/refusals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct refusals refusals;

static int set_up(void **state)
{
    (void)state;
    refusals_init(&refusals);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    refusals_free(&refusals);
    return 0;
}

static void note(enum repository_kind kind, const char *name, int64_t now_ms)
{
    struct err reason = ERR_INIT;
    (void)err_set(&reason, ERR_GATED, "%s is gated", name);
    (void)refusals_note(&refusals, kind, name, 1, 1, &reason, now_ms);
}

/* Whether it is refused, for its own reason. */
static int is_refused(enum repository_kind kind, const char *name, int64_t now_ms)
{
    char wanted[128];
    struct err err = ERR_INIT;
    (void)snprintf(wanted, sizeof wanted, "%s is gated", name);
    if (!refusals_find(&refusals, kind, name, 1, now_ms, &err)) {
        assert_int_equal(err.code, 0);
        return 0;
    }
    assert_int_equal(err.code, ERR_GATED);
    assert_string_equal(err.message, wanted);
    return 1;
}

static void test_one_repository(void **state)
{
    (void)state;
    note(REPOSITORY_KIND_MODEL, "a/b", 1000);
    assert_true(is_refused(REPOSITORY_KIND_MODEL, "a/b", 1000));
    assert_false(is_refused(REPOSITORY_KIND_DATASET, "a/b", 1000));
    assert_false(is_refused(REPOSITORY_KIND_MODEL, "a/bb", 1000));
    assert_false(is_refused(REPOSITORY_KIND_MODEL, "a/", 1000));
}

static void test_time(void **state)
{
    (void)state;
    note(REPOSITORY_KIND_MODEL, "a/b", 1000);
    assert_true(is_refused(REPOSITORY_KIND_MODEL, "a/b", 1000 + REFUSALS_MS - 1));
    assert_false(is_refused(REPOSITORY_KIND_MODEL, "a/b", 1000 + REFUSALS_MS));
    note(REPOSITORY_KIND_MODEL, "a/b", 1000);
    note(REPOSITORY_KIND_MODEL, "a/b", 2000); /* asked by two at once: the later answer counts */
    assert_int_equal(refusals.count, 1);
    assert_true(is_refused(REPOSITORY_KIND_MODEL, "a/b", 1000 + REFUSALS_MS));
}

static void test_forget(void **state)
{
    static const char *const same[] = {"a/b", "a/b:data/x.jsonl", "a/b:"};
    static const char *const other[] = {"a/bb", "a", "a/b/c", "", "file:/a/b", "a/"};
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        note(REPOSITORY_KIND_MODEL, "a/b", 0);
        note(REPOSITORY_KIND_DATASET, "a/b", 0);
        note(REPOSITORY_KIND_MODEL, "c/d", 0);
        refusals_forget(&refusals, same[i]);
        assert_false(is_refused(REPOSITORY_KIND_MODEL, "a/b", 0));
        assert_false(is_refused(REPOSITORY_KIND_DATASET, "a/b", 0));
        assert_true(is_refused(REPOSITORY_KIND_MODEL, "c/d", 0));
    }
    note(REPOSITORY_KIND_MODEL, "a/b", 0);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        refusals_forget(&refusals, other[i]);
    assert_true(is_refused(REPOSITORY_KIND_MODEL, "a/b", 0));
}

/* What was refused to one token is not to another; a late word on the one before counts for nothing. */
static void test_token(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    note(REPOSITORY_KIND_MODEL, "a/b", 0);
    assert_int_equal(refusals_find(&refusals, REPOSITORY_KIND_MODEL, "a/b", 2, 0, &err), 0);
    assert_int_equal(err.code, 0);
    refusals_note_given(&refusals, REPOSITORY_KIND_MODEL, "a/b", 2, 0);
    note(REPOSITORY_KIND_MODEL, "a/b", 0);
    assert_int_equal(refusals_find(&refusals, REPOSITORY_KIND_MODEL, "a/b", 2, 0, &err), 0);
}

/* A hub that errs now and then does not fail a whole model; one that has withdrawn it does, soon. */
static void test_given(void **state)
{
    struct err reason = ERR_INIT;
    (void)state;
    (void)err_set(&reason, ERR_GATED, "a/b is gated");
    refusals_note_given(&refusals, REPOSITORY_KIND_MODEL, "a/b", 1, 1000);
    assert_false(
        refusals_note(&refusals, REPOSITORY_KIND_MODEL, "a/b", 1, 1, &reason, 1000 + REFUSALS_GIVEN_MS - 1));
    assert_false(is_refused(REPOSITORY_KIND_MODEL, "a/b", 1000 + REFUSALS_GIVEN_MS - 1));
    assert_true(
        refusals_note(&refusals, REPOSITORY_KIND_MODEL, "a/b", 1, 1, &reason, 1000 + REFUSALS_GIVEN_MS));
    assert_true(is_refused(REPOSITORY_KIND_MODEL, "a/b", 1000 + REFUSALS_GIVEN_MS));
    refusals_note_given(&refusals, REPOSITORY_KIND_MODEL, "a/b", 1, 500000); /* asked anew, and granted */
    assert_false(is_refused(REPOSITORY_KIND_MODEL, "a/b", 500000));
    assert_true(refusals_note(&refusals, REPOSITORY_KIND_DATASET, "a/b", 1, 1, &reason, 500000));
    assert_true(
        refusals_note(&refusals, REPOSITORY_KIND_MODEL, "a/b", 2, 1, &reason, 500000)); /* to another token */
    refusals_note_given(&refusals, REPOSITORY_KIND_MODEL, "c/d", 1, 500000);
    refusals_forget(&refusals, "c/d"); /* that somebody asks anew withdraws nothing */
    assert_false(refusals_note(&refusals, REPOSITORY_KIND_MODEL, "c/d", 1, 1, &reason, 500001));
}

/* What a hub in trouble says of any model has to last. */
static void test_doubt(void **state)
{
    const enum repository_kind kind = REPOSITORY_KIND_MODEL;
    struct err reason = ERR_INIT;
    (void)state;
    (void)err_set(&reason, ERR_GATED, "a/b is gated");
    assert_false(refusals_note(&refusals, kind, "a/b", 1, 0, &reason, 1000));
    assert_false(refusals_note(&refusals, kind, "a/b", 1, 0, &reason, 999 + REFUSALS_DOUBT_MS));
    assert_false(is_refused(kind, "a/b", 999 + REFUSALS_DOUBT_MS));
    refusals_note_given(&refusals, kind, "a/b", 1, 2000); /* it was wrong, and is so again much later */
    int64_t later_ms = 2000 + REFUSALS_GIVEN_MS;
    assert_false(refusals_note(&refusals, kind, "a/b", 1, 0, &reason, later_ms));
    assert_true(refusals_note(&refusals, kind, "a/b", 1, 0, &reason, later_ms + REFUSALS_DOUBT_MS));
    assert_true(is_refused(kind, "a/b", later_ms + REFUSALS_DOUBT_MS));
    later_ms += 2 * REFUSALS_MS; /* another time, another doubt */
    assert_false(refusals_note(&refusals, kind, "a/b", 1, 0, &reason, later_ms));
}

/* The table is bounded, and the oldest makes room. */
static void test_bound(void **state)
{
    char name[REFUSALS_NAME_SIZE + 8];
    (void)state;
    for (int i = 0; i <= REFUSALS_MAX; i++) {
        (void)snprintf(name, sizeof name, "a/%d", i);
        note(REPOSITORY_KIND_MODEL, name, i);
    }
    assert_int_equal(refusals.count, REFUSALS_MAX);
    assert_false(is_refused(REPOSITORY_KIND_MODEL, "a/0", REFUSALS_MAX));
    assert_true(is_refused(REPOSITORY_KIND_MODEL, "a/1", REFUSALS_MAX));
    assert_true(is_refused(REPOSITORY_KIND_MODEL, "a/64", REFUSALS_MAX));
    memset(name, 'a', sizeof name); /* longer than any name may be */
    name[sizeof name - 1] = 0;
    note(REPOSITORY_KIND_MODEL, name, REFUSALS_MAX);
    assert_false(is_refused(REPOSITORY_KIND_MODEL, name, REFUSALS_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_repository, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forget, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_doubt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bound, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
