#include "daemon/base/revision_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct expected {
    const char *name;
    enum revision_place_kind kind;
    const char *branch, *rest;
};

static void assert_place(const struct expected *expected, const struct revision_place *place)
{
    assert_int_equal(place->kind, expected->kind);
    assert_string_equal(place->branch, expected->branch);
    assert_string_equal(place->rest, expected->rest);
}

static void names(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        {"step1000", REVISION_PLACE_REF, "", "step1000"},
        {"refs/pr/1", REVISION_PLACE_REF, "", "refs/pr/1"},
        {"", REVISION_PLACE_REF, "", ""},
        {"what git refuses", REVISION_PLACE_REF, "", "what git refuses"},
        {"main:checkpoint-500", REVISION_PLACE_FOLDER, "main", "checkpoint-500"},
        {"main:runs/a/step-500", REVISION_PLACE_FOLDER, "main", "runs/a/step-500"},
        {"a/b:c", REVISION_PLACE_FOLDER, "a/b", "c"},
        {"main:a:b^c", REVISION_PLACE_FOLDER, "main", "a:b^c"},
        {"hf:x", REVISION_PLACE_FOLDER, "hf", "x"},
        {"main:..a/b..", REVISION_PLACE_FOLDER, "main", "..a/b.."},
        {"main^Training in progress, step 500", REVISION_PLACE_COMMIT, "main",
         "Training in progress, step 500"},
        {"main^fix: a^b", REVISION_PLACE_COMMIT, "main", "fix: a^b"},
        {"main^../..", REVISION_PLACE_COMMIT, "main", "../.."},
        {"hf://google/multiberts-seed_0-step_20k", REVISION_PLACE_REPOSITORY, "",
         "google/multiberts-seed_0-step_20k"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct revision_place place;
        struct err err = ERR_INIT;
        char written[LIMIT_REVISION_NAME_BYTES];
        assert_int_equal(revision_place_read("owner/name", cases[i].name, &place, &err), 0);
        assert_place(&cases[i], &place);
        /* Written again it is the same; only "" is no place to write. */
        assert_int_equal(revision_place_write(place.kind, place.branch, place.rest, written),
                         cases[i].name[0] != '\0');
        assert_string_equal(written, cases[i].name);
    }
}

static void hostile_names(void **state)
{
    (void)state;
    static const char *const cases[] = {
        ":a",         "^a",         "main:",        "main^",         "main:/a",    "main:a/",    "main:a//b",
        "main:..",    "main:../a",  "main:a/../b",  "main:./a",      "main:a\\b",  "main:a\nb",  "main^a\tb",
        "main^\x7f",  "main^\xff",  "main:\xc3",    "../x:a",        "/main:a",    "main/:a",    "a//b:c",
        "..:a",       ".:a",        "a..b:c",       "a.:c",          "ma\nin:a",   "hf://",      "hf://a",
        "hf://a/",    "hf:///a",    "hf://a/b/c",   "hf://a/b:c",    "hf://a/b^c", "hf://a/..",  "hf://../a",
        "hf://a b/c", "hf://a/b?x", "hf://a/b.git", "hf://a/{step}", "hf://a/*",   "hf://a/b\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct revision_place place;
        struct err err = ERR_INIT;
        if (revision_place_read("owner/name", cases[i], &place, &err) != ERR_INVALID)
            fail_msg("%s is taken", cases[i]);
        assert_true(err.message[0]);
    }
}

/* Of a local model a ':' or '^' is part of a subfolder's name. */
static void local_names(void **state)
{
    (void)state;
    static const char *const cases[] = {"a:b", "main^x", "hf://a/b", ":", "a\nb:c"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct revision_place place;
        struct err err = ERR_INIT;
        assert_int_equal(revision_place_read("file:/data/run", cases[i], &place, &err), 0);
        assert_place(&(struct expected){cases[i], REVISION_PLACE_REF, "", cases[i]}, &place);
        assert_int_equal(revision_place_read_rule("file:/data/run", cases[i], &place, &err), 0);
        assert_int_equal(place.kind, REVISION_PLACE_REF);
    }
}

static void rules(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        {"step{step}", REVISION_PLACE_REF, "", "step{step}"},
        {"*{step}", REVISION_PLACE_REF, "", "*{step}"},
        {"main:checkpoint-{step}", REVISION_PLACE_FOLDER, "main", "checkpoint-{step}"},
        {"main:*/step-{step}", REVISION_PLACE_FOLDER, "main", "*/step-{step}"},
        {"main^*step {step}", REVISION_PLACE_COMMIT, "main", "*step {step}"},
        {"hf://google/multiberts-seed_0-step_{step}", REVISION_PLACE_REPOSITORY, "",
         "google/multiberts-seed_0-step_{step}"},
        {"hf://T/T-1.1B-*step-{step}-*{tokens}", REVISION_PLACE_REPOSITORY, "",
         "T/T-1.1B-*step-{step}-*{tokens}"},
        {"hf://a/{step}-*", REVISION_PLACE_REPOSITORY, "", "a/{step}-*"},
        {"hf://a/{step}", REVISION_PLACE_REPOSITORY, "", "a/{step}"},
    };
    static const char *const bad[] = {
        "{step}:a",       "step*:a",      "*^{step}",         "hf://{step}/a",   "hf://*/step{step}",
        "hf://a{step}",   "hf://*{step}", "hf://a/b c{step}", "hf://a/b/{step}", "main:/{step}",
        "main:../{step}", "hf://a/{step", ":{step}",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct revision_place place;
        struct err err = ERR_INIT;
        assert_int_equal(revision_place_read_rule("owner/name", cases[i].name, &place, &err), 0);
        assert_place(&cases[i], &place);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct revision_place place;
        struct err err = ERR_INIT;
        if (revision_place_read_rule(NULL, bad[i], &place, &err) != ERR_INVALID)
            fail_msg("%s is taken", bad[i]);
    }
}

static void searches(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *owner, *text;
    } cases[] = {
        {"hf://google/multiberts-seed_0-step_{step}", "google", "multiberts-seed_0-step_"},
        {"hf://TinyLlama/TinyLlama-1.1B-*step-{step}-*{tokens}", "TinyLlama", "TinyLlama-1.1B-"},
        {"hf://a/{step}", "a", ""},
        {"hf://a/*-{step}", "a", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct revision_place place;
        struct err err = ERR_INIT;
        char owner[REPOSITORY_NAME_SIZE], text[REPOSITORY_NAME_SIZE];
        assert_int_equal(revision_place_read_rule(NULL, cases[i].rule, &place, &err), 0);
        revision_place_search(&place, owner, text);
        assert_string_equal(owner, cases[i].owner);
        assert_string_equal(text, cases[i].text);
    }
}

/* What cannot be named is not written. */
static void unwritten(void **state)
{
    (void)state;
    char name[LIMIT_REVISION_NAME_BYTES], longest[LIMIT_REVISION_NAME_BYTES + 1];
    struct revision_place place;
    struct err err = ERR_INIT;
    assert_int_equal(revision_place_write(REVISION_PLACE_FOLDER, "a:b", "c", name), 0);
    assert_int_equal(revision_place_write(REVISION_PLACE_COMMIT, "main:a", "c", name), 0);
    assert_int_equal(revision_place_write(REVISION_PLACE_FOLDER, "main", "a/../b", name), 0);
    assert_int_equal(revision_place_write(REVISION_PLACE_COMMIT, "main", "two\nlines", name), 0);
    assert_int_equal(revision_place_write(REVISION_PLACE_REF, NULL, "a:b", name), 0);
    assert_int_equal(revision_place_write(REVISION_PLACE_REPOSITORY, NULL, "a", name), 0);
    assert_string_equal(name, "");
    memset(longest, 'x', sizeof longest);
    longest[LIMIT_REVISION_NAME_BYTES - 5] = '\0';
    assert_int_equal(revision_place_write(REVISION_PLACE_COMMIT, "main", longest, name), 0);
    longest[LIMIT_REVISION_NAME_BYTES - 6] = '\0';
    assert_int_equal(revision_place_write(REVISION_PLACE_COMMIT, "main", longest, name), 1);
    assert_int_equal(strlen(name), LIMIT_REVISION_NAME_BYTES - 1);
    memcpy(longest, "main:", 5);
    memset(longest + 5, 'x', sizeof longest - 6);
    longest[LIMIT_REVISION_NAME_BYTES] = '\0';
    assert_int_equal(revision_place_read(NULL, longest, &place, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names), cmocka_unit_test(hostile_names), cmocka_unit_test(local_names),
        cmocka_unit_test(rules), cmocka_unit_test(searches),      cmocka_unit_test(unwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
