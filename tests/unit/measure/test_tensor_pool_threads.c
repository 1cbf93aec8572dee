/* Threads that share a pool: waiting for room, for a neighbour's load, and a crowd of them. */
#include "tests/unit/measure/pool_loader.h"

#include <pthread.h>

/* -- Two threads -- */

struct taker {
    pthread_t thread;
    struct tensor_pool *pool;
    const char *key;
    struct loader *loader;
    uint64_t size_bytes; /* 0: the usual one */
    const atomic_bool *cancel;
    atomic_bool is_done;
    int result, code;
    struct err err;
    struct pooled_tensor *tensor;
};

static void *run_taker(void *context)
{
    struct taker *taker = context;
    struct tensor_request request =
        request_of(taker->key, taker->loader, taker->size_bytes ? taker->size_bytes : UNIT);
    taker->err = (struct err)ERR_INIT;
    taker->result = tensor_pool_acquire(taker->pool, &request, 1, taker->cancel, &taker->tensor, &taker->code,
                                        &taker->err);
    atomic_store(&taker->is_done, true);
    return NULL;
}

static void start_taker(struct taker *taker)
{
    assert_int_equal(pthread_create(&taker->thread, NULL, run_taker, taker), 0);
}

static void join_taker(struct taker *taker)
{
    assert_int_equal(pthread_join(taker->thread, NULL), 0);
}

static void test_waits_for_room(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(UNIT + UNIT / 2);
    struct loader a = {.byte = 1}, b = {.byte = 2};
    struct pooled_tensor *held = take_good(pool, "a", &a);
    struct taker taker = {.pool = pool, .key = "b", .loader = &b};
    start_taker(&taker);
    clock_sleep_ms(50);
    assert_false(atomic_load(&taker.is_done));
    assert_int_equal(b.count, 0);
    tensor_pool_release(pool, held);
    join_taker(&taker);
    assert_int_equal(taker.code, 0);
    assert_int_equal(tensor_pool_size(pool), UNIT);
    assert_false(has(pool, "a"));
    tensor_pool_release(pool, taker.tensor);
    tensor_pool_free(pool);
}

/* What is in use already costs nothing: such a request does not wait. */
static void test_shared_tensors_need_no_room(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(UNIT);
    struct loader a = {.byte = 1};
    struct pooled_tensor *held = take_good(pool, "a", &a);
    tensor_pool_release(pool, take_good(pool, "a", &a));
    tensor_pool_release(pool, held);
    tensor_pool_free(pool);
}

/* Small ones take turns, so that there is never room for a large one: after a while they wait for it. */
static void test_a_large_one_is_not_passed_for_ever(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(2 * UNIT);
    struct loader loaders[] = {{.byte = 1}, {.byte = 2}}, large_loader = {.byte = 3};
    static const char *const keys[] = {"a", "b"};
    struct pooled_tensor *held = take_good(pool, keys[1], &loaders[1]);
    struct taker large = {.pool = pool, .key = "large", .loader = &large_loader, .size_bytes = 2 * UNIT};
    int was_let_in = 0;
    start_taker(&large);
    while (!tensor_pool_count_waiting(pool))
        clock_sleep_ms(1);
    for (int round = 0; round < 100 && !was_let_in; round++) {
        struct taker next = {.pool = pool, .key = keys[round % 2], .loader = &loaders[round % 2]};
        start_taker(&next);
        while (!atomic_load(&next.is_done) && tensor_pool_count_waiting(pool) < 2)
            clock_sleep_ms(1);
        was_let_in = !atomic_load(&next.is_done);
        tensor_pool_release(pool, held);
        if (was_let_in) {
            join_taker(&large);
            tensor_pool_release(pool, large.tensor);
        }
        join_taker(&next);
        held = next.tensor;
    }
    tensor_pool_release(pool, held);
    if (!was_let_in) {
        join_taker(&large);
        tensor_pool_release(pool, large.tensor);
    }
    assert_true(was_let_in);
    tensor_pool_free(pool);
}

static void test_cancel_while_waiting_for_room(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(UNIT);
    struct loader a = {.byte = 1}, b = {.byte = 2};
    atomic_bool cancel = false;
    struct pooled_tensor *held = take_good(pool, "a", &a);
    struct taker taker = {.pool = pool, .key = "b", .loader = &b, .cancel = &cancel};
    start_taker(&taker);
    clock_sleep_ms(20);
    atomic_store(&cancel, true);
    tensor_pool_wake(pool);
    join_taker(&taker);
    assert_int_equal(taker.result, ERR_CANCELLED);
    assert_null(taker.tensor);
    assert_int_equal(b.count, 0);
    assert_int_equal(tensor_pool_size(pool), UNIT);
    tensor_pool_release(pool, held);
    tensor_pool_free(pool);
}

static void test_cancelled_before(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(UNIT);
    struct loader a = {.byte = 1};
    atomic_bool cancel = true;
    struct taker taker = {.pool = pool, .key = "a", .loader = &a, .cancel = &cancel};
    (void)run_taker(&taker);
    assert_int_equal(taker.result, ERR_CANCELLED);
    assert_null(taker.tensor);
    assert_int_equal(a.count, 0);
    tensor_pool_free(pool);
}

static void check_neighbour(int failure)
{
    struct tensor_pool *pool = new_pool(10 * UNIT);
    atomic_bool gate = false, arrived = false;
    struct loader first = {.byte = 1, .failure = failure, .gate = &gate, .arrived = &arrived};
    struct loader second = {.byte = 2};
    struct taker a = {.pool = pool, .key = "k", .loader = &first};
    struct taker b = {.pool = pool, .key = "k", .loader = &second};
    start_taker(&a);
    wait_for(&arrived);
    start_taker(&b);
    clock_sleep_ms(20);
    assert_false(atomic_load(&b.is_done));
    atomic_store(&gate, true);
    join_taker(&a);
    join_taker(&b);
    assert_int_equal(first.count, 1);
    if (second.count == 0) { /* it waited for the neighbour and shares the outcome, as it usually does */
        assert_int_equal(a.code, failure);
        assert_int_equal(b.code, failure);
        assert_ptr_equal(a.tensor, b.tensor);
        if (failure)
            assert_string_equal(b.err.message, "the loader of 1 fails");
    } else { /* it came only after the failure */
        assert_int_not_equal(failure, 0);
        assert_int_equal(b.code, 0);
    }
    tensor_pool_release(pool, a.tensor);
    tensor_pool_release(pool, b.tensor);
    tensor_pool_free(pool);
}

static void test_neighbour_loads_for_both(void **state)
{
    (void)state;
    check_neighbour(0);
}

static void test_neighbour_fails_for_both(void **state)
{
    (void)state;
    check_neighbour(ERR_TIMEOUT);
}

/* A cancelled task does not wait until its neighbour has loaded. */
static void test_cancel_while_a_neighbour_loads(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(10 * UNIT);
    atomic_bool gate = false, arrived = false, cancel = false;
    struct loader first = {.byte = 1, .gate = &gate, .arrived = &arrived}, second = {.byte = 2};
    struct taker a = {.pool = pool, .key = "k", .loader = &first};
    struct taker b = {.pool = pool, .key = "k", .loader = &second, .cancel = &cancel};
    start_taker(&a);
    wait_for(&arrived);
    start_taker(&b);
    clock_sleep_ms(20);
    atomic_store(&cancel, true);
    tensor_pool_wake(pool);
    for (int i = 0; i < 10000 && !atomic_load(&b.is_done); i++)
        clock_sleep_ms(1);
    int was_done = atomic_load(&b.is_done);
    atomic_store(&gate, true);
    join_taker(&a);
    join_taker(&b);
    assert_true(was_done);
    assert_int_equal(b.result ? b.result : b.code, ERR_CANCELLED); /* the former if it came late */
    assert_null(b.tensor);
    assert_int_equal(second.count, 0);
    assert_int_equal(a.code, 0); /* who loads has not noticed */
    assert_int_equal(((unsigned char *)a.tensor->data)[UNIT - 1], 1);
    tensor_pool_release(pool, a.tensor);
    assert_int_equal(tensor_pool_size(pool), UNIT);
    tensor_pool_free(pool);
}

/* -- Many threads -- */

#define THREADS 8
#define ROUNDS 300
#define KEYS 12
#define BUDGET_UNITS 6

struct crowd {
    struct tensor_pool *pool;
    struct loader loaders[KEYS];
    char keys[KEYS][16];
    pthread_mutex_t
        lock; /* guards the next three: a key in use and the number of such keys change together */
    int users[KEYS];
    int used_units; /* keys in use, counted beside the pool */
    int excess;
    _Atomic int wrong;
    _Atomic int failures;
};

struct member {
    pthread_t thread;
    struct crowd *crowd;
    unsigned seed;
};

static void check_tensor(struct crowd *crowd, int key, const struct pooled_tensor *tensor)
{
    const unsigned char *bytes = tensor->data;
    for (size_t i = 0; i < UNIT; i += 97) {
        if (bytes[i] != (unsigned char)(key + 1))
            atomic_fetch_add(&crowd->wrong, 1);
    }
}

static void count_user(struct crowd *crowd, int key)
{
    (void)pthread_mutex_lock(&crowd->lock);
    if (crowd->users[key]++ == 0 && ++crowd->used_units > BUDGET_UNITS)
        crowd->excess++;
    (void)pthread_mutex_unlock(&crowd->lock);
}

static void discount_user(struct crowd *crowd, int key)
{
    (void)pthread_mutex_lock(&crowd->lock);
    if (--crowd->users[key] == 0)
        crowd->used_units--;
    (void)pthread_mutex_unlock(&crowd->lock);
}

static void *run_member(void *context)
{
    struct member *member = context;
    struct crowd *crowd = member->crowd;
    for (int round = 0; round < ROUNDS; round++) {
        struct tensor_request requests[3];
        struct pooled_tensor *tensors[3];
        struct err errs[3] = {ERR_INIT, ERR_INIT, ERR_INIT};
        int codes[3], chosen[3];
        /* As tasks do: a revision, the one before it, and the first. */
        chosen[0] = 1 + rand_r(&member->seed) % (KEYS - 1);
        chosen[1] = chosen[0] - 1;
        chosen[2] = 0;
        for (int i = 0; i < 3; i++)
            requests[i] = request_of(crowd->keys[chosen[i]], &crowd->loaders[chosen[i]], UNIT);
        if (tensor_pool_acquire(crowd->pool, requests, 3, NULL, tensors, codes, errs))
            atomic_fetch_add(&crowd->wrong, 1);
        for (int i = 0; i < 3; i++) {
            if (codes[i])
                atomic_fetch_add(&crowd->failures, 1);
            else
                check_tensor(crowd, chosen[i], tensors[i]);
            if (tensors[i])
                count_user(crowd, chosen[i]);
        }
        for (int i = 0; i < 3; i++) {
            if (tensors[i])
                discount_user(crowd, chosen[i]);
            tensor_pool_release(crowd->pool, tensors[i]);
        }
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    static struct crowd crowd;
    struct member members[THREADS];
    crowd = (struct crowd){.pool = new_pool(BUDGET_UNITS * UNIT), .lock = PTHREAD_MUTEX_INITIALIZER};
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(crowd.keys[i], sizeof crowd.keys[i], "key%d", i);
        crowd.loaders[i].byte = (unsigned char)(i + 1);
    }
    crowd.loaders[5].failure = ERR_NETWORK;
    for (int i = 0; i < THREADS; i++) {
        members[i] = (struct member){.crowd = &crowd, .seed = (unsigned)i};
        assert_int_equal(pthread_create(&members[i].thread, NULL, run_member, &members[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(members[i].thread, NULL), 0);
    assert_int_equal(crowd.wrong, 0);
    assert_int_equal(crowd.excess, 0); /* never more in use than the budget */
    assert_true(crowd.failures > 0);
    assert_true(tensor_pool_size(crowd.pool) <= BUDGET_UNITS * UNIT);
    tensor_pool_free(crowd.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits_for_room),
        cmocka_unit_test(test_a_large_one_is_not_passed_for_ever),
        cmocka_unit_test(test_shared_tensors_need_no_room),
        cmocka_unit_test(test_cancel_while_waiting_for_room),
        cmocka_unit_test(test_cancelled_before),
        cmocka_unit_test(test_neighbour_loads_for_both),
        cmocka_unit_test(test_neighbour_fails_for_both),
        cmocka_unit_test(test_cancel_while_a_neighbour_loads),
        cmocka_unit_test(test_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
