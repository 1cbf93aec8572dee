#include "tests/unit/base/fixture.h"

#include "daemon/measure/passages_cache.h"

#include <pthread.h>

#define ROOM (5 * bytes_of(10) / 2) /* for two, not for three */

/* Passages of so many tokens, the first of which is `mark`. */
static struct passages make(size_t tokens, uint32_t mark)
{
    struct passages passages = {.token_count = tokens};
    passages.tokens = calloc(tokens, sizeof *passages.tokens);
    assert_non_null(passages.tokens);
    passages.tokens[0] = mark;
    return passages;
}

static const struct passages *keep(struct passages_cache *cache, const char *key, size_t tokens,
                                   uint32_t mark)
{
    struct passages passages = make(tokens, mark);
    const struct passages *kept = NULL;
    OK(passages_cache_keep(cache, key, &passages, &kept, &err));
    assert_null(passages.tokens);
    return kept;
}

/* Of an entry whose key is one letter. */
static uint64_t bytes_of(size_t tokens)
{
    return passages_cache_bytes_of(&(struct passages){.token_count = tokens}, "a");
}

static struct passages_cache_counters count(struct passages_cache *cache)
{
    struct passages_cache_counters counters;
    passages_cache_count(cache, &counters);
    return counters;
}

static void test_found_again(void **state)
{
    (void)state;
    struct passages_cache *cache = NULL;
    OK(passages_cache_new(10 * ROOM, &cache, &err));
    assert_null(passages_cache_find(cache, "a"));
    const struct passages *a = keep(cache, "a", 10, 7);
    assert_ptr_equal(passages_cache_find(cache, "a"), a);
    assert_null(passages_cache_find(cache, "b"));
    assert_int_equal(a->tokens[0], 7);
    struct passages_cache_counters counters = count(cache);
    assert_int_equal(counters.hit_count, 1);
    assert_int_equal(counters.miss_count, 2);
    assert_int_equal(counters.entry_count, 1);
    assert_int_equal(counters.bytes, bytes_of(10));
    passages_cache_give_back(cache, a);
    passages_cache_give_back(cache, a);
    passages_cache_free(cache);
    passages_cache_free(NULL);
}

static void test_who_is_slower_gets_the_first(void **state)
{
    (void)state;
    struct passages_cache *cache = NULL;
    OK(passages_cache_new(10 * ROOM, &cache, &err));
    const struct passages *first = keep(cache, "a", 10, 1), *second = keep(cache, "a", 10, 2);
    assert_ptr_equal(first, second);
    assert_int_equal(second->tokens[0], 1);
    assert_int_equal(count(cache).entry_count, 1);
    passages_cache_give_back(cache, first);
    passages_cache_give_back(cache, second);
    passages_cache_free(cache);
}

/* The bound holds for what nobody holds; the least recently used goes first. */
static void test_bound(void **state)
{
    (void)state;
    struct passages_cache *cache = NULL;
    OK(passages_cache_new(ROOM, &cache, &err));
    const struct passages *a = keep(cache, "a", 10, 1), *b = keep(cache, "b", 10, 2);
    assert_int_equal(count(cache).entry_count, 2);
    passages_cache_give_back(cache, a);
    passages_cache_give_back(cache, b);
    assert_ptr_equal(passages_cache_find(cache, "a"), a); /* now b is the older one */
    passages_cache_give_back(cache, a);
    const struct passages *c = keep(cache, "c", 10, 3);
    assert_int_equal(count(cache).bytes, 2 * bytes_of(10));
    assert_null(passages_cache_find(cache, "b"));
    assert_ptr_equal(passages_cache_find(cache, "a"), a);
    const struct passages *large = keep(cache, "large", 100, 4); /* all are held: more than the bound */
    assert_int_equal(count(cache).bytes, 2 * bytes_of(10) + bytes_of(100) + sizeof "large" - sizeof "a");
    assert_int_equal(large->tokens[0] + a->tokens[0] + c->tokens[0], 8);
    passages_cache_give_back(cache, large);
    assert_int_equal(count(cache).bytes, 2 * bytes_of(10));
    passages_cache_give_back(cache, a);
    passages_cache_give_back(cache, c);
    assert_int_equal(count(cache).entry_count, 2);
    passages_cache_free(cache);
}

static void test_nothing_is_kept_without_room(void **state)
{
    (void)state;
    struct passages_cache *cache = NULL;
    OK(passages_cache_new(0, &cache, &err));
    const struct passages *a = keep(cache, "a", 1, 1);
    assert_int_equal(a->tokens[0], 1);
    passages_cache_give_back(cache, a);
    assert_null(passages_cache_find(cache, "a"));
    assert_int_equal(count(cache).bytes, 0);
    passages_cache_free(cache);
}

static void *use(void *context)
{
    struct passages_cache *cache = context;
    for (unsigned i = 0; i < 400; i++) {
        char key[2] = {(char)('a' + i % 5), 0};
        const struct passages *found = passages_cache_find(cache, key);
        if (!found) {
            struct err err = ERR_INIT;
            struct passages made = {.tokens = calloc(10, sizeof(uint32_t)), .token_count = 10};
            if (!made.tokens)
                return context;
            made.tokens[0] = (uint32_t)key[0];
            if (passages_cache_keep(cache, key, &made, &found, &err))
                return context;
        }
        if (found->tokens[0] != (uint32_t)key[0])
            return context;
        passages_cache_give_back(cache, found);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct passages_cache *cache = NULL;
    pthread_t threads[4];
    OK(passages_cache_new(ROOM, &cache, &err)); /* room for two of five */
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, cache), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(count(cache).hit_count + count(cache).miss_count, 1600);
    assert_true(count(cache).bytes <= ROOM);
    passages_cache_free(cache);
}

/* The last findings are kept, each under its own digest. */
static void test_uses(void **state)
{
    (void)state;
    struct passages_cache *cache = NULL;
    struct tokenizer_use use = {.prefix_id = -7};
    char digest[DIGEST_SHA256_HEX_SIZE];
    OK(passages_cache_new(ROOM, &cache, &err));
    assert_false(passages_cache_find_use(cache, "0", &use));
    for (int i = 0; i <= PASSAGES_CACHE_USES; i++) {
        const struct tokenizer_use kept = {.prefix_id = i - 1, .doubts = (unsigned)i};
        (void)snprintf(digest, sizeof digest, "%d", i);
        passages_cache_keep_use(cache, digest, &kept);
    }
    assert_false(passages_cache_find_use(cache, "0", &use));
    assert_int_equal(use.prefix_id, -7);
    for (int i = 1; i <= PASSAGES_CACHE_USES; i++) {
        (void)snprintf(digest, sizeof digest, "%d", i);
        assert_true(passages_cache_find_use(cache, digest, &use));
        assert_int_equal(use.prefix_id, i - 1);
        assert_int_equal(use.doubts, i);
    }
    passages_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uses),
        cmocka_unit_test(test_found_again),
        cmocka_unit_test(test_who_is_slower_gets_the_first),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_nothing_is_kept_without_room),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
