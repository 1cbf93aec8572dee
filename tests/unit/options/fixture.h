/*
 * Loading options where nothing of the user's environment or files takes part.
 */
#ifndef BIFURCATED_TESTS_OPTIONS_FIXTURE_H
#define BIFURCATED_TESTS_OPTIONS_FIXTURE_H

#include "tests/unit/base/fixture.h"

#include "daemon/options/options.h"
#include "daemon/options/options_table.h"

#include <ctype.h>

/* Nothing of the user's environment or files takes part. */
static int make_clean(void **state)
{
    if (fixture_make_folder(state))
        return -1;
    for (size_t i = 0; i < option_row_count; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "BIFURCATED_%s", option_rows[i].name);
        for (char *p = name; *p; p++)
            *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
        (void)unsetenv(name);
    }
    (void)unsetenv("BIFURCATED_CONFIG");
    (void)unsetenv("STATE_DIRECTORY");
    (void)unsetenv("XDG_STATE_HOME");
    (void)unsetenv("XDG_CONFIG_HOME");
    return setenv("HOME", *state, 1);
}

#define ARGUMENTS_MAX 16

/* options_load with the arguments up to NULL. */
static int load(struct options *options, enum options_action *action, struct err *err, const char *first, ...)
{
    char *argv[ARGUMENTS_MAX] = {(char *)(uintptr_t) "bifurcated"};
    int argc = 1;
    va_list rest;
    va_start(rest, first);
    for (const char *text = first; text; text = va_arg(rest, const char *)) {
        assert_true(argc < ARGUMENTS_MAX);
        argv[argc++] = (char *)(uintptr_t)text;
    }
    va_end(rest);
    return options_load(argc, argv, options, action, err);
}

#define LOAD(options, ...)                                                                                   \
    do {                                                                                                     \
        enum options_action action_ = OPTIONS_ACTION_HELP;                                                   \
        OK(load(options, &action_, &err, __VA_ARGS__));                                                      \
        assert_int_equal(action_, OPTIONS_ACTION_RUN);                                                       \
    } while (0)

#define LOAD_FAILS(words, ...)                                                                               \
    do {                                                                                                     \
        struct options options_;                                                                             \
        enum options_action action_ = OPTIONS_ACTION_RUN;                                                    \
        FAILS(ERR_INVALID, words, load(&options_, &action_, &err, __VA_ARGS__));                             \
        options_free(&options_);                                                                             \
    } while (0)

#define CLEAN(test) cmocka_unit_test_setup_teardown(test, make_clean, fixture_remove_folder)

#endif
