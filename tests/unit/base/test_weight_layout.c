#include "tests/unit/base/fixture.h"

#include "daemon/base/weight_layout.h"

/* The files of a repository, in one text: " a b ". */
static int has(void *context, const char *name)
{
    char word[128];
    (void)snprintf(word, sizeof word, " %s ", name);
    return strstr(context, word) != NULL;
}

static const struct weight_layout *choose(const char *files)
{
    return weight_layout_choose(has, (void *)(uintptr_t)files);
}

static void test_one_layout_is_read(void **state)
{
    (void)state;
    static const char both[] = " config.json model.safetensors pytorch_model.bin ";
    assert_string_equal(choose(both)->file, "model.safetensors");
    assert_string_equal(choose(" pytorch_model.bin model.safetensors.index.json ")->file,
                        "model.safetensors.index.json");
    assert_string_equal(choose(" pytorch_model.bin.index.json ")->file, "pytorch_model.bin.index.json");
    assert_null(choose(" config.json weights.safetensors "));
}

/* What trainers write to go on from counts where nothing is published. */
static void test_what_trainers_write(void **state)
{
    (void)state;
    static const char *const chunks[] = {".metadata", "model_and_optim/.metadata",
                                         "pytorch_model_fsdp_0/.metadata", "weights/.metadata"};
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        char files[128];
        (void)snprintf(files, sizeof files, " %s latest config.json ", chunks[i]);
        const struct weight_layout *layout = choose(files);
        assert_string_equal(layout->file, chunks[i]);
        assert_int_equal(layout->form, WEIGHT_FORM_CHUNKS);
        assert_true(weight_layout_is_of_trainer(chunks[i]) && weight_layout_is_of_parts(chunks[i]));
        (void)snprintf(files, sizeof files, " %s pytorch_model.bin.index.json ", chunks[i]);
        assert_string_equal(choose(files)->file, "pytorch_model.bin.index.json");
    }
    assert_int_equal(choose(" mp_rank_00_model_states.pt latest ")->form, WEIGHT_FORM_RANKS);
    assert_int_equal(choose(" mp_rank_00/model_optim_rng.pt ")->form, WEIGHT_FORM_RANKS);
    assert_int_equal(choose(" mp_rank_00_000/model_optim_rng.pt ")->form, WEIGHT_FORM_RANKS);
    assert_int_equal(choose(" global_step5/mp_rank_00_model_states.pt latest ")->form, WEIGHT_FORM_POINTER);
    assert_null(choose(" __0_0.distcp mp_rank_01_model_states.pt "));
    assert_false(weight_layout_is_of_trainer("pytorch_model.bin"));
    assert_true(weight_layout_is_of_parts("global_step5/mp_rank_00_model_states.pt"));
    assert_true(weight_layout_is_of_parts("layer_07-model_00-model_states.pt"));
    assert_true(weight_layout_is_of_parts("mp_rank_00_003/model_optim_rng.pt"));
    assert_false(weight_layout_is_of_parts("model.safetensors"));
}

/* The checkpoint's folder, of what is read first in it; -1: that file is not. */
static void test_the_folder_of_a_checkpoint(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int size;
    } cases[] = {
        {"model.safetensors", 0},
        {"a/b5/pytorch_model.bin", 4},
        {"step5/.metadata", 5},
        {"step5/model_and_optim/.metadata", 5},
        {"model_and_optim/.metadata", 0},
        {"xmodel_and_optim/.metadata", 16},
        {"r/iter_5/mp_rank_00/model_optim_rng.pt", 8},
        {"a/model_optim_rng.pt", -1},
        {"a/global_step5/mp_rank_00_model_states.pt", 14},
        {"zero_pp_rank_0_mp_rank_00_model_states.pt", -1},
        {"a/latest", -1},
        {"a/config.json", -1},
        {"a/x.metadata", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size = 99;
        int is_first = weight_layout_is_first(cases[i].path, &size);
        if (is_first != (cases[i].size >= 0) || size != (is_first ? (size_t)cases[i].size : 99))
            fail_msg("%s: %d, %zu", cases[i].path, is_first, size);
    }
}

static void test_what_lies_beside_it_counts_for_nothing(void **state)
{
    (void)state;
    const struct weight_layout *whole = choose(" model.safetensors ");
    assert_true(weight_layout_has(whole, "model.safetensors"));
    assert_false(weight_layout_has(whole, "pytorch_model.bin"));
    assert_false(weight_layout_has(whole, "old/model.safetensors"));
    const struct weight_layout *shards = choose(" model.safetensors.index.json ");
    assert_true(weight_layout_has(shards, "model-00001-of-00002.safetensors"));
    assert_false(weight_layout_has(shards, "pytorch_model-00001-of-00002.bin"));
    const struct weight_layout *torch = choose(" pytorch_model.bin.index.json ");
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
        {" mp_rank_00_model_states.pt ", 1, {{"mp_rank_00_model_states.pt"}}},
        {" .metadata ", 0, {{".metadata", "__0_0.distcp"}}}, /* equal metadata may be of other chunks */
        {" latest ", 0, {{"latest", "global_step5/mp_rank_00_model_states.pt"}}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t count = 0;
        while (cases[i].files.names[count])
            count++;
        int is_told = weight_layout_is_told(choose(cases[i].layout), name_at, count,
                                            (void *)(uintptr_t)&cases[i].files);
        if (is_told != cases[i].is_told)
            fail_msg("case %zu", i);
    }
}

static void test_what_makes_a_checkpoint(void **state)
{
    (void)state;
    static const char *const yes[] = {"config.json",
                                      "model.safetensors",
                                      "a.bin",
                                      ".bin",
                                      ".metadata",
                                      "weights/.metadata",
                                      "mp_rank_00_model_states.pt",
                                      "mp_rank_00/model_optim_rng.pt"};
    static const char *const no[] = {"generation_config.json",
                                     "config.json.bak",
                                     "model.safetensors.index.json",
                                     "bin",
                                     "",
                                     "a/config.json",
                                     "latest",
                                     "__0_0.distcp",
                                     ".metadata.tmp",
                                     "a.metadata"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        assert_true(weight_layout_is_of_checkpoint(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        assert_false(weight_layout_is_of_checkpoint(no[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_layout_is_read),
        cmocka_unit_test(test_what_trainers_write),
        cmocka_unit_test(test_the_folder_of_a_checkpoint),
        cmocka_unit_test(test_what_lies_beside_it_counts_for_nothing),
        cmocka_unit_test(test_which_files_hold_the_tensors),
        cmocka_unit_test(test_what_makes_a_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
