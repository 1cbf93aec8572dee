/* Counts, columns and samples as bytes: there and back, fixed bytes, everything that is no such thing. */
#include "daemon/analysis/encoding.h"

#include "daemon/analysis/sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/analysis/near.h"

static void round_trip(const uint64_t *counts, enum distribution_format format, int exponent)
{
    struct distribution distribution = {.format = format, .exponent = exponent, .counts = counts};
    struct buf buf;
    struct err err = ERR_INIT;
    enum distribution_format read_format = 0;
    int read_exponent = 0;
    uint64_t *read = calloc(DISTRIBUTION_CODES, sizeof(*read));
    buf_init(&buf, ENCODING_COUNTS_BYTES_MAX);
    assert_int_equal(encoding_counts_write(&distribution, &buf, &err), 0);
    assert_int_equal(encoding_counts_read(buf.data, buf.size, &read_format, &read_exponent, read, &err), 0);
    assert_int_equal(read_format, format);
    assert_int_equal(read_exponent, exponent);
    assert_memory_equal(read, counts, DISTRIBUTION_CODES * sizeof(*read));
    for (size_t size = 0; size < buf.size && size < 2000;
         size++) { /* every prefix: no crash, no half result */
        int code = encoding_counts_read(buf.data, size, &read_format, &read_exponent, read, &err);
        assert_true(code == 0 || code == ERR_FORMAT || code == ERR_UNSUPPORTED);
    }
    buf_free(&buf);
    free(read);
}

static void test_counts(void **state)
{
    (void)state;
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof(*counts));
    round_trip(counts, DISTRIBUTION_FORMAT_F16, 0);
    counts[0] = UINT64_MAX;
    counts[1] = 1;
    counts[DISTRIBUTION_CODES - 1] = UINT64_MAX;
    round_trip(counts, DISTRIBUTION_FORMAT_F16_SCALED, -100);
    uint64_t seed = 3;
    for (size_t i = 0; i < DISTRIBUTION_CODES; i++) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        counts[i] = (seed >> 62) == 0 ? 0 : seed >> (20 + (seed >> 33) % 40);
    }
    round_trip(counts, DISTRIBUTION_FORMAT_BF16, 0);
    for (size_t i = 0; i < DISTRIBUTION_CODES; i++)
        counts[i] = i % 2 ? UINT64_MAX / 2 : 1; /* the longest bytes */
    round_trip(counts, DISTRIBUTION_FORMAT_F32_TOP, 14);
    free(counts);
}

/* The format is a promise: these bytes must stay readable. */
static void test_fixed_bytes(void **state)
{
    (void)state;
    const unsigned char bytes[] = {1, 1, 0, 0x80, 0x80, 0x02, 2, 6, 1};
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof(*counts));
    enum distribution_format format = 0;
    int exponent = 7;
    struct err err = ERR_INIT;
    assert_int_equal(encoding_counts_read(bytes, sizeof(bytes), &format, &exponent, counts, &err), 0);
    assert_int_equal(format, DISTRIBUTION_FORMAT_F16);
    assert_int_equal(exponent, 0);
    assert_int_equal(counts[0x8000], 3);
    assert_int_equal(counts[0x8001], 2);
    free(counts);
}

static void test_bad_counts(void **state)
{
    (void)state;
    const struct {
        unsigned char bytes[16];
        size_t size;
        int code;
    } cases[] = {
        {{0}, 0, ERR_FORMAT},
        {{2, 1, 0}, 3, ERR_UNSUPPORTED},                    /* a later version */
        {{1}, 1, ERR_FORMAT},                               /* no format */
        {{1, 9, 0}, 3, ERR_FORMAT},                         /* unknown format */
        {{1, 1, 0xff, 0xff, 0x03}, 5, ERR_FORMAT},          /* exponent */
        {{1, 1, 0, 0}, 4, ERR_FORMAT},                      /* half a run */
        {{1, 1, 0, 0, 0}, 5, ERR_FORMAT},                   /* an empty run */
        {{1, 1, 0, 0x81, 0x80, 0x04, 1, 2}, 8, ERR_FORMAT}, /* begins after the last code */
        {{1, 1, 0, 0, 0x81, 0x80, 0x04, 2}, 8, ERR_FORMAT}, /* ends after it */
        {{1, 1, 0, 0, 3, 2, 2}, 7, ERR_FORMAT},             /* a count is missing */
        {{1, 1, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
         15,
         ERR_FORMAT}, /* 2^70 */
    };
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof(*counts));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum distribution_format format = DISTRIBUTION_FORMAT_BF16;
        int exponent = 77;
        struct err err = ERR_INIT;
        assert_int_equal(
            encoding_counts_read(cases[i].bytes, cases[i].size, &format, &exponent, counts, &err),
            cases[i].code);
        assert_int_equal(format, DISTRIBUTION_FORMAT_BF16);
        assert_int_equal(exponent, 77);
        assert_true(err.message[0] != '\0');
    }
    free(counts);
}

static void test_columns(void **state)
{
    (void)state;
    const struct moments_sums columns[2] = {{.count = 4, .mean = 0.5, .m2 = 4, .m3 = 0, .m4 = 4},
                                            {.count = 0}};
    float means[2], deviations[2], bimodalities[2];
    struct buf buf;
    struct err err = ERR_INIT;
    size_t count = 0;
    buf_init(&buf, 1000);
    assert_int_equal(encoding_columns_write(columns, 2, &buf, &err), 0);
    assert_int_equal(
        encoding_columns_read(buf.data, buf.size, 2, means, deviations, bimodalities, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_true(means[0] == 0.5F && deviations[0] == 1.0F);
    assert_true(isnan(means[1]) && isnan(deviations[1]) && isnan(bimodalities[1]));
    assert_int_equal(encoding_columns_read(buf.data, buf.size, 2, NULL, NULL, NULL, &count, &err), 0);
    assert_int_equal(encoding_columns_read(buf.data, buf.size, 1, means, NULL, NULL, &count, &err),
                     ERR_LIMIT);
    assert_int_equal(encoding_columns_read(buf.data, buf.size - 1, 2, means, NULL, NULL, &count, &err),
                     ERR_FORMAT);
    buf_free(&buf);
}

static void test_sample(void **state)
{
    (void)state;
    float values[SAMPLE_COUNT], read[SAMPLE_COUNT];
    struct encoding_sample sample = {.seed = SAMPLE_SEED, .rows = 100, .columns = 100, .count = SAMPLE_COUNT},
                           back;
    struct buf buf;
    struct err err = ERR_INIT;
    uint64_t before = 0;
    assert_int_equal(sample_count(100, 100), SAMPLE_COUNT);
    assert_int_equal(sample_count(10, 7), 70);
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        uint64_t index = sample_index(SAMPLE_SEED, 100, 100, i);
        assert_true(index >= i * 10000 / SAMPLE_COUNT && index < (i + 1) * 10000 / SAMPLE_COUNT);
        assert_true(i == 0 || index > before);
        before = index;
        values[i] = (float)i;
    }
    for (size_t i = 0; i < 70; i++)
        assert_int_equal(sample_index(1, 10, 7, i), i);
    buf_init(&buf, 1U << 20);
    assert_int_equal(encoding_sample_write(&sample, values, &buf, &err), 0);
    assert_int_equal(encoding_sample_read(buf.data, buf.size, &back, read, &err), 0);
    assert_memory_equal(read, values, sizeof(read));
    assert_true(back.seed == SAMPLE_SEED && back.rows == 100 && back.columns == 100 &&
                back.count == SAMPLE_COUNT);
    assert_int_equal(encoding_sample_read(buf.data, buf.size - 1, &back, read, &err), ERR_FORMAT);
    struct sample_displacement displacement = sample_displacement_of(values, values, SAMPLE_COUNT);
    assert_near(displacement.msd, 0, 0);
    assert_near(displacement.cosine, 1, 1e-12);
    read[0] = (float)NAN;
    read[1] += 2;
    displacement = sample_displacement_of(values, read, SAMPLE_COUNT);
    assert_int_equal(displacement.count, SAMPLE_COUNT - 1);
    assert_near(displacement.msd, 4.0 / (SAMPLE_COUNT - 1), 1e-15);
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),  cmocka_unit_test(test_fixed_bytes), cmocka_unit_test(test_bad_counts),
        cmocka_unit_test(test_columns), cmocka_unit_test(test_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
