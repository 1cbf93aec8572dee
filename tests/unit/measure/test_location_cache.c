/* What is remembered of headers, and that a tensor waits for nobody who reads another's. */
#include "tests/unit/base/fixture.h"

#include "daemon/measure/location_cache.h"

#include <stdbool.h>

static struct located_tensor found_at(int64_t revision_id, const char *tensor, uint64_t size_bytes)
{
    struct located_tensor found = {.revision_id = revision_id, .size_bytes = size_bytes};
    (void)snprintf(found.tensor, sizeof found.tensor, "%s", tensor);
    return found;
}

static void test_what_was_put(void **state)
{
    (void)state;
    struct location_cache *cache = NULL;
    struct located_tensor found = found_at(1, "w", 10), told = {0};
    OK(location_cache_new(&cache, &err));
    assert_false(location_cache_get(cache, 1, "w", &told));
    location_cache_put(cache, &found);
    found.size_bytes = 20;
    location_cache_put(cache, &found); /* of the same, in its place */
    assert_true(location_cache_get(cache, 1, "w", &told));
    assert_int_equal(told.size_bytes, 20);
    assert_false(location_cache_get(cache, 1, "v", &told));
    assert_false(location_cache_get(cache, 2, "w", &told));
    for (int64_t i = 2; i <= 512; i++) {
        found = found_at(i, "w", (uint64_t)i);
        location_cache_put(cache, &found);
    }
    assert_true(location_cache_get(cache, 1, "w", &told)); /* the last place was the last free one */
    found = found_at(513, "w", 513);
    location_cache_put(cache, &found);
    assert_false(location_cache_get(cache, 1, "w", &told)); /* the oldest goes */
    assert_true(location_cache_get(cache, 2, "w", &told));
    location_cache_free(cache);
    location_cache_free(NULL);
}

static void test_locks_are_of_a_tensor(void **state)
{
    (void)state;
    struct location_cache *cache = NULL;
    struct keyed_lock one = {.number = 1, .name = "w"}, same = one;
    struct keyed_lock others[] = {
        {.number = 1, .name = "v"}, {.number = 2, .name = "w"}, {.number = 65, .name = "w"}};
    atomic_bool cancel = true; /* so that none of them can wait */
    OK(location_cache_new(&cache, &err));
    OK(location_cache_lock(cache, &one, &cancel, &err));
    for (size_t i = 0; i < 3; i++)
        OK(location_cache_lock(cache, &others[i], &cancel, &err));
    FAILS(ERR_CANCELLED, "does the same", location_cache_lock(cache, &same, &cancel, &err));
    for (size_t i = 0; i < 3; i++)
        location_cache_unlock(cache, &others[i]);
    location_cache_unlock(cache, &one);
    OK(location_cache_lock(cache, &same, &cancel, &err));
    location_cache_unlock(cache, &same);
    location_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_put),
        cmocka_unit_test(test_locks_are_of_a_tensor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
