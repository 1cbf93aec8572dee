#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/measure/tensor_pool.h"

#include <pthread.h>
#include <stdbool.h>

#define UNIT 1000 /* bytes of the usual tensor */

/* Fills with a byte; counts; may fail, or wait at a gate. */
struct loader {
    unsigned char byte;
    _Atomic int count;
    int failure;
    atomic_bool *gate;    /* wait until true */
    atomic_bool *arrived; /* set when the load began */
};

static int load(void *context, void *data, uint64_t size_bytes, struct err *err)
{
    struct loader *loader = context;
    atomic_fetch_add(&loader->count, 1);
    if (loader->arrived)
        atomic_store(loader->arrived, true);
    while (loader->gate && !atomic_load(loader->gate))
        clock_sleep_ms(1);
    if (loader->failure)
        return err_set(err, loader->failure, "the loader of %d fails", loader->byte);
    memset(data, loader->byte, (size_t)size_bytes);
    return 0;
}

static struct tensor_request request_of(const char *key, struct loader *loader, uint64_t size_bytes)
{
    return (struct tensor_request){
        .key = key,
        .dtype = TENSOR_DTYPE_U8,
        .shape = {.ndim = 2, .dim = {1, size_bytes}},
        .size_bytes = size_bytes,
        .load = load,
        .context = loader,
    };
}

/* Acquires one; NULL with its error in *err. */
static struct pooled_tensor *take(struct tensor_pool *pool, const char *key, struct loader *loader,
                                  uint64_t size_bytes, struct err *err)
{
    struct tensor_request request = request_of(key, loader, size_bytes);
    struct pooled_tensor *tensor = NULL;
    int code = 0;
    *err = (struct err)ERR_INIT;
    assert_int_equal(tensor_pool_acquire(pool, &request, 1, NULL, &tensor, &code, err), 0);
    assert_int_equal(code, err->code);
    assert_true((code == 0) == (tensor != NULL));
    return tensor;
}

static struct pooled_tensor *take_good(struct tensor_pool *pool, const char *key, struct loader *loader)
{
    struct err err;
    struct pooled_tensor *tensor = take(pool, key, loader, UNIT, &err);
    assert_non_null(tensor);
    return tensor;
}

static void wait_for(atomic_bool *flag)
{
    while (!atomic_load(flag))
        clock_sleep_ms(1);
}

static struct tensor_pool *new_pool(uint64_t budget_bytes)
{
    struct tensor_pool *pool = NULL;
    OK(tensor_pool_new(budget_bytes, &pool, &err));
    return pool;
}

static void test_what_is_loaded(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(10 * UNIT);
    struct loader loader = {.byte = 'a'};
    struct err err;
    struct pooled_tensor *tensor = take(pool, "k", &loader, 3, &err);
    assert_memory_equal(tensor->data, "aaa", 3);
    assert_ptr_equal(tensor->view.data, tensor->data);
    assert_int_equal((uintptr_t)tensor->data % 64, 0);
    assert_int_equal(tensor->view.dtype, TENSOR_DTYPE_U8);
    assert_int_equal(tensor->view.shape.dim[1], 3);
    assert_int_equal(tensor->size_bytes, 3);
    /* sha256 of "aaa" */
    assert_string_equal(tensor->digest, "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0");
    tensor_pool_release(pool, tensor);
    tensor = take(pool, "empty", &loader, 0, &err);
    assert_non_null(tensor);
    tensor_pool_release(pool, tensor);
    tensor_pool_release(pool, NULL);
    tensor_pool_free(pool);
    tensor_pool_free(NULL);
}

static void test_sharing(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(10 * UNIT);
    struct loader loader = {.byte = 1};
    struct pooled_tensor *one = take_good(pool, "k", &loader);
    struct pooled_tensor *two = take_good(pool, "k", &loader);
    assert_ptr_equal(one, two);
    assert_int_equal(tensor_pool_size(pool), UNIT);
    tensor_pool_release(pool, one);
    assert_int_equal(*(unsigned char *)two->data, 1); /* still there for the other */
    tensor_pool_release(pool, two);
    assert_true(tensor_pool_has(pool, "k"));
    assert_int_equal(tensor_pool_size(pool), UNIT); /* kept */
    tensor_pool_release(pool, take_good(pool, "k", &loader));
    assert_int_equal(loader.count, 1);
    tensor_pool_free(pool);
}

/* Two requests of one task may be for the same bytes (step1 equals step0). */
static void test_equal_keys_of_one_task(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(2 * UNIT);
    struct loader a = {.byte = 1}, b = {.byte = 2};
    struct tensor_request requests[] = {request_of("k", &a, UNIT), request_of("l", &b, UNIT),
                                        request_of("k", &a, UNIT)};
    struct pooled_tensor *tensors[3];
    struct err errs[3] = {ERR_INIT, ERR_INIT, ERR_INIT};
    int codes[3];
    for (int round = 0; round < 2; round++) {
        assert_int_equal(tensor_pool_acquire(pool, requests, 3, NULL, tensors, codes, errs), 0);
        assert_ptr_equal(tensors[0], tensors[2]);
        assert_ptr_not_equal(tensors[0], tensors[1]);
        assert_int_equal(*(unsigned char *)tensors[1]->data, 2);
        for (int i = 0; i < 3; i++)
            tensor_pool_release(pool, tensors[i]);
    }
    assert_int_equal(a.count, 1);
    assert_int_equal(b.count, 1);
    /* And both fail together. */
    a.failure = ERR_FORMAT;
    requests[0].key = requests[2].key = "bad";
    assert_int_equal(tensor_pool_acquire(pool, requests, 3, NULL, tensors, codes, errs), 0);
    assert_int_equal(codes[0], ERR_FORMAT);
    assert_int_equal(codes[1], 0);
    assert_int_equal(codes[2], ERR_FORMAT);
    assert_string_equal(errs[2].message, "the loader of 1 fails");
    tensor_pool_release(pool, tensors[1]);
    tensor_pool_free(pool);
}

/* The same key described in two ways is two tensors: nobody gets fewer bytes than asked for. */
static void test_equal_keys_of_other_form(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(10 * UNIT);
    struct loader small = {.byte = 1}, big = {.byte = 2};
    struct err err;
    struct pooled_tensor *one = take(pool, "k", &small, UNIT, &err);
    struct pooled_tensor *two = take(pool, "k", &big, 2 * UNIT, &err);
    assert_ptr_not_equal(one, two);
    assert_int_equal(two->size_bytes, 2 * UNIT);
    struct tensor_request request = request_of("k", &big, UNIT);
    request.dtype = TENSOR_DTYPE_I8;
    struct pooled_tensor *three = NULL;
    int code = 0;
    assert_int_equal(tensor_pool_acquire(pool, &request, 1, NULL, &three, &code, &err), 0);
    assert_ptr_not_equal(one, three);
    assert_int_equal(three->view.dtype, TENSOR_DTYPE_I8);
    tensor_pool_release(pool, one);
    tensor_pool_release(pool, two);
    tensor_pool_release(pool, three);
    tensor_pool_free(pool);
}

static void test_least_recently_used_goes_first(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(3 * UNIT);
    struct loader loader = {0};
    tensor_pool_release(pool, take_good(pool, "a", &loader));
    tensor_pool_release(pool, take_good(pool, "b", &loader));
    tensor_pool_release(pool, take_good(pool, "c", &loader));
    tensor_pool_release(pool, take_good(pool, "a", &loader));
    assert_int_equal(loader.count, 3);
    tensor_pool_release(pool, take_good(pool, "d", &loader));
    assert_true(tensor_pool_has(pool, "a"));
    assert_false(tensor_pool_has(pool, "b"));
    assert_true(tensor_pool_has(pool, "c"));
    assert_int_equal(tensor_pool_size(pool), 3 * UNIT);
    tensor_pool_free(pool);
}

/* What a task needs and what is there stays, while room is made for the rest of the task. */
static void test_own_tensors_are_not_evicted(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(2 * UNIT);
    struct loader loader = {0};
    tensor_pool_release(pool, take_good(pool, "old", &loader));
    tensor_pool_release(pool, take_good(pool, "other", &loader));
    struct tensor_request requests[] = {request_of("new", &loader, UNIT), request_of("old", &loader, UNIT)};
    struct pooled_tensor *tensors[2];
    struct err errs[2] = {ERR_INIT, ERR_INIT};
    int codes[2];
    assert_int_equal(tensor_pool_acquire(pool, requests, 2, NULL, tensors, codes, errs), 0);
    assert_int_equal(loader.count, 3); /* "old" was not read again */
    assert_false(tensor_pool_has(pool, "other"));
    assert_int_equal(tensor_pool_size(pool), 2 * UNIT);
    tensor_pool_release(pool, tensors[0]);
    tensor_pool_release(pool, tensors[1]);
    tensor_pool_free(pool);
}

static void test_one_task_may_exceed_the_budget(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(10);
    struct loader loader = {0};
    struct pooled_tensor *tensor = take_good(pool, "k", &loader);
    assert_int_equal(tensor_pool_size(pool), UNIT);
    tensor_pool_release(pool, tensor);
    tensor_pool_release(pool, take_good(pool, "l", &loader));
    assert_int_equal(tensor_pool_size(pool), UNIT); /* and does not pile up */
    tensor_pool_free(pool);
}

static void test_failure_is_told_and_forgotten(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(10 * UNIT);
    struct loader loader = {.byte = 7, .failure = ERR_NETWORK};
    struct err err;
    assert_null(take(pool, "k", &loader, UNIT, &err));
    assert_int_equal(err.code, ERR_NETWORK);
    assert_string_equal(err.message, "the loader of 7 fails");
    assert_false(tensor_pool_has(pool, "k"));
    assert_int_equal(tensor_pool_size(pool), 0);
    loader.failure = 0;
    tensor_pool_release(pool, take_good(pool, "k", &loader));
    assert_int_equal(loader.count, 2);
    tensor_pool_free(pool);
}

static void test_failure_leaves_the_others(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(10 * UNIT);
    struct loader good = {.byte = 1}, bad = {.byte = 2, .failure = ERR_FORMAT};
    struct tensor_request requests[] = {request_of("a", &good, UNIT), request_of("b", &bad, UNIT),
                                        request_of("c", &good, UNIT)};
    struct pooled_tensor *tensors[3];
    struct err errs[3] = {ERR_INIT, ERR_INIT, ERR_INIT};
    int codes[3];
    assert_int_equal(tensor_pool_acquire(pool, requests, 3, NULL, tensors, codes, errs), 0);
    assert_int_equal(codes[0], 0);
    assert_int_equal(codes[1], ERR_FORMAT);
    assert_int_equal(codes[2], 0);
    assert_non_null(tensors[0]);
    assert_null(tensors[1]);
    assert_non_null(tensors[2]);
    tensor_pool_release(pool, tensors[0]);
    tensor_pool_release(pool, tensors[2]);
    tensor_pool_free(pool);
}

static void test_impossible_size(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(10 * UNIT);
    struct loader loader = {0};
    struct err err;
    assert_null(take(pool, "k", &loader, UINT64_MAX, &err));
    assert_int_equal(err.code, ERR_NO_MEMORY);
    assert_int_equal(loader.count, 0);
    assert_int_equal(tensor_pool_size(pool), 0);
    tensor_pool_free(pool);
}

/* -- Two threads -- */

struct taker {
    pthread_t thread;
    struct tensor_pool *pool;
    const char *key;
    struct loader *loader;
    const atomic_bool *cancel;
    atomic_bool is_done;
    int result, code;
    struct err err;
    struct pooled_tensor *tensor;
};

static void *run_taker(void *context)
{
    struct taker *taker = context;
    struct tensor_request request = request_of(taker->key, taker->loader, UNIT);
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
    assert_false(tensor_pool_has(pool, "a"));
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
    _Atomic int users[KEYS];
    _Atomic int used_units; /* keys in use, counted beside the pool */
    _Atomic int excess;
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
            if (tensors[i] && atomic_fetch_add(&crowd->users[chosen[i]], 1) == 0 &&
                atomic_fetch_add(&crowd->used_units, 1) + 1 > BUDGET_UNITS)
                atomic_fetch_add(&crowd->excess, 1);
        }
        for (int i = 0; i < 3; i++) {
            if (tensors[i] && atomic_fetch_sub(&crowd->users[chosen[i]], 1) == 1)
                atomic_fetch_sub(&crowd->used_units, 1);
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
    crowd = (struct crowd){.pool = new_pool(BUDGET_UNITS * UNIT)};
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
        cmocka_unit_test(test_what_is_loaded),
        cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_equal_keys_of_one_task),
        cmocka_unit_test(test_equal_keys_of_other_form),
        cmocka_unit_test(test_least_recently_used_goes_first),
        cmocka_unit_test(test_own_tensors_are_not_evicted),
        cmocka_unit_test(test_one_task_may_exceed_the_budget),
        cmocka_unit_test(test_failure_is_told_and_forgotten),
        cmocka_unit_test(test_failure_leaves_the_others),
        cmocka_unit_test(test_impossible_size),
        cmocka_unit_test(test_waits_for_room),
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
