/*
 * What the tests of base and of the daemon's top share: checks of error codes, and a folder of their own.
 */
#ifndef BIFURCATED_TESTS_BASE_FIXTURE_H
#define BIFURCATED_TESTS_BASE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/err.h"
#include "tests/unit/scratch.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Fails the test with the error's message. */
#define OK(call)                                                                                             \
    do {                                                                                                     \
        struct err err = ERR_INIT;                                                                           \
        int rc_ = (call);                                                                                    \
        if (rc_)                                                                                             \
            fail_msg("%s: %s: %s", #call, err_name(rc_), err.message);                                       \
    } while (0)

/* The call fails with this code and one line that holds `words`. */
#define FAILS(code_, words, call)                                                                            \
    do {                                                                                                     \
        struct err err = ERR_INIT;                                                                           \
        int rc_ = (call);                                                                                    \
        if (rc_ != (code_))                                                                                  \
            fail_msg("%s: %s (%s) instead of %s", #call, err_name(rc_), err.message, err_name(code_));       \
        assert_int_equal(err.code, code_);                                                                   \
        if (!strstr(err.message, words))                                                                     \
            fail_msg("%s: \"%s\" does not say \"%s\"", #call, err.message, words);                           \
        assert_null(strchr(err.message, '\n'));                                                              \
    } while (0)

static inline int fixture_make_folder(void **state)
{
    *state = malloc(SCRATCH_SIZE);
    return *state ? scratch_make(*state) : -1;
}

static inline int fixture_remove_folder(void **state)
{
    int code = scratch_remove(*state);
    free(*state);
    return code;
}

/* "folder/name" in one of four static buffers. */
static inline const char *fixture_path(const char *folder, const char *name)
{
    static char paths[4][1024];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline void fixture_write(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void fixture_write_text(const char *path, const char *text)
{
    fixture_write(path, text, strlen(text));
}

#endif
