#include "tests/unit/base/fixture.h"

#include "daemon/base/protobuf.h"

static struct protobuf_reader reader_of(const void *data, size_t size)
{
    return (struct protobuf_reader){.data = data, .size = size};
}

static void test_fields(void **state)
{
    (void)state;
    static const unsigned char bytes[] = {
        0x08, 0x96, 0x01,                                                 /* 1: 150 */
        0x12, 0x02, 'h',  'i',                                            /* 2: "hi" */
        0x1D, 0x00, 0x00, 0xC0, 0xBF,                                     /* 3: -1.5 */
        0x21, 1,    0,    0,    0,    0,    0,    0,    0x80,             /* 4: eight bytes */
        0x28, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, /* 5: -1 */
        0xFA, 0xFF, 0xFF, 0xFF, 0x0F, 0x00,                               /* the largest number, empty */
    };
    struct err err = ERR_INIT;
    struct protobuf_field field;
    struct protobuf_reader reader = reader_of(bytes, sizeof bytes);
    assert_int_equal(protobuf_next(&reader, &field, &err), 1);
    assert_true(field.number == 1 && field.wire == PROTOBUF_VARINT && field.value == 150);
    assert_int_equal(protobuf_next(&reader, &field, &err), 1);
    assert_true(field.number == 2 && field.wire == PROTOBUF_BYTES && field.size == 2);
    assert_memory_equal(field.data, "hi", 2);
    assert_int_equal(protobuf_next(&reader, &field, &err), 1);
    assert_true(field.number == 3 && field.wire == PROTOBUF_FIXED32);
    assert_true(protobuf_float(&field) == -1.5F);
    assert_int_equal(protobuf_next(&reader, &field, &err), 1);
    assert_true(field.number == 4 && field.wire == PROTOBUF_FIXED64 && field.value == 0x8000000000000001U);
    assert_int_equal(protobuf_next(&reader, &field, &err), 1);
    assert_true(field.number == 5 && field.value == UINT64_MAX);
    assert_int_equal(protobuf_next(&reader, &field, &err), 1);
    assert_true(field.number == (1U << 29) - 1 && field.size == 0);
    assert_int_equal(protobuf_next(&reader, &field, &err), 0);
}

static void test_broken(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *words;
    } cases[] = {
        {"\x08\x01\x08", 3, "a number that does not end at byte 3"},
        {"\x80", 1, "a number that does not end at byte 0"},
        {"\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 11, "a number of more than 64 bits at byte 1"},
        {"\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x81\x01", 12, "a number of more than 64 bits at byte 1"},
        {"\x00\x01", 2, "a field without a number at byte 0"},
        {"\x80\x80\x80\x80\x10\x01", 6, "a field without a number at byte 0"},
        {"\x0D\x01\x02\x03", 4, "a number that does not end at byte 1"},
        {"\x09\x01\x02\x03\x04\x05\x06\x07", 8, "a number that does not end at byte 1"},
        {"\x08\x01\x0A\x02x", 5, "a length beyond the end at byte 3"},
        {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11, "a length beyond the end at byte 1"},
        {"\x0B", 1, "a field of an unknown kind at byte 0"},
        {"\x08\x01\x0F", 3, "a field of an unknown kind at byte 2"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = ERR_INIT;
        struct protobuf_field field;
        struct protobuf_reader reader = reader_of(cases[i].bytes, cases[i].size);
        int found;
        while ((found = protobuf_next(&reader, &field, &err)) > 0)
            ;
        assert_int_equal(found, -1);
        assert_int_equal(err.code, ERR_FORMAT);
        assert_string_equal(err.message, cases[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
