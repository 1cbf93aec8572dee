#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/base/digest.h"
#include "tests/tools/one_file.h"
#include "tests/unit/checkpoint/revision.h"

#define GARDEN "tests/fixtures/garden/hub/models/garden/neox-tiny/"

/* The fixture's three layouts: whole tensor, its digest, and what reading it costs. */
static void test_garden_costs(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *file;
        uint64_t reads_max;
    } cases[] = {
        {GARDEN "step0", "model.safetensors", 2},
        {GARDEN "step1", "pytorch_model.bin", 4},
        {GARDEN "step128", "model-00004-of-00004.safetensors", 3},
    };
    char first[DIGEST_SHA256_HEX_SIZE] = "";
    for (size_t i = 0; i < 3; i++) {
        struct revision revision = {.folder = cases[i].folder};
        struct checkpoint_files files = files_of(&revision);
        struct checkpoint *checkpoint = NULL;
        struct checkpoint_tensor tensor = {0};
        struct err err = ERR_INIT;
        char hex[DIGEST_SHA256_HEX_SIZE];
        if (checkpoint_open(&files, &checkpoint, &err) ||
            checkpoint_find(checkpoint, "embed_out.weight", &tensor, &err))
            fail_msg("%s", err.message);
        assert_string_equal(tensor.file, cases[i].file);
        assert_int_equal(tensor.dtype, TENSOR_DTYPE_F16);
        assert_int_equal(tensor.size_bytes, 512 * 64 * 2);
        assert_true(tensor.is_contiguous);
        void *data = malloc(tensor.size_bytes);
        assert_int_equal(checkpoint_read(checkpoint, &tensor, data, tensor.size_bytes, &err), 0);
        assert_int_equal(digest_sha256_hex(data, tensor.size_bytes, hex, &err), 0);
        /* step1 serves step0's weights, in another format */
        if (i == 0)
            memcpy(first, hex, sizeof first);
        assert_int_equal(strcmp(hex, first) == 0, i < 2);
        if (revision.counts.bytes > tensor.size_bytes + tensor.size_bytes / 50 + 64 * KIB ||
            revision.counts.reads > cases[i].reads_max)
            fail_msg("%s: %d bytes in %d reads", cases[i].folder, (int)revision.counts.bytes,
                     (int)revision.counts.reads);
        free(data);
        checkpoint_close(checkpoint);
    }
}

/* A connection that breaks at any read is that error, not a malformed file. */
static void test_failing_reads(void **state)
{
    (void)state;
    static const char *const folders[] = {GARDEN "step0", GARDEN "step1", GARDEN "step128"};
    for (size_t i = 0; i < 3; i++) {
        int code = ERR_NETWORK;
        for (int reads = 0; code; reads++) {
            struct revision revision = {.folder = folders[i]};
            struct checkpoint_files files = files_of(&revision);
            struct checkpoint *checkpoint = NULL;
            struct checkpoint_tensor tensor = {0};
            struct err err = ERR_INIT;
            char data[512 * 64 * 2];
            revision.counts.fail_after = reads;
            code = checkpoint_open(&files, &checkpoint, &err);
            if (!code)
                code = checkpoint_find(checkpoint, "embed_out.weight", &tensor, &err);
            if (!code)
                code = checkpoint_read(checkpoint, &tensor, data, sizeof data, &err);
            checkpoint_close(checkpoint);
            assert_true(code == 0 || code == ERR_NETWORK);
            assert_true(reads < 10);
        }
    }
}

static void test_layout_choice(void **state)
{
    (void)state;
    struct revision revision = {0};
    struct checkpoint *checkpoint = NULL;
    struct err err = ERR_INIT;
    const struct bytes_tensor w = {"torch", "ByteStorage", "0", 8, 0, 1, {8}, {1}};
    struct checkpoint_files files = files_of(&revision);
    assert_int_equal(checkpoint_open(&files, &checkpoint, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "pytorch_model.bin.index.json"));
    add_safetensors(&revision, 0, "model.safetensors", "safe");
    add_torch(&revision, 1, "pytorch_model.bin", &w, 1);
    assert_int_equal(checkpoint_open(&files, &checkpoint, &err), 0);
    assert_string_equal(checkpoint_name(checkpoint, 0), "safe");
    checkpoint_close(checkpoint);
    revision.names[0] = NULL;
    assert_int_equal(checkpoint_open(&files, &checkpoint, &err), 0);
    assert_string_equal(checkpoint_name(checkpoint, 0), "torch");
    checkpoint_close(checkpoint);
    revision_done(&revision);
}

static void test_shards_open_lazily(void **state)
{
    (void)state;
    struct revision revision = {0};
    struct checkpoint_files files = files_of(&revision);
    struct checkpoint *checkpoint = NULL;
    struct checkpoint_tensor tensor = {0};
    struct err err = ERR_INIT;
    add_text(&revision, 0, "model.safetensors.index.json",
             "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\",\"gone\":\"3.safetensors\","
             "\"lie\":\"2.safetensors\"}}");
    add_safetensors(&revision, 1, "1.safetensors", "a");
    add_safetensors(&revision, 2, "2.safetensors", "b");
    assert_int_equal(checkpoint_open(&files, &checkpoint, &err), 0);
    assert_int_equal(revision.counts.opens, 1);
    assert_int_equal(checkpoint_name_count(checkpoint), 4);
    assert_string_equal(checkpoint_name(checkpoint, 1), "b");
    assert_int_equal(checkpoint_find(checkpoint, "b", &tensor, &err), 0);
    assert_string_equal(tensor.file, "2.safetensors");
    assert_int_equal(revision.counts.opens, 2);
    assert_int_equal(checkpoint_find(checkpoint, "b", &tensor, &err), 0);
    assert_int_equal(revision.counts.opens, 2);
    assert_int_equal(checkpoint_find(checkpoint, "c", &tensor, &err), ERR_NOT_FOUND);
    assert_string_equal(err.message, "no tensor is named c; there are 4");
    assert_int_equal(checkpoint_find(checkpoint, "goen", &tensor, &err), ERR_NOT_FOUND);
    assert_string_equal(err.message, "no tensor is named goen; did you mean \"gone\"?");
    assert_int_equal(checkpoint_find(checkpoint, "gone", &tensor, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "3.safetensors: named by the index"));
    assert_int_equal(checkpoint_find(checkpoint, "lie", &tensor, &err), ERR_MISMATCH);
    checkpoint_close(checkpoint);
    buf_free(&revision.contents[0]);
    add_text(&revision, 0, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../x\"}}");
    assert_int_equal(checkpoint_open(&files, &checkpoint, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "model.safetensors.index.json: weight_map"));
    revision_done(&revision);
}

/* Whoever names a tensor that is not there learns which may be meant, few of many and no long ones. */
static void test_names_that_may_be_meant(void **state)
{
    (void)state;
    static const struct {
        const char *map, *expected;
    } cases[] = {
        {"\"a.bias\":\"1.safetensors\",\"gpt_neox.embed_in.weight\":\"1.safetensors\",\"lm_head.weight\":\"1."
         "safetensors\"",
         "no tensor is named wte; those that are there include gpt_neox.embed_in.weight, lm_head.weight"},
        {"\"head1\":\"1.safetensors\",\"head2\":\"1.safetensors\",\"head3\":\"1.safetensors\",\"head4\":\"1."
         "safetensors\"",
         "no tensor is named wte; those that are there include head1, head2, head3"},
        {"\"l.0.wte_a\":\"1.safetensors\",\"l.1.wte_a\":\"1.safetensors\",\"l.10.wte_a\":\"1.safetensors\","
         "\"l.0.wte_b\":\"1.safetensors\",\"head\":\"1.safetensors\"",
         "no tensor is named wte; names with that in them include l.0.wte_a, l.0.wte_b"},
        {"\"head_____________________________________________________________________________\":\"1."
         "safetensors\"",
         "no tensor is named wte; those that are there include "
         "head________________________________________________________"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct revision revision = {0};
        struct checkpoint_files files = files_of(&revision);
        struct checkpoint *checkpoint = NULL;
        struct checkpoint_tensor tensor = {0};
        struct err err = ERR_INIT;
        char text[512];
        (void)snprintf(text, sizeof text, "{\"weight_map\":{%s}}", cases[i].map);
        add_text(&revision, 0, "model.safetensors.index.json", text);
        add_safetensors(&revision, 1, "1.safetensors", "a");
        assert_int_equal(checkpoint_open(&files, &checkpoint, &err), 0);
        assert_int_equal(checkpoint_find(checkpoint, "wte", &tensor, &err), ERR_NOT_FOUND);
        assert_string_equal(err.message, cases[i].expected);
        checkpoint_close(checkpoint);
        revision_done(&revision);
    }
}

/* Views over one storage: transposed, cut, shifted, empty, scalar; whole and by ranges. */
static void test_views(void **state)
{
    (void)state;
    static const struct {
        struct bytes_tensor tensor;
        const char *bytes;
        int is_contiguous;
    } cases[] = {
        {{"whole", "ByteStorage", "0", 8, 0, 2, {2, 4}, {4, 1}}, "abcdefgh", 1},
        {{"transposed", "ByteStorage", "0", 8, 0, 2, {4, 2}, {1, 4}}, "aebfcgdh", 0},
        {{"part", "ByteStorage", "0", 8, 2, 1, {3}, {1}}, "cde", 1},
        {{"every second", "ByteStorage", "0", 8, 1, 1, {4}, {2}}, "bdfh", 0},
        {{"scalar", "ByteStorage", "0", 8, 7, 0, {0}, {0}}, "h", 1},
        {{"empty", "ByteStorage", "1", 0, 0, 1, {0}, {1}}, "", 1},
        {{"empty of much", "ByteStorage", "0", 8, 99, 2, {0, 5}, {5, 1}}, "", 1},
        {{"rows twice", "ByteStorage", "0", 8, 0, 2, {2, 3}, {0, 1}}, "abcabc", 0},
    };
    struct revision revision = {0};
    struct checkpoint_files files = files_of(&revision);
    struct checkpoint *checkpoint = NULL;
    struct err err = ERR_INIT;
    struct bytes_tensor tensors[8];
    for (size_t i = 0; i < 8; i++)
        tensors[i] = cases[i].tensor;
    add_torch(&revision, 0, "pytorch_model.bin", tensors, 8);
    if (checkpoint_open(&files, &checkpoint, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < 8; i++) {
        struct checkpoint_tensor tensor = {0};
        char data[9] = "", part[2] = "";
        assert_int_equal(checkpoint_find(checkpoint, tensors[i].name, &tensor, &err), 0);
        assert_int_equal(tensor.size_bytes, strlen(cases[i].bytes));
        assert_int_equal(tensor.is_contiguous, cases[i].is_contiguous);
        checkpoint_will_need(checkpoint, &tensor);
        assert_int_equal(checkpoint_read(checkpoint, &tensor, data, tensor.size_bytes, &err), 0);
        assert_string_equal(data, cases[i].bytes);
        for (size_t at = 0; at < tensor.size_bytes; at++) {
            assert_int_equal(checkpoint_read_range(checkpoint, &tensor, at, part, 1, &err), 0);
            assert_int_equal(part[0], data[at]);
        }
        assert_int_equal(checkpoint_read_range(checkpoint, &tensor, tensor.size_bytes, part, 1, &err),
                         ERR_INVALID);
        assert_int_equal(checkpoint_read(checkpoint, &tensor, data, tensor.size_bytes + 1, &err),
                         ERR_INVALID);
        assert_null(checkpoint_map(checkpoint, &tensor));
        struct source *source = NULL;
        uint64_t offset = 0;
        assert_int_equal(checkpoint_locate(checkpoint, &tensor, &source, &offset), cases[i].is_contiguous);
        (void)memset(data, 0, sizeof data);
        if (cases[i].is_contiguous)
            assert_int_equal(source_read(source, offset, data, tensor.size_bytes, &err), 0);
        assert_string_equal(data, cases[i].is_contiguous ? cases[i].bytes : "");
    }
    checkpoint_close(checkpoint);
    revision_done(&revision);
}

/* A tensor that claims more than its storage holds is refused alone; its neighbours are read. */
static void test_repeating_elements(void **state)
{
    (void)state;
    struct revision revision = {0};
    struct checkpoint_files files = files_of(&revision);
    struct checkpoint *checkpoint = NULL;
    struct checkpoint_tensor tensor = {0};
    struct err err = ERR_INIT;
    const struct bytes_tensor tensors[] = {
        {"huge", "ByteStorage", "0", 8, 0, 2, {INT64_C(1) << 40, 8}, {0, 1}},
        {"w", "ByteStorage", "0", 8, 0, 1, {8}, {1}},
    };
    add_torch(&revision, 0, "pytorch_model.bin", tensors, 2);
    assert_int_equal(checkpoint_open(&files, &checkpoint, &err), 0);
    assert_int_equal(checkpoint_find(checkpoint, "huge", &tensor, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "repeat in memory"));
    assert_int_equal(checkpoint_find(checkpoint, "w", &tensor, &err), 0);
    checkpoint_close(checkpoint);
    revision_done(&revision);
}

/* So is one of a dtype that this program does not know. */
static void test_foreign_dtype(void **state)
{
    (void)state;
    static const char file[] = "\x75\0\0\0\0\0\0\0"
                               "{\"new\":{\"dtype\":\"F8_E3M4\",\"shape\":[2],\"data_offsets\":[0,2]},"
                               "\"w\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[2,4]}}    "
                               "abcd";
    struct source *source = NULL;
    struct checkpoint *checkpoint = NULL;
    struct checkpoint_tensor tensor = {0};
    struct err err = ERR_INIT;
    char data[2];
    assert_int_equal(source_open_memory("x", file, sizeof file - 1, &source, &err), 0);
    if (one_file_open("model.safetensors", source, &checkpoint, &err))
        fail_msg("%s", err.message);
    assert_int_equal(checkpoint_name_count(checkpoint), 2);
    assert_int_equal(checkpoint_find(checkpoint, "new", &tensor, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "tensor new: its dtype or form (F8_E3M4) is not read here"));
    assert_int_equal(checkpoint_find(checkpoint, "w", &tensor, &err), 0);
    assert_int_equal(checkpoint_read(checkpoint, &tensor, data, sizeof data, &err), 0);
    assert_memory_equal(data, "cd", 2);
    checkpoint_close(checkpoint);
}

/* Files in memory: contiguous tensors in place. */
static void test_mapped_files(void **state)
{
    (void)state;
    struct revision revision = {0};
    const struct bytes_tensor tensors[] = {
        {"w", "ByteStorage", "0", 8, 2, 1, {3}, {1}},
        {"t", "ByteStorage", "0", 8, 0, 2, {4, 2}, {1, 4}},
    };
    add_safetensors(&revision, 0, "x", "w");
    add_torch(&revision, 1, "y", tensors, 2);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "pytorch_model.bin" : "model.safetensors";
        struct source *source = NULL;
        struct checkpoint *checkpoint = NULL;
        struct checkpoint_tensor tensor = {0};
        struct err err = ERR_INIT;
        char data[9] = "";
        assert_int_equal(
            source_open_memory(name, revision.contents[i].data, revision.contents[i].size, &source, &err), 0);
        if (one_file_open(name, source, &checkpoint, &err) || checkpoint_find(checkpoint, "w", &tensor, &err))
            fail_msg("%s", err.message);
        assert_string_equal(tensor.file, name);
        const void *map = checkpoint_map(checkpoint, &tensor);
        assert_non_null(map);
        assert_memory_equal(map, i ? "cde" : "abc", 3);
        if (i) {
            assert_int_equal(checkpoint_find(checkpoint, "t", &tensor, &err), 0);
            assert_null(checkpoint_map(checkpoint, &tensor));
            assert_int_equal(checkpoint_read(checkpoint, &tensor, data, 8, &err), 0);
            assert_string_equal(data, "aebfcgdh");
        }
        checkpoint_close(checkpoint);
    }
    revision_done(&revision);
    struct source *source = NULL;
    struct checkpoint *checkpoint = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(source_open_memory("z", "hello", 5, &source, &err), 0);
    assert_int_equal(one_file_open("pytorch_model.bin", source, &checkpoint, &err), ERR_FORMAT);
    assert_int_equal(source_open_memory("z", "", 0, &source, &err), 0);
    assert_int_equal(one_file_open("model.safetensors", source, &checkpoint, &err), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_garden_costs),
        cmocka_unit_test(test_failing_reads),
        cmocka_unit_test(test_layout_choice),
        cmocka_unit_test(test_shards_open_lazily),
        cmocka_unit_test(test_names_that_may_be_meant),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_repeating_elements),
        cmocka_unit_test(test_foreign_dtype),
        cmocka_unit_test(test_mapped_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
