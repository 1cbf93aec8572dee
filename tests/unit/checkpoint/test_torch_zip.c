#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/checkpoint/torch_zip.h"
#include "tests/unit/checkpoint/bytes.h"

#include <stdio.h>

/* The records of a file with one tensor "w" of four halves, which a test may change. */
struct parts {
    struct buf pickle;
    struct bytes_record records[6];
    size_t count;
};

static void parts_init(struct parts *parts)
{
    *parts = (struct parts){.count = 4};
    buf_init(&parts->pickle, MIB);
    pickle_begin(&parts->pickle);
    pickle_tensor(&parts->pickle, &(struct bytes_tensor){"w", "HalfStorage", "0", 4, 1, 1, {3}, {1}});
    pickle_end(&parts->pickle);
    parts->records[0] =
        (struct bytes_record){.name = "m/data.pkl", .data = parts->pickle.data, .size = parts->pickle.size};
    parts->records[1] = (struct bytes_record){.name = "m/byteorder", .data = "little", .size = 6};
    parts->records[2] = (struct bytes_record){.name = "m/data/0", .data = "abcdefgh", .size = 8};
    parts->records[3] = (struct bytes_record){.name = "m/version", .data = "3\n", .size = 2};
}

/* Opens a file and reads "w" into text. */
static int open_and_read(const void *data, size_t size, char *text, struct err *err)
{
    struct source *source = NULL;
    struct torch_zip *torch_zip = NULL;
    uint64_t offset = 0;
    assert_int_equal(source_open_memory("x.bin", data, size, &source, err), 0);
    int code = torch_zip_open(source, STATE_DICT_FORM_PLAIN, &torch_zip, err);
    if (!code) {
        assert_int_equal(torch_zip_state_dict(torch_zip)->count, 1);
        code = torch_zip_locate(torch_zip, &torch_zip_state_dict(torch_zip)->tensors[0], &offset, err);
    }
    if (!code)
        code = torch_zip_read(torch_zip, offset, text, 6, err);
    torch_zip_close(torch_zip);
    source_close(source);
    return code;
}

static int build_and_read(const struct parts *parts, char *text, struct err *err)
{
    struct buf file;
    buf_init(&file, MIB);
    bytes_zip_build(&file, parts->records, parts->count, NULL);
    int code = open_and_read(file.data, file.size, text, err);
    buf_free(&file);
    return code;
}

static void expect(const struct parts *parts, int code, const char *says)
{
    struct err err = ERR_INIT;
    char text[7] = "";
    int got = build_and_read(parts, text, &err);
    if (got != code || !strstr(err.message, says))
        fail_msg("expected \"%s\", got code %d, \"%s\"", says, got, err.message);
    if (!code)
        assert_string_equal(text, "cdefgh");
}

static void test_good_files(void **state)
{
    (void)state;
    struct parts parts;
    parts_init(&parts);
    expect(&parts, 0, "");
    parts.records[1] = (struct bytes_record){.name = "m/.format_version", .data = "1", .size = 1};
    expect(&parts, 0, ""); /* no byteorder: torch before 2.1 */
    parts.records[3].data = "10";
    expect(&parts, 0, "");
    parts.records[3].data = "1\n";
    expect(&parts, 0, "");
    buf_free(&parts.pickle);
}

static void test_refused_files(void **state)
{
    (void)state;
    struct parts good, parts;
    parts_init(&good);
    parts = good;
    parts.records[1].data = "big   ";
    expect(&parts, ERR_UNSUPPORTED, "big-endian");
    parts = good;
    parts.records[3].data = "11";
    expect(&parts, ERR_UNSUPPORTED, "format version \"11\"");
    parts = good;
    parts.records[3].data = "0\n";
    expect(&parts, ERR_UNSUPPORTED, "format version \"0\"");
    parts.records[3].data = "x\n";
    expect(&parts, ERR_UNSUPPORTED, "format version \"x\"");
    parts = good;
    parts.count = 3;
    expect(&parts, ERR_UNSUPPORTED, "format version \"\"");
    parts = good;
    parts.records[2].size = 7;
    expect(&parts, ERR_FORMAT, "has 7 bytes where its storage needs 8");
    parts = good;
    parts.records[2].data = "abcdefghi";
    parts.records[2].size = 9;
    expect(&parts, ERR_FORMAT, "has 9 bytes where its storage needs 8");
    parts = good;
    parts.records[2].name = "m/data/1";
    expect(&parts, ERR_FORMAT, "there is no record data/0");
    parts = good;
    parts.records[0].name = "m/x.pkl";
    expect(&parts, ERR_FORMAT, "without data.pkl");
    parts = good;
    parts.records[0].data = "";
    parts.records[0].size = 0;
    expect(&parts, ERR_FORMAT, "data.pkl is empty");
    parts = good;
    parts.records[4] = (struct bytes_record){.name = "m/constants.pkl", .data = "x", .size = 1};
    parts.count = 5;
    expect(&parts, ERR_UNSUPPORTED, "TorchScript");
    parts = good; /* what is wrong with an archive is said as it is */
    parts.records[3].name = "version";
    expect(&parts, ERR_FORMAT, "\"version\" is outside the archive's folder");
    parts = good;
    parts.records[3].name = "m/data/0";
    expect(&parts, ERR_FORMAT, "m/data/0 occurs twice");
    parts = good;
    parts.records[0].data = "\x80\2cos\nsystem\n.";
    parts.records[0].size = 14;
    expect(&parts, ERR_UNSUPPORTED, "os.system is not allowed");
    buf_free(&good.pickle);
}

/* What is no zip archive is named for what it is. */
static void test_relatives(void **state)
{
    (void)state;
    static const char tar[1024] = {[257] = 'u', 's', 't', 'a', 'r'};
    static const struct {
        const char *data;
        size_t size;
        int code;
        const char *says;
    } cases[] = {
        {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15, ERR_UNSUPPORTED, "before 1.6"},
        {tar, sizeof tar, ERR_UNSUPPORTED, "tar format"},
        {"\x80\x02}.", 4, ERR_UNSUPPORTED, "bare pickle"},
        {"\x1f\x8b\x08", 3, ERR_UNSUPPORTED, "gzip"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, ERR_UNSUPPORTED, "Git LFS pointer"},
        {"GGUF\3\0\0\0", 8, ERR_UNSUPPORTED, "GGUF"},
        {"<html>", 6, ERR_UNSUPPORTED, "web page"},
        {"PK\3\4....", 8, ERR_FORMAT, "truncated"},
        {"", 0, ERR_FORMAT, "no zip archive"},
        {"hello", 5, ERR_FORMAT, "no zip archive"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        char text[7];
        int code = open_and_read(cases[i].data, cases[i].size, text, &err);
        if (code != cases[i].code || !strstr(err.message, cases[i].says))
            fail_msg("case %zu: code %d, \"%s\"", i, code, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_files),
        cmocka_unit_test(test_refused_files),
        cmocka_unit_test(test_relatives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
