/*
 * Kept answers and remembered ETags.
 */
#include "api/http/cache.h"
#include "api/http/memo.h"
#include "api/http/route.h"
#include "daemon/base/limits.h"
#include "tests/unit/store/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct api_answer *answer_of(size_t size, char fill)
{
    struct api_answer *answer = api_answer_new(200);
    assert_non_null(answer);
    answer->size = size;
    answer->data = malloc(size);
    assert_non_null(answer->data);
    memset(answer->data, fill, size);
    return answer;
}

static void put(struct api_cache *cache, const char *key, size_t size)
{
    struct api_answer *answer = answer_of(size, 'x');
    api_cache_put(cache, key, answer);
    api_answer_release(answer);
}

static int has(struct api_cache *cache, const char *key)
{
    struct api_answer *answer = api_cache_get(cache, key);
    api_answer_release(answer);
    return answer != NULL;
}

/* Each answer counts for 2 KiB more than its body: eight of 1 KiB have room. */
static void test_least_recently_used_goes_first(void **state)
{
    (void)state;
    struct api_cache_counts counts;
    struct api_cache *cache = api_cache_new(24 * KIB);
    put(cache, "a", KIB);
    put(cache, "b", KIB);
    put(cache, "too large", 2 * KIB);
    assert_true(has(cache, "a") && has(cache, "b") && !has(cache, "too large"));
    assert_true(has(cache, "a"));
    for (char key[2] = "c"; key[0] < 'j'; key[0]++)
        put(cache, key, KIB);
    assert_true(has(cache, "j") == 0 && has(cache, "i"));
    assert_false(has(cache, "b"));
    api_cache_count(cache, &counts);
    assert_true(counts.bytes <= 24 * KIB && counts.evictions > 0);
    api_cache_free(cache);
}

/* An answer that is being sent outlives its place in the cache. */
static void test_evicted_answer_lives_on(void **state)
{
    (void)state;
    struct api_cache *cache = api_cache_new(24 * KIB);
    put(cache, "a", KIB);
    struct api_answer *answer = api_cache_get(cache, "a");
    api_cache_free(cache);
    assert_int_equal(answer->data[KIB - 1], 'x');
    api_answer_release(answer);
}

static void test_large_answer_moves_to_a_file(void **state)
{
    (void)state;
    char bytes[16];
    struct api_answer *small = answer_of(KIB, 's'), *large = answer_of(MIB, 'l');
    api_answer_share(small);
    assert_true(small->fd == -1 && small->data && small->shared && !small->is_known);
    large->etag = strdup("\"e-gzip\"");
    large->cache_control = "no-cache";
    api_answer_share(large);
    assert_true(large->fd >= 0 && !large->data && large->shared && large->is_known);
    assert_string_equal(MHD_get_response_header(large->shared, "ETag"), "\"e-gzip\"");
    assert_string_equal(MHD_get_response_header(large->is_known, "ETag"), "\"e-gzip\"");
    assert_string_equal(MHD_get_response_header(large->is_known, "Cache-Control"), "no-cache");
    assert_int_equal(pread(large->fd, bytes, sizeof bytes, MIB - 16), 16);
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], 'l');
    assert_int_equal(pread(large->fd, bytes, sizeof bytes, MIB), 0);
    int fd = large->fd;
    api_answer_release(small);
    api_answer_release(large);
    assert_int_equal(close(fd), -1); /* it was closed with the answer */
}

static const struct api_route routes[2]; /* of one format each; nothing looks into them */

static struct api_memo_key key_of(const char *target, enum api_format preferred)
{
    return (struct api_memo_key){target, strlen(target), preferred};
}

static void remember(struct api_memo *memo, const char *target, enum api_format preferred, uint64_t version,
                     const char *etag)
{
    struct api_memo_key key = key_of(target, preferred);
    struct api_memo_entry entry = {.route = &routes[preferred], .format = preferred};
    (void)snprintf(entry.etag, sizeof entry.etag, "%s", etag);
    api_memo_put(memo, &key, version, &entry);
}

/* The ETag, "" if it is not known. */
static const char *recall(struct api_memo *memo, const char *target, enum api_format preferred,
                          uint64_t version)
{
    static struct api_memo_entry entry;
    struct api_memo_key key = key_of(target, preferred);
    if (!api_memo_get(memo, &key, version, &entry))
        return "";
    assert_ptr_equal(entry.route, &routes[preferred]);
    assert_int_equal(entry.format, preferred);
    return entry.etag;
}

static void test_memo(void **state)
{
    (void)state;
    struct api_memo *memo = api_memo_new();
    assert_string_equal(recall(memo, "/a", API_FORMAT_JSON, 1), "");
    assert_string_equal(recall(memo, "/a", API_FORMAT_JSON, 0), ""); /* no version of an empty slot */
    remember(memo, "/a", API_FORMAT_JSON, 1, "one");
    remember(memo, "/a", API_FORMAT_CSV, 1, "csv");
    assert_string_equal(recall(memo, "/a", API_FORMAT_JSON, 1), "one");
    assert_string_equal(recall(memo, "/a", API_FORMAT_CSV, 1), "csv");
    assert_string_equal(recall(memo, "/a", API_FORMAT_JSON, 2), "");
    assert_string_equal(recall(memo, "/b", API_FORMAT_JSON, 1), "");
    assert_string_equal(recall(memo, "/", API_FORMAT_JSON, 1), "");
    assert_string_equal(recall(memo, "/a?limit=12345", API_FORMAT_JSON, 1), "");
    remember(memo, "/a", API_FORMAT_JSON, 2, "two");
    assert_string_equal(recall(memo, "/a", API_FORMAT_JSON, 1), "");
    assert_string_equal(recall(memo, "/a", API_FORMAT_JSON, 2), "two");
    api_memo_free(memo);
}

/* More targets than there is room for: what is found is right, and a fresh one is always there. */
static void test_memo_is_bounded(void **state)
{
    (void)state;
    char target[API_MEMO_TARGET_BYTES_MAX + 2], wanted[32];
    struct api_memo *memo = api_memo_new();
    int found = 0;
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(target, sizeof target, "/v1/models/%d", i);
        (void)snprintf(wanted, sizeof wanted, "etag%d", i);
        remember(memo, target, API_FORMAT_JSON, (uint64_t)i + 1, wanted);
        assert_string_equal(recall(memo, target, API_FORMAT_JSON, (uint64_t)i + 1), wanted);
    }
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(target, sizeof target, "/v1/models/%d", i);
        (void)snprintf(wanted, sizeof wanted, "etag%d", i);
        const char *etag = recall(memo, target, API_FORMAT_JSON, (uint64_t)i + 1);
        if (!etag[0])
            continue;
        assert_string_equal(etag, wanted);
        found++;
    }
    assert_true(found > 500 && found < 5000);
    memset(target, 'x', sizeof target - 1);
    target[sizeof target - 1] = '\0';
    remember(memo, target, API_FORMAT_JSON, 1, "long");
    assert_string_equal(recall(memo, target, API_FORMAT_JSON, 1), "");
    api_memo_free(memo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least_recently_used_goes_first),
        cmocka_unit_test(test_evicted_answer_lives_on),
        cmocka_unit_test(test_large_answer_moves_to_a_file),
        cmocka_unit_test(test_memo),
        cmocka_unit_test(test_memo_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
