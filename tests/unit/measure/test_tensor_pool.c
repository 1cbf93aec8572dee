#include "tests/unit/measure/pool_loader.h"

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
    assert_true(has(pool, "k"));
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
    assert_true(has(pool, "a"));
    assert_false(has(pool, "b"));
    assert_true(has(pool, "c"));
    assert_int_equal(tensor_pool_size(pool), 3 * UNIT);
    tensor_pool_free(pool);
}

/* Only what is there, in the form that is asked for; while it is held it is not dropped. */
static void test_what_is_there_already(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(2 * UNIT);
    struct loader loader = {.byte = 5}, other = {.byte = 6};
    struct tensor_request request = request_of("k", &loader, UNIT),
                          longer = request_of("k", &loader, 2 * UNIT);
    assert_null(tensor_pool_find(pool, &request));
    tensor_pool_release(pool, take_good(pool, "k", &loader));
    assert_null(tensor_pool_find(pool, &longer));
    struct pooled_tensor *found = tensor_pool_find(pool, &request);
    assert_non_null(found);
    assert_int_equal(*(unsigned char *)found->data, 5);
    assert_int_equal(strlen(found->digest), DIGEST_SHA256_HEX_SIZE - 1);
    tensor_pool_release(pool, take_good(pool, "l", &other));
    tensor_pool_release(pool, take_good(pool, "m", &other)); /* in place of "l" */
    assert_true(has(pool, "k"));
    assert_int_equal(*(unsigned char *)found->data, 5);
    tensor_pool_release(pool, found);
    assert_int_equal(loader.count, 1);
    other.failure = ERR_NETWORK;
    struct err err;
    assert_null(take(pool, "bad", &other, UNIT, &err));
    request.key = "bad";
    assert_null(tensor_pool_find(pool, &request));
    tensor_pool_free(pool);
}

/* Damaged bytes go with whoever has them, and nobody gets them any more. */
static void test_what_is_not_trusted(void **state)
{
    (void)state;
    struct tensor_pool *pool = new_pool(10 * UNIT);
    struct loader loader = {.byte = 1};
    struct tensor_request request = request_of("k", &loader, UNIT);
    struct pooled_tensor *bad = take_good(pool, "k", &loader), *other = take_good(pool, "k", &loader);
    struct err reason = ERR_INIT;
    (void)err_set(&reason, ERR_MISMATCH, "not the bytes that it had");
    tensor_pool_distrust(pool, bad, &reason);
    assert_false(has(pool, "k"));
    assert_null(tensor_pool_find(pool, &request));
    loader.byte = 2;
    struct pooled_tensor *good = take_good(pool, "k", &loader);
    assert_int_equal(*(unsigned char *)good->data, 2);
    assert_int_equal(*(unsigned char *)other->data, 1);
    assert_int_equal(tensor_pool_size(pool), 2 * UNIT);
    tensor_pool_release(pool, bad);
    tensor_pool_release(pool, other);
    assert_int_equal(tensor_pool_size(pool), UNIT);
    tensor_pool_release(pool, good);
    assert_non_null(good = tensor_pool_find(pool, &request));
    assert_int_equal(*(unsigned char *)good->data, 2);
    tensor_pool_release(pool, good);
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
    assert_false(has(pool, "other"));
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
    assert_false(has(pool, "k"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_loaded),
        cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_equal_keys_of_one_task),
        cmocka_unit_test(test_equal_keys_of_other_form),
        cmocka_unit_test(test_least_recently_used_goes_first),
        cmocka_unit_test(test_what_is_there_already),
        cmocka_unit_test(test_what_is_not_trusted),
        cmocka_unit_test(test_own_tensors_are_not_evicted),
        cmocka_unit_test(test_one_task_may_exceed_the_budget),
        cmocka_unit_test(test_failure_is_told_and_forgotten),
        cmocka_unit_test(test_failure_leaves_the_others),
        cmocka_unit_test(test_impossible_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
