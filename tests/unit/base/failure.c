/*
 * Is linked into every test: says at once where a check fails. cmocka says it after the test's teardown,
 * which may well end the program where a failed test has left something in use; then nobody would know what
 * failed.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef void fail_call(const char *file, int line);

/* What all of cmocka's checks call. */
_Noreturn void _fail(const char *file, int line);

_Noreturn void _fail(const char *file, int line)
{
    fail_call *real;
    *(void **)&real = dlsym(RTLD_NEXT, "_fail");
    (void)fprintf(stderr, "%s:%d: this check fails\n", file, line);
    real(file, line);
    abort();
}
