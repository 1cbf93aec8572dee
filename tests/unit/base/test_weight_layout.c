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
    assert_false(weight_layout_has(torch, "training_args.bin"));
}

struct names {
    const char *names[7];
};

static const char *name_at(void *context, size_t index)
{
    return ((const struct names *)context)->names[index];
}

/* By the files' names alone, unless a set of shards is not whole or not the only one. */
static void test_which_files_hold_the_tensors(void **state)
{
    static const struct {
        const char *layout;
        int is_told;
        struct names files;
    } cases[] = {
        {" model.safetensors ", 1, {{"model.safetensors", "model-00001-of-00002.safetensors"}}},
        {" pytorch_model.bin ", 1, {{"pytorch_model.bin"}}},
        {" model.safetensors.index.json ",
         1,
         {{"model-00002-of-00002.safetensors", "config.json", "model-00001-of-00002.safetensors"}}},
        {" pytorch_model.bin.index.json ",
         1,
         {{"pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", "training_args.bin"}}},
        {" pytorch_model.bin.index.json ",
         1,
         {{"pytorch_model_00001-of-00002.bin", "pytorch_model_00002-of-00002.bin"}}}, /* of BLOOM */
        {" model.safetensors.index.json ",
         0,
         {{"model-00001-of-00002.safetensors", "model_00002-of-00002.safetensors"}}},
        {" model.safetensors.index.json ",
         0, /* saved again in fewer parts */
         {{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
           "model-00003-of-00003.safetensors", "model-00001-of-00002.safetensors",
           "model-00002-of-00002.safetensors"}}},
        {" model.safetensors.index.json ",
         0,
         {{"old/model-00001-of-00001.safetensors", "model-00001-of-00001.safetensors"}}},
        {" model.safetensors.index.json ", 0, {{"model-00001-of-00002.safetensors"}}},
        {" model.safetensors.index.json ",
         0,
         {{"model-00001-of-0002.safetensors", "model.part.safetensors"}}},
        {" model.safetensors.index.json ",
         0, /* saved again in parts of other names */
         {{"model-00001-of-00001.safetensors", "model.part.safetensors"}}},
        {" pytorch_model.bin.index.json ",
         0,
         {{"layers/1.bin", "pytorch_model-00001-of-00001.bin", "training_args.bin"}}},
        {" pytorch_model.bin.index.json ",
         1, /* torch weights that lie beside others */
         {{"adapter.safetensors", "pytorch_model-00001-of-00001.bin", "optimizer.bin", "scheduler.bin"}}},
        {" model.safetensors.index.json ", 0, {{"-00001-of-00001.safetensors", ".safetensors", ""}}},
        {" model.safetensors.index.json ",
         0, /* saved again in parts that do not even end as weights do */
         {{"model-00001-of-00001.safetensors", "model.safetensors.part1"}}},
        {" model.safetensors.index.json ", 0, {{"model-00001-of-00001.safetensors", "weights/1.pt"}}},
        {" pytorch_model.bin.index.json ", 0, {{"pytorch_model-00001-of-00001.bin", "weights"}}},
        {" model.safetensors.index.json ",
         1,
         {{"model-00001-of-00001.safetensors", "optimizer.pt", "rng_state.pth", "tokenizer.model", "LICENSE",
           "training_args.bin"}}},
        {" config.json ", 0, {{"model-00001-of-00001.safetensors"}}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t count = 0;
        while (cases[i].files.names[count])
            count++;
        int is_told = weight_layout_is_told(choose(cases[i].layout, 0), name_at, count,
                                            (void *)(uintptr_t)&cases[i].files);
        if (is_told != cases[i].is_told)
            fail_msg("case %zu", i);
    }
}

static void test_what_makes_a_checkpoint(void **state)
{
    (void)state;
    static const char *const yes[] = {"config.json", "model.safetensors", "a.bin", ".bin"};
    static const char *const no[] = {"generation_config.json", "config.json.bak",
                                     "model.safetensors.index.json", "bin", ""};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        assert_true(weight_layout_is_of_checkpoint(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        assert_false(weight_layout_is_of_checkpoint(no[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_layout_is_read),
        cmocka_unit_test(test_what_lies_beside_it_counts_for_nothing),
        cmocka_unit_test(test_which_files_hold_the_tensors),
        cmocka_unit_test(test_what_makes_a_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
