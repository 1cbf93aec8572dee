#include "tests/unit/base/thread_guard.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

typedef int create_call(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                        void *argument);

static void refuse(void)
{
    (void)fprintf(stderr, "a test starts a thread that the thread sanitizer does not see\n"
                          "add the test to threaded_tests in tests/CMakeLists.txt\n");
    abort();
}

void (*thread_guard_refuse)(void) = refuse;

/* After those of the libraries: the one for products starts threads in its own. */
static int is_begun;

__attribute__((constructor)) static void begin(void)
{
    is_begun = 1;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    create_call *real;
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (is_begun)
        thread_guard_refuse();
    return real(thread, attributes, run, argument);
}
