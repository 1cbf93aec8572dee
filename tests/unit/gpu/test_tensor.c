#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gpu/tensor.h"

#include <string.h>

static void test_dtypes(void **state)
{
    (void)state;
    for (int i = 0; i < TENSOR_DTYPE_COUNT; i++) {
        enum tensor_dtype dtype = (enum tensor_dtype)i, parsed = TENSOR_DTYPE_COUNT;
        struct err err = ERR_INIT;
        assert_int_equal(tensor_dtype_parse(tensor_dtype_name(dtype), &parsed, &err), 0);
        assert_int_equal(parsed, dtype);
        assert_int_equal(tensor_dtype_parse(tensor_dtype_safetensors_name(dtype), &parsed, &err), 0);
        assert_int_equal(parsed, dtype);
        assert_in_range(tensor_dtype_bits(dtype), 4, 64);
    }
    struct err err = ERR_INIT;
    enum tensor_dtype parsed;
    assert_int_equal(tensor_dtype_parse("F128", &parsed, &err), ERR_UNSUPPORTED);
    assert_int_equal(tensor_dtype_bits(TENSOR_DTYPE_BF16), 16);
    assert_string_equal(tensor_dtype_name(TENSOR_DTYPE_COUNT), "unknown");
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        enum tensor_dtype dtype;
        struct tensor_shape shape;
        int code;
        uint64_t size_bytes, rows, columns;
    } cases[] = {
        {TENSOR_DTYPE_F64, {0, {0}}, 0, 8, 1, 1},
        {TENSOR_DTYPE_F16, {1, {5}}, 0, 10, 1, 5},
        {TENSOR_DTYPE_F16, {2, {50304, 512}}, 0, 51511296, 50304, 512},
        {TENSOR_DTYPE_U8, {3, {2, 3, 4}}, 0, 24, 6, 4},
        {TENSOR_DTYPE_F32, {2, {0, 4}}, 0, 0, 0, 4},
        {TENSOR_DTYPE_F4, {1, {4}}, 0, 2, 1, 4},
        {TENSOR_DTYPE_F4, {1, {3}}, ERR_FORMAT, 0, 0, 0},
        {TENSOR_DTYPE_F6_E2M3, {1, {4}}, 0, 3, 1, 4},
        {TENSOR_DTYPE_U8, {2, {UINT64_MAX, 2}}, ERR_LIMIT, 0, 0, 0},
        {TENSOR_DTYPE_F64, {1, {UINT64_MAX / 8}}, ERR_LIMIT, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        uint64_t size_bytes = 0, rows = 0, columns = 0;
        int code = tensor_size_bytes(cases[i].dtype, &cases[i].shape, &size_bytes, &err);
        assert_int_equal(code, cases[i].code);
        assert_int_equal(size_bytes, cases[i].size_bytes);
        if (code)
            continue;
        tensor_matrix(&cases[i].shape, &rows, &columns);
        assert_int_equal(rows, cases[i].rows);
        assert_int_equal(columns, cases[i].columns);
    }
}

/* A vector is one row, and more dimensions are folded into rows. */
static void test_same_form(void **state)
{
    (void)state;
    const struct tensor_shape matrix = {2, {6, 4}}, folded = {3, {2, 3, 4}}, turned = {2, {4, 6}},
                              vector = {1, {4}}, row = {2, {1, 4}};
    assert_true(tensor_is_of_form(TENSOR_DTYPE_F16, &matrix, TENSOR_DTYPE_F16, &folded));
    assert_true(tensor_is_of_form(TENSOR_DTYPE_F16, &vector, TENSOR_DTYPE_F16, &row));
    assert_false(tensor_is_of_form(TENSOR_DTYPE_F16, &matrix, TENSOR_DTYPE_BF16, &matrix));
    assert_false(tensor_is_of_form(TENSOR_DTYPE_F16, &matrix, TENSOR_DTYPE_F16, &turned));
    assert_false(tensor_is_of_form(TENSOR_DTYPE_F16, &matrix, TENSOR_DTYPE_F16, &row));
}

static void test_format(void **state)
{
    (void)state;
    char text[64], cut[6];
    assert_string_equal(tensor_shape_format(&(struct tensor_shape){2, {50304, 512}}, text, sizeof text),
                        "[50304, 512]");
    assert_string_equal(tensor_shape_format(&(struct tensor_shape){0, {0}}, text, sizeof text), "[]");
    assert_int_equal(strlen(tensor_shape_format(&(struct tensor_shape){2, {50304, 512}}, cut, sizeof cut)),
                     5);
}

/* The last of three elements decides, wherever the bytes begin. */
static void test_finite(void **state)
{
    (void)state;
    static const struct {
        enum tensor_dtype dtype;
        uint32_t bits;
        int is_finite;
    } cases[] = {
        {TENSOR_DTYPE_F16, 0x7bff, 1},     {TENSOR_DTYPE_F16, 0x7c00, 0},
        {TENSOR_DTYPE_F16, 0xfe00, 0},     {TENSOR_DTYPE_BF16, 0x7f7f, 1},
        {TENSOR_DTYPE_BF16, 0xff80, 0},    {TENSOR_DTYPE_BF16, 0x7fc0, 0},
        {TENSOR_DTYPE_F32, 0x7f7fffff, 1}, {TENSOR_DTYPE_F32, 0xff800000U, 0},
        {TENSOR_DTYPE_F32, 0x7f800001, 0}, {TENSOR_DTYPE_BF16, 0x7c00, 1},
        {TENSOR_DTYPE_F32, 0x00007f80, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char bytes[1 + 3 * sizeof(uint32_t)] = {0};
        const size_t width = tensor_dtype_bits(cases[i].dtype) / 8;
        const struct tensor_view view = {cases[i].dtype, {2, {3, 1}}, bytes + 1};
        const struct tensor_view first = {cases[i].dtype, {1, {2}}, bytes + 1};
        memcpy(bytes + 1 + 2 * width, &cases[i].bits, width);
        assert_int_equal(tensor_is_finite(&view), cases[i].is_finite);
        assert_int_equal(tensor_is_finite(&first), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtypes), cmocka_unit_test(test_sizes),  cmocka_unit_test(test_same_form),
        cmocka_unit_test(test_format), cmocka_unit_test(test_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
