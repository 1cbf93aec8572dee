/* Under which keys tensors are shared: equal bytes under one, whatever may differ under several. */
#include "tests/unit/base/fixture.h"

#include "daemon/measure/location.h"

static void test_keys(void **state)
{
    static const struct {
        const char *digest, *repository, *commit, *file, *tensor;
        int key; /* equal numbers: the same bytes */
    } cases[] = {
        {"d1", "a/b", "c1", "x.safetensors", "w", 0},
        {"d1", "file:/other", "c2", "y.safetensors", "w", 0}, /* one file, wherever it lies */
        {"d2", "a/b", "c1", "x.safetensors", "w", 1},
        {"d1", "a/b", "c1", "x.safetensors", "v", 2},
        {"", "file:/a", "c1", "x.safetensors", "w", 3},
        {"", "file:/b", "c1", "x.safetensors", "w", 4}, /* in two file systems inodes may be the same, too */
        {"", "file:/a", "c2", "x.safetensors", "w", 5},
        {"", "file:/a", "c1", "y.safetensors", "w", 6},
        {"", "file:/a", "c1", "x.safetensors", "v", 7},
    };
    static char keys[COUNT_OF(cases)][LOCATION_KEY_SIZE];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        location_write_key(keys[i], cases[i].digest, cases[i].repository, cases[i].commit, cases[i].file,
                           cases[i].tensor);
        for (size_t j = 0; j < i; j++)
            assert_int_equal(strcmp(keys[i], keys[j]) == 0, cases[i].key == cases[j].key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
