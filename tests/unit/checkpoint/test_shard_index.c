#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/shard_index.h"

#include <string.h>

static void test_good_index(void **state)
{
    (void)state;
    const char *json = "{\"metadata\":{\"total_size\":3},\"weight_map\":{\"z\":\"b.bin\",\"a\":\"c.bin\","
                       "\"m\":\"b.bin\",\"n\":\"sub/d.bin\"}}";
    struct shard_index *index = NULL;
    struct err err = ERR_INIT;
    if (shard_index_parse(json, strlen(json), &index, &err))
        fail_msg("%s", err.message);
    assert_int_equal(index->entry_count, 4);
    assert_int_equal(index->file_count, 3);
    assert_string_equal(index->entries[0].tensor, "a");
    assert_string_equal(index->files[shard_index_find(index, "a")->file], "c.bin");
    assert_string_equal(index->files[shard_index_find(index, "z")->file], "b.bin");
    assert_string_equal(index->files[shard_index_find(index, "n")->file], "sub/d.bin");
    assert_null(shard_index_find(index, "b"));
    shard_index_free(index);
}

static void test_hostile_indexes(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int code;
        const char *says;
    } cases[] = {
        {"", ERR_FORMAT, "not JSON"},
        {"[]", ERR_FORMAT, "weight_map"},
        {"{}", ERR_FORMAT, "weight_map"},
        {"{\"weight_map\":{}}", ERR_FORMAT, "weight_map"},
        {"{\"weight_map\":[\"a\"]}", ERR_FORMAT, "weight_map"},
        {"{\"weight_map\":{\"a\":1}}", ERR_FORMAT, "is not a string"},
        {"{\"weight_map\":{\"a\":\"\"}}", ERR_FORMAT, "not a file of this revision"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", ERR_FORMAT, "not a file of this revision"},
        {"{\"weight_map\":{\"a\":\"../other/x.bin\"}}", ERR_FORMAT, "not a file of this revision"},
        {"{\"weight_map\":{\"a\":\"x/../../y\"}}", ERR_FORMAT, "not a file of this revision"},
        {"{\"weight_map\":{\"a\":\"..\\\\x\"}}", ERR_FORMAT, "not a file of this revision"},
        {"{\"weight_map\":{\"a\":\"x\\ny\"}}", ERR_FORMAT, "not a file of this revision"},
        {"{\"weight_map\":{\"\":\"x\"}}", ERR_FORMAT, "empty name"},
        {"{\"weight_map\":{\"a\":\"x\",\"a\":\"y\"}}", ERR_FORMAT, "duplicate"},
        {"{\"weight_map\":{\"a\":\"x\"}} more", ERR_FORMAT, "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct shard_index *index = NULL;
        struct err err = ERR_INIT;
        int code = shard_index_parse(cases[i].json, strlen(cases[i].json), &index, &err);
        if (code != cases[i].code || !strstr(err.message, cases[i].says) || index)
            fail_msg("%s: code %d, \"%s\"", cases[i].json, code, err.message);
    }
}

/* Brackets that cost a parser a hundred bytes each. */
static void test_too_many_objects(void **state)
{
    (void)state;
    struct buf json;
    struct shard_index *index = NULL;
    struct err err = ERR_INIT;
    buf_init(&json, MIB);
    (void)buf_append_text(&json, "{\"metadata\":[{}");
    for (int i = 0; i < 10000; i++)
        (void)buf_append_text(&json, ",{}");
    (void)buf_append_text(&json, "],\"weight_map\":{\"a\":\"x\"}}");
    assert_int_equal(buf_check(&json, "json", &err), 0);
    assert_int_equal(shard_index_parse(json.data, json.size, &index, &err), ERR_LIMIT);
    buf_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_index),
        cmocka_unit_test(test_hostile_indexes),
        cmocka_unit_test(test_too_many_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
