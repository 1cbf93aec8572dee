#include "tests/unit/base/fixture.h"

#include "daemon/base/weight_layout.h"

/* The files of a repository, in one text: " a b ". */
static int has(void *context, const char *name)
{
    char word[128];
    (void)snprintf(word, sizeof word, " %s ", name);
    return strstr(context, word) != NULL;
}

static const struct weight_layout *choose(const char *files, int does_prefer_torch)
{
    return weight_layout_choose(has, (void *)(uintptr_t)files, does_prefer_torch);
}

static void test_one_layout_is_read(void **state)
{
    (void)state;
    static const char both[] = " config.json model.safetensors pytorch_model.bin ";
    assert_string_equal(choose(both, 0)->file, "model.safetensors");
    assert_string_equal(choose(both, 1)->file, "pytorch_model.bin");
    assert_string_equal(choose(" pytorch_model.bin model.safetensors.index.json ", 0)->file,
                        "model.safetensors.index.json");
    assert_string_equal(choose(" pytorch_model.bin.index.json ", 0)->file, "pytorch_model.bin.index.json");
    assert_null(choose(" config.json weights.safetensors ", 0));
}

static void test_what_lies_beside_it_counts_for_nothing(void **state)
{
    (void)state;
    const struct weight_layout *whole = choose(" model.safetensors ", 0);
    assert_true(weight_layout_has(whole, "model.safetensors"));
    assert_false(weight_layout_has(whole, "pytorch_model.bin"));
    assert_false(weight_layout_has(whole, "old/model.safetensors"));
    const struct weight_layout *shards = choose(" model.safetensors.index.json ", 0);
    assert_true(weight_layout_has(shards, "model-00001-of-00002.safetensors"));
    assert_false(weight_layout_has(shards, "pytorch_model-00001-of-00002.bin"));
    const struct weight_layout *torch = choose(" pytorch_model.bin.index.json ", 0);
    assert_true(weight_layout_has(torch, "pytorch_model-00001-of-00002.bin"));
    assert_false(weight_layout_has(torch, "model.safetensors"));
    assert_false(weight_layout_has(NULL, "model.safetensors"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_layout_is_read),
        cmocka_unit_test(test_what_lies_beside_it_counts_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
