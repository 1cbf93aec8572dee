/* Merging against the definition: look for the best pair, merge it, start again. */
#include "daemon/base/limits.h"
#include "daemon/text/merges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t random_state = 1;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(random_state >> 33) % below;
}

/* Quadratic, and obviously right. */
static size_t merge_slowly(const struct merges *merges, uint32_t *ids, size_t count)
{
    for (;;) {
        const struct merge *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            const struct merge *merge = merges_find(merges, ids[i], ids[i + 1]);
            if (merge && (!best || merge->rank < best->rank)) {
                best = merge;
                at = i;
            }
        }
        if (!best)
            return count;
        ids[at] = best->new_id;
        memmove(ids + at + 1, ids + at + 2, (count - at - 2) * sizeof *ids);
        count--;
    }
}

/* Random merges over few symbols; each result is a new symbol, as in a trained vocabulary. */
static void make_merges(struct merges *merges, uint32_t alphabet, uint32_t count)
{
    struct err err = ERR_INIT;
    assert_int_equal(merges_init(merges, count, &err), 0);
    for (uint32_t i = 0; i < count; i++)
        merges_add(merges, draw(alphabet + i), draw(alphabet + i), i, alphabet + i);
}

static void as_by_definition(void **state)
{
    (void)state;
    struct merges_scratch scratch = {0};
    struct err err = ERR_INIT;
    for (int round = 0; round < 300; round++) {
        struct merges merges;
        uint32_t alphabet = 1 + draw(4);
        make_merges(&merges, alphabet, 1 + draw(40));
        for (int word = 0; word < 40; word++) {
            uint32_t fast[80], slow[80];
            size_t count = draw(80), fast_count = 99;
            for (size_t i = 0; i < count; i++)
                fast[i] = slow[i] = draw(alphabet);
            assert_int_equal(merges_apply(&merges, &scratch, fast, count, &fast_count, &err), 0);
            assert_int_equal(fast_count, merge_slowly(&merges, slow, count));
            assert_memory_equal(fast, slow, fast_count * sizeof *fast);
        }
        merges_free(&merges);
    }
    merges_scratch_free(&scratch);
}

static void a_later_rank_replaces(void **state)
{
    (void)state;
    struct merges merges;
    struct err err = ERR_INIT;
    assert_int_equal(merges_init(&merges, 2, &err), 0);
    merges_add(&merges, 0, 1, 0, 7);
    merges_add(&merges, 0, 1, 5, 8);
    assert_int_equal(merges.count, 1);
    assert_int_equal(merges_find(&merges, 0, 1)->rank, 5);
    assert_int_equal(merges_find(&merges, 0, 1)->new_id, 8);
    assert_null(merges_find(&merges, 1, 0));
    merges_free(&merges);
    merges_free(NULL);
    merges_scratch_free(NULL);
}

/* One word of a million bytes: n log n, not n squared. */
static void a_very_long_word(void **state)
{
    (void)state;
    struct merges merges;
    struct merges_scratch scratch = {0};
    struct err err = ERR_INIT;
    size_t count = MIB, result;
    uint32_t *ids = calloc(count, sizeof *ids);
    assert_non_null(ids);
    assert_int_equal(merges_init(&merges, 8, &err), 0);
    for (uint32_t i = 0; i < 8; i++) /* 2, 4, ... 256 equal symbols */
        merges_add(&merges, i, i, i, i + 1);
    assert_int_equal(merges_apply(&merges, &scratch, ids, count, &result, &err), 0);
    assert_int_equal(result, count / 256);
    for (size_t i = 0; i < result; i++)
        assert_int_equal(ids[i], 8);
    /* Whoever no longer wants it does not wait for its end. */
    const atomic_bool cancel = 1;
    memset(ids, 0, count * sizeof *ids);
    scratch.cancel = &cancel;
    assert_int_equal(merges_apply(&merges, &scratch, ids, count, &result, &err), ERR_CANCELLED);
    free(ids);
    merges_free(&merges);
    merges_scratch_free(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_by_definition),
        cmocka_unit_test(a_later_rank_replaces),
        cmocka_unit_test(a_very_long_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
