/* The CPU's passes: float16 conversions, every instruction set and number of threads bit by bit, values that
 * can be worked out by hand, unaligned data, elements that are not finite. */
#include "gpu/cpu/statistics.h"

#include "gpu/cpu/statistics_kernels.h"
#include "gpu/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/analysis/near.h"

static uint64_t seed = 1;

static uint32_t draw(void)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(seed >> 32);
}

static float draw_weight(void)
{
    return ((float)(draw() >> 16) + (float)(draw() >> 16) - 65536) * 1e-6F;
}

static void test_half(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float value = half_from_f16((uint16_t)bits);
        uint32_t expected = (bits & 0x7fff) > 0x7c00 ? bits | 0x200 : bits; /* NaNs become quiet */
        assert_int_equal(half_to_f16(value), expected);
        expected = (bits & 0x7fff) > 0x7f80 ? bits | 0x40 : bits;
        assert_int_equal(half_to_bf16(half_from_bf16((uint16_t)bits)), expected);
    }
    assert_int_equal(half_to_bf16(1 + 0x1p-8F), 0x3f80); /* a tie goes to even */
    assert_int_equal(half_to_bf16(1 + 0x1.8p-7F), 0x3f82);
    assert_int_equal(half_to_bf16(-1 - 0x1.2p-8F), 0xbf81);
    assert_int_equal(half_to_bf16(0x1.fffffep127F), 0x7f80); /* to infinity */
    assert_int_equal(half_to_bf16(half_float_of_bits(0x7f800001U)), 0x7fc0);
    assert_int_equal(half_to_f16(65519.0F), 0x7bff);
    assert_int_equal(half_to_f16(65520.0F), 0x7c00);
    assert_int_equal(half_to_f16(0x1p-25F), 0); /* a tie goes to even */
    assert_int_equal(half_to_f16(0x1.8p-25F), 1);
    assert_int_equal(half_to_f16(-0x1.8p-24F), 0x8002);
    assert_int_equal(half_to_f16(1 + 0x1p-11F), 0x3c00);
    assert_int_equal(half_to_f16(1 + 0x1.8p-10F), 0x3c02);
}

/* The instruction sets convert as the portable code does, for bits that are drawn. */
static void test_centre_kernels(void **state)
{
    (void)state;
    enum { COUNT = 509 };
    float row[COUNT], means[COUNT];
    uint16_t expected[COUNT], codes[COUNT];
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < COUNT; i++) {
            row[i] = half_float_of_bits(
                draw() & 0x8fffffffU ? (draw() & 0x807fffffU) | (100 + draw() % 45) << 23 : 0);
            means[i] = draw_weight();
        }
        statistics_kernels_of(CPU_ISA_PORTABLE, TENSOR_DTYPE_F32)
            ->centre((const unsigned char *)row, COUNT, means, 0.5F, expected);
        for (int isa = CPU_ISA_PORTABLE + 1; isa <= (int)cpu_isa_best(); isa++) {
            statistics_kernels_of((enum cpu_isa)isa, TENSOR_DTYPE_F32)
                ->centre((const unsigned char *)row, COUNT, means, 0.5F, codes);
            assert_memory_equal(codes, expected, sizeof(codes));
        }
    }
}

static void measure(int thread_count, enum cpu_isa isa, const struct statistics_request *request,
                    struct statistics_result *result)
{
    struct cpu_threads *threads = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(statistics_request_check(request, &err), 0);
    assert_int_equal(statistics_result_init(result, request->columns, &err), 0);
    assert_int_equal(cpu_threads_new(thread_count, &threads, &err), 0);
    assert_int_equal(cpu_statistics(threads, isa, request, result, &err), 0);
    cpu_threads_free(threads);
}

static void assert_same(const struct statistics_result *a, const struct statistics_result *b)
{
    assert_memory_equal(a->displacements, b->displacements, sizeof(a->displacements));
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
        const struct statistics_rows *x = &a->rows[set], *y = &b->rows[set];
        assert_memory_equal(x->counts, y->counts, STATISTICS_CODES * sizeof(*x->counts));
        assert_memory_equal(x->centred_counts, y->centred_counts, STATISTICS_CODES * sizeof(*x->counts));
        assert_memory_equal(x->columns, y->columns, a->columns * sizeof(*x->columns));
        assert_memory_equal(&x->minimum, &y->minimum, sizeof(x->minimum));
        assert_memory_equal(&x->mean, &y->mean, sizeof(x->mean));
        assert_int_equal(x->zero_count, y->zero_count);
    }
}

/* Under the thread sanitizer each type once: which threads meet does not depend on shapes and values. */
#ifdef __SANITIZE_THREAD__
enum { ROUNDS = 3 };
#else
enum { ROUNDS = 12 };
#endif

static void test_variants(void **state)
{
    (void)state;
    const enum tensor_dtype dtypes[] = {TENSOR_DTYPE_F16, TENSOR_DTYPE_BF16, TENSOR_DTYPE_F32};
    for (int round = 0; round < ROUNDS; round++) {
        enum tensor_dtype dtype = dtypes[round % 3];
        size_t rows = 1 + draw() % 900, columns = 1 + draw() % 90, size = dtype == TENSOR_DTYPE_F32 ? 4 : 2;
        size_t elements = rows * columns;
        unsigned char *data = malloc(elements * size * 3 + 1);
        for (size_t i = 0; i < 3 * elements; i++) {
            float value = draw_weight();
            uint32_t bits = half_bits_of_float(value);
            uint16_t half = dtype == TENSOR_DTYPE_F16 ? half_to_f16(value) : (uint16_t)(bits >> 16);
            if (round > 6 && draw() % 500 == 0)
                bits = 0x7fc00000U, half = 0x7fff;
            memcpy(data + 1 + i * size, size == 4 ? (const void *)&bits : (const void *)&half, size);
        }
        const struct statistics_request request = {
            .dtype = dtype,
            .rows = rows,
            .columns = columns,
            .token_rows = 1 + draw() % rows,
            .data = data + 1,
            .reference_count = 2,
            .references = {data + 1 + elements * size, data + 1 + 2 * elements * size}};
        struct statistics_result first, other;
        measure(1, CPU_ISA_PORTABLE, &request, &first);
        for (int isa = CPU_ISA_PORTABLE; isa <= (int)cpu_isa_best(); isa++) {
            for (int threads = 1; threads <= 5; threads += 2) {
                measure(threads, (enum cpu_isa)isa, &request, &other);
                assert_same(&first, &other);
                statistics_result_free(&other);
            }
        }
        statistics_result_free(&first);
        free(data);
    }
}

/* Of the address sanitizer; absent without it. */
int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void *, size_t),
                                              void (*freed)(const volatile void *)) __attribute__((weak));

static atomic_size_t largest_bytes;

static void note_allocated(const volatile void *memory, size_t size)
{
    size_t largest = atomic_load(&largest_bytes);
    (void)memory;
    while (size > largest && !atomic_compare_exchange_weak(&largest_bytes, &largest, size)) {
    }
}

static void note_freed(const volatile void *memory)
{
    (void)memory;
}

/* float64 gives what float32 of it gives, and no copy of a tensor is made for that: nobody has counted it. */
static void test_wide(void **state)
{
    enum { ROWS = 700, COLUMNS = 1100, ELEMENTS = ROWS * COLUMNS };
    (void)state;
    double *wide = malloc(3 * ELEMENTS * sizeof *wide + 1);
    float *narrow = malloc(3 * ELEMENTS * sizeof *narrow);
    unsigned char *odd = (unsigned char *)wide + 1; /* no alignment is promised */
    for (size_t i = 0; i < 3 * (size_t)ELEMENTS; i++) {
        double value = (double)draw_weight() * (1 + 1e-9 * (draw() % 1000));
        if (draw() % 5000 == 0)
            value = draw() % 2 ? (double)NAN : 1e300; /* which float32 has no room for */
        memcpy(odd + i * sizeof value, &value, sizeof value);
        narrow[i] = (float)value;
    }
    struct statistics_request request = {.dtype = TENSOR_DTYPE_F32,
                                         .rows = ROWS,
                                         .columns = COLUMNS,
                                         .token_rows = ROWS - 9,
                                         .data = narrow,
                                         .reference_count = 2,
                                         .references = {narrow + ELEMENTS, narrow + 2 * ELEMENTS}};
    struct statistics_result expected, result;
    measure(1, CPU_ISA_PORTABLE, &request, &expected);
    request.dtype = TENSOR_DTYPE_F64;
    request.data = odd;
    for (int i = 0; i < 2; i++)
        request.references[i] = odd + (size_t)(i + 1) * ELEMENTS * sizeof *wide;
    if (__sanitizer_install_malloc_and_free_hooks)
        assert_true(__sanitizer_install_malloc_and_free_hooks(note_allocated, note_freed) > 0);
    for (int isa = CPU_ISA_PORTABLE; isa <= (int)cpu_isa_best(); isa++) {
        measure(3, (enum cpu_isa)isa, &request, &result);
        assert_same(&expected, &result);
        statistics_result_free(&result);
    }
    assert_in_range(atomic_load(&largest_bytes), 0, ELEMENTS * sizeof *narrow - 1);
    statistics_result_free(&expected);
    free(narrow);
    free(wide);
}

static void test_by_hand(void **state)
{
    (void)state;
    const float data[4][2] = {{1, -1}, {3, (float)NAN}, {5, 2}, {100, (float)INFINITY}};
    const float reference[4][2] = {{0, -1}, {0, 0}, {(float)INFINITY, 4}, {0, 0}};
    const struct statistics_request request = {.dtype = TENSOR_DTYPE_F32,
                                               .rows = 4,
                                               .columns = 2,
                                               .token_rows = 3,
                                               .data = data,
                                               .reference_count = 1,
                                               .references = {reference}};
    struct statistics_result result;
    measure(2, cpu_isa_best(), &request, &result);
    const struct statistics_rows *tokens = &result.rows[STATISTICS_ROW_SET_TOKENS];
    const struct statistics_rows *all = &result.rows[STATISTICS_ROW_SET_ALL];
    assert_int_equal(tokens->elements, 6);
    assert_int_equal(all->elements, 8);
    assert_int_equal(tokens->nan_count, 1);
    assert_int_equal(tokens->positive_inf_count, 0);
    assert_int_equal(all->positive_inf_count, 1);
    assert_near(tokens->minimum, -1, 0);
    assert_near(tokens->maximum, 5, 0);
    assert_near(all->maximum, 100, 0);
    assert_near(tokens->mean, 2, 1e-15);
    assert_int_equal(tokens->columns[0].count, 3);
    assert_int_equal(tokens->columns[1].count, 2);
    assert_near(tokens->columns[0].mean, 3, 0);
    assert_near(tokens->columns[0].m2, 8, 1e-15);
    assert_near(tokens->columns[1].m2, 4.5, 1e-15);
    assert_near(all->columns[0].mean, 27.25, 1e-14);
    assert_near(all->columns[0].m2, 7064.75, 1e-10);
    const struct statistics_displacement *displacement = &result.displacements[0][STATISTICS_ROW_SET_TOKENS];
    assert_int_equal(displacement->elements, 4); /* (1,0) (-1,-1) (3,0) (2,4) */
    assert_near(displacement->squared, 14, 1e-15);
    assert_near(displacement->dot, 9, 1e-15);
    assert_near(displacement->norm_squared, 15, 1e-15);
    assert_near(displacement->reference_norm_squared, 17, 1e-15);
    assert_int_equal(result.displacements[1][0].elements, 0);
    assert_int_equal(tokens->centred_counts[statistics_order_code(half_to_f16(-2))], 1);
    assert_int_equal(tokens->centred_counts[statistics_order_code(0x7e00)], 1);
    statistics_result_free(&result);
}

static void test_wrong_room(void **state)
{
    (void)state;
    const float data[2] = {0, 1};
    const struct statistics_request request = {
        .dtype = TENSOR_DTYPE_F32, .rows = 1, .columns = 2, .token_rows = 1, .data = data};
    struct statistics_result result;
    struct cpu_threads *threads = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(statistics_result_init(&result, 3, &err), 0);
    assert_int_equal(cpu_threads_new(1, &threads, &err), 0);
    assert_int_equal(cpu_statistics(threads, CPU_ISA_PORTABLE, &request, &result, &err), ERR_INVALID);
    cpu_threads_free(threads);
    statistics_result_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half),       cmocka_unit_test(test_centre_kernels),
        cmocka_unit_test(test_variants),   cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_wrong_room), cmocka_unit_test(test_wide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
