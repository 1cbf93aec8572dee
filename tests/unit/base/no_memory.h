/*
 * Lets one allocation of jansson's fail, or all from one on, as the program's own function for memory sees
 * it: set countdown to the number of the call. For one test program each.
 */
#ifndef BIFURCATED_TESTS_BASE_NO_MEMORY_H
#define BIFURCATED_TESTS_BASE_NO_MEMORY_H

#include "daemon/base/json_text.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

static json_malloc_t take_memory;
static unsigned countdown;   /* the call that fails; 0: none */
static int lacks_throughout; /* all calls after it fail, too */
static int has_failed;

static void *fail_once(size_t size)
{
    if (countdown != 1 && !(has_failed && lacks_throughout)) {
        countdown -= countdown > 0;
        return take_memory(size);
    }
    countdown = 0;
    has_failed = 1;
    return json_text_take_spare(size);
}

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static int let_memory_fail(void **state)
{
    json_free_t release;
    (void)state;
    json_get_alloc_funcs(&take_memory, &release);
    json_set_alloc_funcs(fail_once, release);
    return 0;
}

static int restore_memory(void **state)
{
    json_malloc_t ours;
    json_free_t release;
    (void)state;
    json_get_alloc_funcs(&ours, &release);
    json_set_alloc_funcs(take_memory, release);
    countdown = 0;
    return 0;
}

#endif
