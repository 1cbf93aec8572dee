/* Who may load, compute and wait on a device, and what a lost one costs. */
#include "tests/unit/measure/turns_fake.h"

#include "daemon/measure/device_turns.h"

enum { THREADS = 4, ROUNDS = 25 };

struct bench {
    struct registry *registry;
    struct device *devices[CONTEXTS];
    struct device_turns *turns;
    _Atomic int64_t busy_us;
};

static void bench_open(struct bench *bench, int has_need)
{
    memset(&fake, 0, sizeof fake);
    (void)pthread_mutex_init(&fake.lock, NULL);
    (void)pthread_cond_init(&fake.changed, NULL);
    *bench = (struct bench){.registry = NULL};
    table.model_need = has_need ? model_need : NULL;
    OK(registry_new(&table, NULL, &bench->registry, &err));
    for (int i = 0; i < CONTEXTS; i++)
        OK(device_open(bench->registry, "fake", NULL, &bench->devices[i], &err));
    OK(device_turns_new(bench->devices[0], has_need ? bench->devices[1] : NULL, &bench->busy_us,
                        &bench->turns, &err));
}

static void bench_close(struct bench *bench)
{
    assert_int_equal(fake.models, 0);
    assert_int_equal(fake.faults, 0);
    device_turns_free(bench->turns);
    for (int i = 0; i < CONTEXTS; i++)
        device_close(bench->devices[i]);
    registry_free(bench->registry);
}

static int score(struct bench *bench, int is_alone)
{
    struct score_model_source source = {.tensors = NULL};
    struct device_turn turn;
    struct err err = ERR_INIT;
    int code = device_turns_load(bench->turns, is_alone, &source, &turn, &err);
    if (code)
        return code;
    code = device_turns_score(bench->turns, &turn, NULL, NULL, &err);
    device_turns_unload(bench->turns, &turn);
    return code;
}

static int score_once(struct bench *bench)
{
    return score(bench, 0);
}

static void *score_in_thread(void *context)
{
    return (void *)(intptr_t)score_once(context);
}

static pthread_t start(void *(*run)(void *context), struct bench *bench)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run, bench), 0);
    return thread;
}

/* The code that the thread ended with. */
static int join(pthread_t thread)
{
    void *code = NULL;
    assert_int_equal(pthread_join(thread, &code), 0);
    return (int)(intptr_t)code;
}

static void score_in_threads(struct bench *bench)
{
    pthread_t threads[SCORINGS];
    for (int i = 0; i < SCORINGS; i++)
        threads[i] = start(score_in_thread, bench);
    for (int i = 0; i < SCORINGS; i++)
        assert_int_equal(join(threads[i]), 0);
    assert_int_equal(fake.scorings, SCORINGS);
}

static void the_next_model_loads_while_one_is_scored(void **state)
{
    struct bench bench;
    (void)state;
    bench_open(&bench, 1);
    fake.fits_beside = fake.waits = 1;
    score_in_threads(&bench);
    assert_int_equal(fake.loads_alone, 0);
    assert_int_equal(fake.models_max, 2);
    assert_true(bench.busy_us > 0);
    bench_close(&bench);
}

static void without_room_for_two_it_loads_alone(void **state)
{
    struct bench bench;
    (void)state;
    bench_open(&bench, 1);
    score_in_threads(&bench);
    assert_int_equal(fake.loads_alone, SCORINGS);
    assert_int_equal(fake.overlaps, 0);
    assert_int_equal(fake.models_max, 1);
    bench_close(&bench);
}

static void with_one_context_it_loads_alone(void **state)
{
    struct bench bench;
    (void)state;
    bench_open(&bench, 0);
    fake.fits_beside = 1;
    score_in_threads(&bench);
    assert_int_equal(fake.loads_alone, SCORINGS);
    assert_int_equal(fake.overlaps, 0);
    bench_close(&bench);
}

/* Both locks are free again, whichever load failed. */
static void a_load_that_fails_leaves_the_turn(void **state)
{
    (void)state;
    for (int has_need = 0; has_need < 2; has_need++) {
        struct bench bench;
        bench_open(&bench, has_need);
        fake.fits_beside = fake.next_load_fails = 1;
        assert_int_equal(score_once(&bench), ERR_FORMAT);
        assert_int_equal(score_once(&bench), 0);
        assert_ptr_equal(device_turns_begin(bench.turns), bench.devices[has_need]);
        device_turns_end(bench.turns);
        bench_close(&bench);
    }
}

static int pass(struct bench *bench, int is_alone)
{
    struct err err = ERR_INIT;
    const uint16_t value = 0;
    struct statistics_request request = {
        .dtype = TENSOR_DTYPE_F16, .rows = 1, .columns = 1, .token_rows = 1, .data = &value};
    struct statistics_result result = {0};
    return device_turns_statistics(bench->turns, is_alone, &request, &result, &err);
}

static void *pass_in_thread(void *context)
{
    return (void *)(intptr_t)pass(context, 0);
}

static void *pass_alone_in_thread(void *context)
{
    return (void *)(intptr_t)pass(context, 1);
}

static void await_computing(void)
{
    (void)pthread_mutex_lock(&fake.lock);
    while (!fake.computing)
        work(1);
    fake.pass_is_seen = 1;
    (void)pthread_mutex_unlock(&fake.lock);
}

/* Neither a model nor a pass that is alone has a model loaded beside it. */
static void nothing_is_loaded_beside_what_is_alone(void **state)
{
    struct bench bench;
    pthread_t thread;
    struct score_model_source source = {.tensors = NULL};
    struct device_turn turn;
    struct err err = ERR_INIT;
    (void)state;
    bench_open(&bench, 1);
    fake.fits_beside = 1;
    assert_int_equal(device_turns_load(bench.turns, 1, &source, &turn, &err), 0);
    thread = start(score_in_thread, &bench);
    clock_sleep_ms(20); /* time enough to load beside it */
    assert_int_equal(device_turns_score(bench.turns, &turn, NULL, NULL, &err), 0);
    device_turns_unload(bench.turns, &turn);
    assert_int_equal(join(thread), 0);
    fake.pass_lasts_ms = 20;
    thread = start(pass_alone_in_thread, &bench);
    await_computing();
    assert_int_equal(score_once(&bench), 0);
    assert_int_equal(join(thread), 0);
    assert_true(fake.models_max == 1 && fake.overlaps == 0 && fake.scorings == 3);
    bench_close(&bench);
}

/* A model that waits for its turn keeps no pass from the memory that it would have alone. */
static void a_pass_without_room_is_made_when_the_model_is_gone(void **state)
{
    struct bench bench;
    pthread_t thread;
    (void)state;
    bench_open(&bench, 1);
    fake.fits_beside = fake.pass_needs_all = 1;
    thread = start(pass_in_thread, &bench);
    await_computing();
    assert_int_equal(score_once(&bench), 0); /* loads while the pass lasts */
    assert_int_equal(join(thread), 0);
    assert_int_equal(fake.passes, 2);
    assert_int_equal(fake.scorings, 1);
    bench_close(&bench);
}

/* Whoever was on the device has the failure; who comes later is told to end, and reaches no backend. */
static void a_loss_is_one_task_s_failure(void **state)
{
    (void)state;
    for (int loses = LOSES_IN_PASS; loses <= LOSES_IN_SCORE; loses++) {
        struct bench bench;
        bench_open(&bench, 1);
        fake.fits_beside = 1;
        assert_null(pass_in_thread(&bench));
        assert_int_equal(score_once(&bench), 0);
        fake.loses = loses;
        intptr_t code = loses == LOSES_IN_PASS ? (intptr_t)pass_in_thread(&bench) : score_once(&bench);
        assert_int_equal(code, ERR_DEVICE_LOST);
        assert_true(device_turns_is_lost(bench.turns));
        const int passes = fake.passes, loads = fake.loads;
        assert_int_equal((intptr_t)pass_in_thread(&bench), ERR_CANCELLED);
        assert_int_equal(score_once(&bench), ERR_CANCELLED);
        assert_true(fake.passes == passes && fake.loads == loads);
        bench_close(&bench);
    }
}

/* A model that was loaded beside the one that lost the device waits for its turn, and is not scored. */
static void a_model_that_waited_is_no_failure(void **state)
{
    struct bench bench;
    pthread_t thread;
    struct score_model_source source = {.tensors = NULL};
    struct device_turn turn;
    struct err err = ERR_INIT;
    (void)state;
    bench_open(&bench, 1);
    fake.fits_beside = 1;
    assert_int_equal(device_turns_load(bench.turns, 0, &source, &turn, &err), 0);
    thread = start(score_in_thread, &bench);
    (void)pthread_mutex_lock(&fake.lock);
    while (fake.loads < 2)
        work(1);
    fake.loses = LOSES_IN_SCORE;
    (void)pthread_mutex_unlock(&fake.lock);
    assert_int_equal(device_turns_score(bench.turns, &turn, NULL, NULL, &err), ERR_DEVICE_LOST);
    device_turns_unload(bench.turns, &turn);
    assert_int_equal(join(thread), ERR_CANCELLED);
    assert_int_equal(fake.scorings, 1);
    bench_close(&bench);
}

static void await_waiting(struct bench *bench, int passes, int models)
{
    int64_t end_ms = clock_monotonic_ms() + 60000;
    int found[2] = {-1, -1};
    while ((found[0] != passes || found[1] != models) && clock_monotonic_ms() < end_ms) {
        device_turns_count_waiting(bench->turns, &found[0], &found[1]);
        clock_sleep_ms(1);
    }
    assert_int_equal(found[0], passes);
    assert_int_equal(found[1], models);
}

/* One call hangs, with the turn: those that wait for it end, and nobody comes after them. */
static void who_waits_for_what_hangs_ends(void **state)
{
    struct bench bench;
    (void)state;
    bench_open(&bench, 1);
    assert_non_null(device_turns_begin(bench.turns));
    pthread_t pass = start(pass_in_thread, &bench), model = start(score_in_thread, &bench);
    await_waiting(&bench, 1, 1);
    pthread_t other = start(score_in_thread, &bench); /* waits for the load */
    device_turns_give_up(bench.turns);
    assert_true(device_turns_is_lost(bench.turns));
    assert_int_equal(join(pass), ERR_CANCELLED);
    assert_int_equal(join(model), ERR_CANCELLED);
    assert_int_equal(join(other), ERR_CANCELLED);
    assert_null(device_turns_begin(bench.turns));
    assert_true(fake.passes == 0 && fake.scorings == 0);
    device_turns_end(bench.turns);
    bench_close(&bench);
}

/* A model waits, then passes come: they go first, but not without end. */
static void passes_go_before_a_model_that_waits(void **state)
{
    enum { MANY = DEVICE_TURNS_PASSES + 3 };
    static const int counts[] = {1, DEVICE_TURNS_PASSES, MANY};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        struct bench bench;
        pthread_t model, passes[MANY];
        struct score_model_source source = {.tensors = NULL};
        struct device_turn turn;
        struct err err = ERR_INIT;
        bench_open(&bench, 1);
        fake.fits_beside = 1;
        assert_int_equal(device_turns_load(bench.turns, 0, &source, &turn, &err), 0);
        model = start(score_in_thread, &bench);
        await_waiting(&bench, 0, 1);
        for (int j = 0; j < counts[i]; j++)
            passes[j] = start(pass_in_thread, &bench);
        await_waiting(&bench, counts[i], 1);
        device_turns_unload(bench.turns, &turn);
        assert_int_equal(join(model), 0);
        for (int j = 0; j < counts[i]; j++)
            assert_int_equal(join(passes[j]), 0);
        assert_int_equal(fake.passes_before,
                         counts[i] < DEVICE_TURNS_PASSES ? counts[i] : DEVICE_TURNS_PASSES);
        assert_int_equal(fake.passes, counts[i]);
        await_waiting(&bench, 0, 0);
        bench_close(&bench);
    }
}

static void *mix_in_thread(void *context)
{
    struct bench *bench = context;
    for (int i = 0; i < ROUNDS; i++) {
        struct err err = ERR_INIT;
        void *code = NULL;
        if (i % 2) {
            code = (void *)(intptr_t)pass(bench, i % 5 == 0);
        } else {
            void *device = device_context(device_turns_begin(bench->turns));
            (void)table.statistics(device, NULL, NULL, &err);
            device_turns_end(bench->turns);
        }
        (void)pthread_mutex_lock(&fake.lock);
        note_fault(code != NULL);
        fake.fits_beside = i % 3 != 0;
        fake.next_load_fails = i % 7 == 6;
        (void)pthread_mutex_unlock(&fake.lock);
        (void)score(bench, i % 4 == 1);
    }
    return NULL;
}

/* Statistics and scorings in any order: nobody meets anybody on a context, and one computes at a time. */
static void passes_and_models_never_meet(void **state)
{
    struct bench bench;
    pthread_t threads[THREADS];
    (void)state;
    bench_open(&bench, 1);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start(mix_in_thread, &bench);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(join(threads[i]), 0);
    assert_int_equal(fake.passes, THREADS * ROUNDS);
    assert_true(fake.scorings > THREADS * ROUNDS / 2);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_model_loads_while_one_is_scored),
        cmocka_unit_test(without_room_for_two_it_loads_alone),
        cmocka_unit_test(with_one_context_it_loads_alone),
        cmocka_unit_test(a_load_that_fails_leaves_the_turn),
        cmocka_unit_test(a_pass_without_room_is_made_when_the_model_is_gone),
        cmocka_unit_test(nothing_is_loaded_beside_what_is_alone),
        cmocka_unit_test(a_loss_is_one_task_s_failure),
        cmocka_unit_test(a_model_that_waited_is_no_failure),
        cmocka_unit_test(who_waits_for_what_hangs_ends),
        cmocka_unit_test(passes_go_before_a_model_that_waits),
        cmocka_unit_test(passes_and_models_never_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
