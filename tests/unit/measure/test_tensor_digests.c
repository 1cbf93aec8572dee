/* Digests of tensors by several threads: what one thread gives, in any order; cancelled and left early. */
#include "daemon/measure/tensor_digests.h"

#include "daemon/base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT 40
#define LARGE (9 * MIB + 5) /* more than two steps */

static unsigned char *bytes; /* [LARGE] */
static struct {
    size_t begin, size;
} tensors[COUNT];

static int make_bytes(void **state)
{
    (void)state;
    uint64_t seed = 1;
    bytes = malloc(LARGE);
    if (!bytes)
        return -1;
    for (size_t i = 0; i < LARGE; i++) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        bytes[i] = (unsigned char)(seed >> 56);
    }
    for (size_t i = 0; i < COUNT; i++) {
        tensors[i].begin = i * 1013;
        tensors[i].size = i == 3 ? 0 : i == 7 ? LARGE - tensors[i].begin : 1 + i * i * 97;
    }
    return 0;
}

static int free_bytes(void **state)
{
    (void)state;
    free(bytes);
    return 0;
}

static void test_equal_to_one_by_one(void **state)
{
    (void)state;
    static const int threads[] = {0, 1, 2, 3, TENSOR_DIGESTS_THREADS_MAX, 1000};
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        struct tensor_digests *digests = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(tensor_digests_new(COUNT, 100 * MIB, threads[t], NULL, &digests, &err), 0);
        for (size_t i = 0; i < COUNT; i++)
            tensor_digests_add(digests, bytes + tensors[i].begin, tensors[i].size);
        assert_int_equal(tensor_digests_finish(digests, &err), 0);
        for (size_t i = 0; i < COUNT; i++) {
            char hex[DIGEST_SHA256_HEX_SIZE];
            assert_int_equal(digest_sha256_hex(bytes + tensors[i].begin, tensors[i].size, hex, &err), 0);
            assert_string_equal(tensor_digests_hex(digests, i), hex);
        }
        tensor_digests_free(digests);
    }
}

/* NIST's vectors, so that the other test is no comparison with itself. */
static void test_known_values(void **state)
{
    (void)state;
    struct tensor_digests *digests = NULL;
    struct err err = ERR_INIT;
    char known[DIGEST_SHA256_HEX_SIZE];
    (void)memset(known, 'e', sizeof known - 1);
    known[sizeof known - 1] = 0;
    assert_int_equal(tensor_digests_new(3, 3, 2, NULL, &digests, &err), 0);
    tensor_digests_add_known(digests, known); /* as it is */
    tensor_digests_add(digests, "", 0);
    tensor_digests_add(digests, "abc", 3);
    assert_int_equal(tensor_digests_finish(digests, &err), 0);
    assert_string_equal(tensor_digests_hex(digests, 1),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(tensor_digests_hex(digests, 2),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(tensor_digests_hex(digests, 0), known);
    tensor_digests_free(digests);
}

static void test_cancelled(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        struct tensor_digests *digests = NULL;
        struct err err = ERR_INIT;
        atomic_bool cancel = true;
        assert_int_equal(tensor_digests_new(COUNT, LARGE, threads, &cancel, &digests, &err), 0);
        for (size_t i = 0; i < COUNT; i++)
            tensor_digests_add(digests, bytes + tensors[i].begin, tensors[i].size);
        assert_int_equal(tensor_digests_finish(digests, &err), ERR_CANCELLED);
        assert_non_null(strstr(err.message, "cancelled"));
        tensor_digests_free(digests);
    }
}

/* As where reading the next tensor fails: nobody waits for the digests, and the bytes go away after it. */
static void test_left_early(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct tensor_digests *digests = NULL;
        struct err err = ERR_INIT;
        unsigned char *own = malloc(LARGE);
        assert_non_null(own);
        memcpy(own, bytes, LARGE);
        assert_int_equal(tensor_digests_new(COUNT, LARGE, 4, NULL, &digests, &err), 0);
        for (int i = 0; i < round; i++)
            tensor_digests_add(digests, own, i == 1 ? LARGE : 5000);
        tensor_digests_free(digests);
        free(own);
    }
    tensor_digests_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_to_one_by_one),
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_left_early),
    };
    return cmocka_run_group_tests(tests, make_bytes, free_bytes);
}
