#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/safetensors.h"

#include <stdio.h>
#include <string.h>

#define TENSOR(name, dtype, shape, begin, end)                                                               \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

/* A whole file: the prefix, the header and data_size bytes. */
static int open_text(const char *header, size_t header_size, size_t data_size,
                     struct safetensors **ret_safetensors, struct err *err)
{
    struct buf file;
    struct source *source = NULL;
    buf_init(&file, 4 * MIB);
    for (int i = 0; i < 8; i++)
        (void)buf_append_char(&file, (char)((uint64_t)header_size >> (8 * i)));
    (void)buf_append(&file, header, header_size);
    for (size_t i = 0; i < data_size; i++)
        (void)buf_append_char(&file, (char)i);
    assert_int_equal(file.failed, 0);
    assert_int_equal(source_open_memory("x.safetensors", file.data, file.size, &source, err), 0);
    int code = safetensors_open(source, ret_safetensors, err);
    source_close(source);
    buf_free(&file);
    return code;
}

static void test_good_files(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data_size, count;
    } cases[] = {
        {"{}      ", 0, 0}, /* the reference reader's empty file */
        {"{" TENSOR("test", "I32", "[2,2]", "0", "16") "}", 16, 1},
        {"  {" TENSOR("test", "I32", "[2,2]", "0", "16") "}\n\t ", 16, 1},
        {"{" TENSOR("scalar", "F64", "[]", "0", "8") "}", 8, 1},
        {"{" TENSOR("empty", "F16", "[0,7]", "0", "0") "," TENSOR("b", "U8", "[3]", "0", "3") "}", 3, 2},
        {"{\"__metadata__\":{\"format\":\"pt\"}," TENSOR("z", "BF16", "[1]", "2",
                                                         "4") "," TENSOR("a", "F16", "[1]", "0", "2") "}",
         4, 2},
        {"{\"__metadata__\":null," TENSOR("\\u00e9", "F4", "[4]", "0", "2") "}", 2, 1},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"more\":{}}}", 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct safetensors *safetensors = NULL;
        struct err err = ERR_INIT;
        if (open_text(cases[i].header, strlen(cases[i].header), cases[i].data_size, &safetensors, &err))
            fail_msg("%s: %s", cases[i].header, err.message);
        assert_int_equal(safetensors->count, cases[i].count);
        safetensors_free(safetensors);
    }
}

static void test_places_and_order(void **state)
{
    (void)state;
    const char *header =
        "{" TENSOR("z", "F32", "[2,3]", "0", "24") "," TENSOR("a", "I8", "[5]", "24", "29") "}";
    struct safetensors *safetensors = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(open_text(header, strlen(header), 29, &safetensors, &err), 0);
    assert_string_equal(safetensors->tensors[0].name, "a");
    assert_int_equal(safetensors->tensors[0].offset, 8 + strlen(header) + 24);
    assert_int_equal(safetensors->tensors[0].size_bytes, 5);
    assert_string_equal(safetensors->tensors[1].name, "z");
    assert_int_equal(safetensors->tensors[1].offset, 8 + strlen(header));
    assert_int_equal(safetensors->tensors[1].dtype, TENSOR_DTYPE_F32);
    assert_int_equal(safetensors->tensors[1].shape.ndim, 2);
    assert_int_equal(safetensors->tensors[1].shape.dim[1], 3);
    safetensors_free(safetensors);
}

static void test_every_dtype(void **state)
{
    (void)state;
    for (int i = 0; i < TENSOR_DTYPE_COUNT; i++) {
        char header[200];
        struct safetensors *safetensors = NULL;
        struct err err = ERR_INIT;
        size_t size = 8 * tensor_dtype_bits((enum tensor_dtype)i) / 8;
        (void)snprintf(header, sizeof header, "{" TENSOR("t", "%s", "[8]", "0", "%zu") "}",
                       tensor_dtype_safetensors_name((enum tensor_dtype)i), size);
        assert_int_equal(open_text(header, strlen(header), size, &safetensors, &err), 0);
        assert_int_equal(safetensors->tensors[0].dtype, i);
        safetensors_free(safetensors);
    }
}

/* A dtype of a later version of the format: its tensor has bytes and nothing else that is known. */
static void test_foreign_dtype(void **state)
{
    (void)state;
    static const char header[] =
        "{" TENSOR("new", "F8_E3M4", "[3,5]", "4", "11") "," TENSOR("t", "F32", "[1]", "0", "4") "}";
    struct safetensors *safetensors = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(open_text(header, strlen(header), 11, &safetensors, &err), 0);
    assert_int_equal(safetensors->count, 2);
    assert_string_equal(safetensors->tensors[0].foreign_dtype, "F8_E3M4");
    assert_int_equal(safetensors->tensors[0].size_bytes, 7);
    assert_null(safetensors->tensors[1].foreign_dtype);
    assert_int_equal(safetensors->tensors[1].offset, 8 + strlen(header));
    safetensors_free(safetensors);
    err = (struct err)ERR_INIT;
    assert_int_equal(open_text(header, strlen(header), 10, &safetensors, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "truncated"));
}

/* The reference reader's own list of attacks and more: each is refused, each in its own words. */
static void test_hostile_headers(void **state)
{
    (void)state;
    static const struct {
        const char *name, *header;
        size_t data_size;
        int code;
        const char *says;
    } cases[] = {
        {"trailing bytes", "{" TENSOR("t", "I32", "[2,2]", "0", "16") "}", 18, ERR_FORMAT, "trailing bytes"},
        {"cut data", "{" TENSOR("t", "I32", "[2,2]", "0", "16") "}", 14, ERR_FORMAT, "truncated"},
        {"hole", "{" TENSOR("t", "U8", "[2]", "1", "3") "}", 3, ERR_FORMAT, "after a hole"},
        {"hole between", "{" TENSOR("a", "U8", "[1]", "0", "1") "," TENSOR("b", "U8", "[1]", "2", "3") "}", 3,
         ERR_FORMAT, "after a hole"},
        {"overlap", "{" TENSOR("a", "U8", "[4]", "0", "4") "," TENSOR("b", "U8", "[2]", "2", "4") "}", 4,
         ERR_FORMAT, "inside of another"},
        {"same bytes twice",
         "{" TENSOR("a", "U8", "[4]", "0", "4") "," TENSOR("b", "U8", "[4]", "0", "4") "}", 4, ERR_FORMAT,
         "inside of another"},
        {"shape too large", "{" TENSOR("t", "I32", "[2,3]", "0", "16") "}", 16, ERR_FORMAT, "needs 24"},
        {"shape too small", "{" TENSOR("t", "I32", "[2]", "0", "16") "}", 16, ERR_FORMAT, "needs 8"},
        {"overflowing product", "{" TENSOR("t", "F32", "[4294967296,4294967296,2]", "0", "16") "}", 16,
         ERR_LIMIT, "overflows"},
        {"overflowing size", "{" TENSOR("t", "F64", "[1152921504606846976,4]", "0", "16") "}", 16, ERR_LIMIT,
         "overflows"},
        {"size beyond int64", "{" TENSOR("t", "I32", "[2,18446744073709551614]", "0", "16") "}", 16,
         ERR_FORMAT, "than sizes"},
        {"end before begin", "{" TENSOR("t", "U8", "[0]", "8", "0") "}", 8, ERR_FORMAT,
         "end before they begin"},
        {"negative offset", "{" TENSOR("t", "U8", "[1]", "-1", "0") "}", 0, ERR_FORMAT,
         "not a pair of offsets"},
        {"far offset", "{" TENSOR("t", "U8", "[1]", "9223372036854775806", "9223372036854775807") "}", 1,
         ERR_FORMAT, "after a hole"},
        {"negative size", "{" TENSOR("t", "U8", "[-1]", "0", "0") "}", 0, ERR_FORMAT,
         "something else than sizes"},
        {"size as text", "{" TENSOR("t", "U8", "[\"1\"]", "0", "1") "}", 1, ERR_FORMAT,
         "something else than sizes"},
        {"size as fraction", "{" TENSOR("t", "U8", "[1.0]", "0", "1") "}", 1, ERR_FORMAT,
         "something else than sizes"},
        {"nine dimensions", "{" TENSOR("t", "U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1, ERR_LIMIT,
         "9 dimensions"},
        {"half a byte", "{" TENSOR("t", "F4", "[3]", "0", "2") "}", 2, ERR_FORMAT,
         "not a whole number of bytes"},
        {"dtype of nothing", "{" TENSOR("t", "", "[1]", "0", "16") "}", 16, ERR_UNSUPPORTED, "\"\""},
        {"dtype too long", "{" TENSOR("t", "F8_E4M3_AND_FAR_BEYOND", "[1]", "0", "16") "}", 16,
         ERR_UNSUPPORTED, "\"F8_E4M3_AND_FAR_BEYOND\""},
        {"dtype of numpy", "{" TENSOR("t", "float32", "[1]", "0", "4") "}", 4, ERR_UNSUPPORTED,
         "\"float32\""},
        {"dtype missing", "{\"t\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, ERR_FORMAT, "\"dtype\""},
        {"shape missing", "{\"t\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, ERR_FORMAT, "\"shape\""},
        {"offsets missing", "{\"t\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, ERR_FORMAT, "\"data_offsets\""},
        {"three offsets", "{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1, ERR_FORMAT,
         "\"data_offsets\""},
        {"tensor is a number", "{\"t\":1}", 0, ERR_FORMAT, "not an object"},
        {"name twice", "{" TENSOR("t", "U8", "[1]", "0", "1") "," TENSOR("t", "U8", "[1]", "1", "2") "}", 2,
         ERR_FORMAT, "duplicate"},
        {"empty name", "{" TENSOR("", "U8", "[1]", "0", "1") "}", 1, ERR_FORMAT, "empty name"},
        {"control character", "{" TENSOR("a\\nb", "U8", "[1]", "0", "1") "}", 1, ERR_FORMAT,
         "control character"},
        {"metadata of numbers", "{\"__metadata__\":{\"a\":1}}", 0, ERR_FORMAT, "than text"},
        {"metadata no object", "{\"__metadata__\":[]}", 0, ERR_FORMAT, "not an object"},
        {"not JSON", "hello", 0, ERR_FORMAT, "not JSON"},
        {"array", "[1]", 0, ERR_FORMAT, "not a JSON object"},
        {"cut JSON", "{\"t\":", 0, ERR_FORMAT, "not JSON"},
        {"not UTF-8", "{\"\xff\":{}}", 0, ERR_FORMAT, "not JSON"},
        {"two objects", "{}{}", 0, ERR_FORMAT, "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct safetensors *safetensors = NULL;
        struct err err = ERR_INIT;
        int code =
            open_text(cases[i].header, strlen(cases[i].header), cases[i].data_size, &safetensors, &err);
        if (code != cases[i].code || !strstr(err.message, cases[i].says) || safetensors)
            fail_msg("%s: code %d, \"%s\"", cases[i].name, code, err.message);
    }
}

static void test_hostile_prefixes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        int code;
        const char *says;
    } cases[] = {
        {"", 0, ERR_FORMAT, "too few"},
        {"\x08\0\0\0\0\0\0", 7, ERR_FORMAT, "too few"},
        {"\x08\0\0\0\0\0\0\0{}", 10, ERR_FORMAT, "truncated"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, ERR_LIMIT, "exceeds the limit"},
        {"\x00\xe1\xf5\x05\x01\0\0\0{}", 10, ERR_LIMIT, "exceeds the limit"},
        {"\0\0\0\0\0\0\0\0", 8, ERR_FORMAT, "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct safetensors *safetensors = NULL;
        struct source *source = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(source_open_memory("x", cases[i].bytes, cases[i].size, &source, &err), 0);
        int code = safetensors_open(source, &safetensors, &err);
        if (code != cases[i].code || !strstr(err.message, cases[i].says))
            fail_msg("case %zu: code %d, \"%s\"", i, code, err.message);
        source_close(source);
    }
}

/* A header longer than the first read, and some that hold nothing but commas or brackets. */
static void test_large_headers(void **state)
{
    (void)state;
    struct buf header;
    struct err err = ERR_INIT;
    struct safetensors *safetensors = NULL;
    buf_init(&header, 4 * MIB);
    (void)buf_append_text(&header, "{");
    for (int i = 0; i < 1000; i++)
        (void)buf_appendf(&header, "%s" TENSOR("layer.%04d", "U8", "[1]", "%d", "%d"), i ? "," : "", i, i,
                          i + 1);
    (void)buf_append_text(&header, "}");
    assert_int_equal(open_text(header.data, header.size, 1000, &safetensors, &err), 0);
    assert_int_equal(safetensors->count, 1000);
    assert_string_equal(safetensors->tensors[999].name, "layer.0999");
    safetensors_free(safetensors);
    buf_clear(&header);
    for (int i = 0; i <= LIMIT_TENSORS * 16; i++)
        (void)buf_append_char(&header, ',');
    assert_int_equal(safetensors_parse(header.data, header.size, UINT64_MAX, &safetensors, &err), ERR_LIMIT);
    buf_clear(&header);
    for (int i = 0; i <= LIMIT_TENSORS * 3 + 2; i++)
        (void)buf_append_char(&header, '[');
    assert_int_equal(safetensors_parse(header.data, header.size, UINT64_MAX, &safetensors, &err), ERR_LIMIT);
    buf_free(&header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_files),      cmocka_unit_test(test_places_and_order),
        cmocka_unit_test(test_every_dtype),     cmocka_unit_test(test_foreign_dtype),
        cmocka_unit_test(test_hostile_headers), cmocka_unit_test(test_hostile_prefixes),
        cmocka_unit_test(test_large_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
