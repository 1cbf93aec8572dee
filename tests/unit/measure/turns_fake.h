/*
 * For tests of device_turns: a backend whose device keeps account of who does what on which context, and
 * counts a fault where two meet. `fake` is both its script and what it has seen; guarded by its lock while
 * threads run. One test program includes it.
 */
#ifndef BIFURCATED_TESTS_UNIT_MEASURE_TURNS_FAKE_H
#define BIFURCATED_TESTS_UNIT_MEASURE_TURNS_FAKE_H

#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"
#include "gpu/backend.h"
#include "gpu/registry.h"
#include "gpu/score.h"

#include <pthread.h>
#include <string.h>

enum { LOSES_IN_PASS = 1, LOSES_IN_LOAD, LOSES_IN_SCORE };
enum { CONTEXTS = 2, SCORINGS = 3 };

struct context {
    int number;
};

struct model {
    struct context *context;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct context contexts[CONTEXTS];
    int opened;
    int is_used[CONTEXTS];                      /* a call is under way on it */
    int loading, computing, models, models_max; /* now */
    int loads, loads_alone, scorings, passes;   /* so far */
    int passes_before;                          /* the scoring that began last */
    int overlaps;                               /* loads that ended while a model was scored */
    int fits_beside;                            /* whether two models have room */
    int next_load_fails;                        /* once, with ERR_FORMAT */
    int waits;                                  /* a scoring waits until the next model has been loaded */
    int64_t pass_lasts_ms;                      /* 0: a moment; else so long once it was seen */
    int pass_is_seen;                           /* await_computing() was there */
    int pass_needs_all;                         /* a pass waits for a model, and has no room beside one */
    int loses;                                  /* the next call of this kind loses the device */
    int faults;
} fake;

static void note_fault(int is_fault)
{
    fake.faults += is_fault;
}

static void enter(const struct context *context)
{
    (void)pthread_mutex_lock(&fake.lock);
    note_fault(fake.is_used[context->number]);
    fake.is_used[context->number] = 1;
}

static void leave(const struct context *context)
{
    fake.is_used[context->number] = 0;
    (void)pthread_cond_broadcast(&fake.changed);
    (void)pthread_mutex_unlock(&fake.lock);
}

/* Lets others run in the middle of a call. */
static void work(int64_t ms)
{
    (void)pthread_mutex_unlock(&fake.lock);
    clock_sleep_ms(ms);
    (void)pthread_mutex_lock(&fake.lock);
}

static int probe(char *why, size_t why_size)
{
    (void)why;
    (void)why_size;
    return 0;
}

static int device_count(void)
{
    return 1;
}

static int describe(int index, struct backend_description *ret_description, struct err *err)
{
    (void)index;
    (void)err;
    *ret_description = (struct backend_description){.name = "fake"};
    return 0;
}

static int open_context(int index, const struct backend_options *options, void **ret_device, struct err *err)
{
    (void)index;
    (void)options;
    (void)err;
    fake.contexts[fake.opened].number = fake.opened;
    *ret_device = &fake.contexts[fake.opened++];
    return 0;
}

static void close_context(void *device)
{
    (void)device;
}

static int statistics(void *device, const struct statistics_request *request,
                      struct statistics_result *result, struct err *err)
{
    int code = 0;
    (void)request;
    (void)result;
    enter(device);
    note_fault(fake.computing++);
    int64_t end_ms = clock_monotonic_ms() + 60000;
    while (fake.pass_lasts_ms && !fake.pass_is_seen && clock_monotonic_ms() < end_ms)
        work(1);
    work(fake.pass_lasts_ms ? fake.pass_lasts_ms : 1);
    while (fake.pass_needs_all && !fake.passes && !fake.models && clock_monotonic_ms() < end_ms)
        work(1);
    if (fake.pass_needs_all && fake.models)
        code = err_set(err, ERR_NO_MEMORY, "no room beside a model");
    if (fake.loses == LOSES_IN_PASS)
        code = err_set(err, ERR_DEVICE_LOST, "lost in a pass");
    fake.computing--;
    fake.passes++;
    leave(device);
    return code;
}

static int model_load(void *device, const struct score_model_source *source, void **ret_model,
                      struct err *err)
{
    int code = 0;
    enter(device);
    note_fault(fake.loading++);
    if (fake.next_load_fails) {
        fake.next_load_fails = 0;
        code = err_set(err, ERR_FORMAT, "a broken tensor");
    } else if (fake.loses == LOSES_IN_LOAD) {
        code = err_set(err, ERR_DEVICE_LOST, "lost in a load");
    } else if (source->beside && !fake.fits_beside) {
        code = err_set(err, ERR_NO_MEMORY, "no room for two");
    } else {
        work(1);
        struct model *model = calloc(1, sizeof *model);
        assert_non_null(model);
        model->context = device;
        *ret_model = model;
        fake.loads++;
        fake.loads_alone += !source->beside;
        fake.overlaps += fake.computing;
        note_fault(!source->beside && fake.models); /* alone: no other model is there */
        fake.models++;
        fake.models_max = fake.models > fake.models_max ? fake.models : fake.models_max;
    }
    fake.loading--;
    leave(device);
    return code;
}

static int model_score(void *model, const struct score_request *request, struct score_result *result,
                       struct err *err)
{
    const struct context *context = ((struct model *)model)->context;
    int code = 0;
    (void)request;
    (void)result;
    enter(context);
    note_fault(fake.computing++);
    fake.passes_before = fake.passes;
    const int wanted = fake.scorings + 2 < SCORINGS ? fake.scorings + 2 : SCORINGS;
    int64_t end_ms = clock_monotonic_ms() + 60000;
    while (fake.waits && fake.loads < wanted && clock_monotonic_ms() < end_ms)
        work(1);
    note_fault(fake.waits && fake.loads < wanted);
    work(1);
    fake.computing--;
    fake.scorings++;
    if (fake.loses == LOSES_IN_SCORE)
        code = err_set(err, ERR_DEVICE_LOST, "lost in a scoring");
    leave(context);
    return code;
}

static void model_free(void *model)
{
    struct model *one = model;
    if (!one)
        return;
    enter(one->context);
    fake.models--;
    leave(one->context);
    free(one);
}

static void model_need(void *model, struct score_need *ret_need)
{
    (void)model;
    *ret_need = (struct score_need){1, 2};
}

static struct backend_table table = {.abi_version = BACKEND_ABI_VERSION,
                                     .struct_size = sizeof(struct backend_table),
                                     .name = "fake",
                                     .probe = probe,
                                     .device_count = device_count,
                                     .device_describe = describe,
                                     .device_open = open_context,
                                     .device_close = close_context,
                                     .statistics = statistics,
                                     .model_load = model_load,
                                     .model_score = model_score,
                                     .model_free = model_free};

#endif
