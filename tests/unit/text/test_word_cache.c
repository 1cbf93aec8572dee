/* The cache of words gives back what was put in, stays bounded, and forgets all at once. */
#include "daemon/text/word_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void look_up_and_keep(struct word_cache *cache, unsigned i, int *ret_hit)
{
    char word[300];
    uint64_t hash;
    size_t count = 99;
    const uint32_t ids[3] = {i, i + 1, i + 2};
    size_t size = (size_t)snprintf(word, sizeof word, "word %u", i);
    const uint32_t *known = word_cache_get(cache, word, size, &hash, &count);
    *ret_hit = known != NULL;
    if (known) {
        assert_int_equal(count, i % 4);
        assert_memory_equal(known, ids, count * sizeof *ids);
    } else {
        word_cache_put(cache, word, size, hash, ids, i % 4);
    }
}

static void keeps_and_forgets(void **state)
{
    (void)state;
    struct word_cache cache;
    struct err err = ERR_INIT;
    int hit;
    assert_int_equal(word_cache_init(&cache, &err), 0);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 10000; i++) {
            look_up_and_keep(&cache, i, &hit);
            assert_int_equal(hit, round);
        }
    }
    /* Far more words than it holds: all come back right, and it starts over now and then. */
    unsigned hits = 0;
    for (unsigned i = 0; i < 400000; i++) {
        look_up_and_keep(&cache, i % 3 ? i : 4, &hit);
        hits += (unsigned)hit;
    }
    assert_true(hits > 130000);
    assert_true(cache.count <= 1 << 14);
    assert_int_equal(cache.hit_count, 10000 + hits);
    /* The counter of epochs may wrap. */
    cache.epoch = UINT32_MAX;
    for (unsigned i = 0; i < 40000; i++)
        look_up_and_keep(&cache, i, &hit);
    look_up_and_keep(&cache, 39999, &hit);
    assert_true(hit);
    word_cache_free(&cache);
    word_cache_free(NULL);
}

static void long_words_are_not_kept(void **state)
{
    (void)state;
    struct word_cache cache;
    struct err err = ERR_INIT;
    char word[WORD_CACHE_WORD_BYTES_MAX + 1];
    uint64_t hash;
    size_t count;
    const uint32_t id = 3;
    memset(word, 'x', sizeof word);
    assert_int_equal(word_cache_init(&cache, &err), 0);
    assert_null(word_cache_get(&cache, word, sizeof word, &hash, &count));
    word_cache_put(&cache, word, sizeof word, hash, &id, 1);
    assert_null(word_cache_get(&cache, word, sizeof word, &hash, &count));
    assert_null(word_cache_get(&cache, word, sizeof word - 1, &hash, &count));
    word_cache_put(&cache, word, sizeof word - 1, hash, &id, 1);
    assert_non_null(word_cache_get(&cache, word, sizeof word - 1, &hash, &count));
    assert_int_equal(count, 1);
    word_cache_free(&cache);
}

/* Words of as many tokens as bytes: room for tokens ends first. */
static void room_for_tokens_ends(void **state)
{
    (void)state;
    struct word_cache cache;
    struct err err = ERR_INIT;
    assert_int_equal(word_cache_init(&cache, &err), 0);
    for (uint32_t i = 0; i < 20000; i++) {
        char word[16];
        uint64_t hash;
        size_t count;
        const uint32_t ids[9] = {i, i + 1, [8] = i + 8};
        (void)snprintf(word, sizeof word, "%09u", i);
        assert_null(word_cache_get(&cache, word, 9, &hash, &count));
        word_cache_put(&cache, word, 9, hash, ids, 9);
        const uint32_t *known = word_cache_get(&cache, word, 9, &hash, &count);
        assert_non_null(known);
        assert_int_equal(count, 9);
        assert_memory_equal(known, ids, sizeof ids);
    }
    word_cache_free(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_and_forgets),
        cmocka_unit_test(long_words_are_not_kept),
        cmocka_unit_test(room_for_tokens_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
