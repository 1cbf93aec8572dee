#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/checkpoint/archive.h"
#include "daemon/checkpoint/archive_end.h"
#include "tests/unit/checkpoint/bytes.h"

#include <stdio.h>

/* Opens an archive in memory and reads the record of a name, which must be "abc". */
static int open_and_read(const struct buf *file, const char *name, struct err *err)
{
    struct source *source = NULL;
    struct archive *archive = NULL;
    char text[4] = "";
    assert_int_equal(source_open_memory("x.bin", file->data, file->size, &source, err), 0);
    int code = archive_open(source, &archive, err);
    if (!code) {
        struct archive_record *record = archive_find(archive, name);
        assert_non_null(record);
        code = archive_locate(archive, record, err);
        if (!code)
            code = archive_read(archive, record->offset, text, 3, err);
        if (!code)
            assert_string_equal(text, "abc");
    }
    archive_close(archive);
    source_close(source);
    return code;
}

static void test_good_archives(void **state)
{
    (void)state;
    static const struct bytes_record records[] = {
        {.name = "m/data.pkl", .data = "abc", .size = 3},
        {.name = "m/data/0", .data = "", .size = 0},
        {.name = "m/.data/id", .data = "PK\5\6PK\1\2PK\3\4", .size = 12}, /* looks like headers, is data */
    };
    static const struct bytes_zip zips[] = {{0}, {.is_zip64 = 1}};
    for (size_t i = 0; i < 2; i++) {
        struct buf file;
        struct err err = ERR_INIT;
        buf_init(&file, MIB);
        bytes_zip_build(&file, records, 3, &zips[i]);
        if (open_and_read(&file, "data.pkl", &err))
            fail_msg("case %zu: %s", i, err.message);
        buf_free(&file);
    }
}

/* A directory longer than the first read of the file's end, and records far away from each other. */
static void test_many_records(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static struct bytes_record records[COUNT];
    static char names[COUNT][32];
    struct buf file;
    struct err err = ERR_INIT;
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof names[i], "archive/data/%d", i);
        records[i] = (struct bytes_record){.name = names[i], .data = "abc", .size = 3};
    }
    buf_init(&file, 4 * MIB);
    bytes_zip_build(&file, records, COUNT, NULL);
    if (open_and_read(&file, "data/0", &err) || open_and_read(&file, "data/1499", &err) ||
        open_and_read(&file, "data/2999", &err))
        fail_msg("%s", err.message);
    buf_free(&file);
}

static const struct {
    const char *name;
    struct bytes_record records[3];
    size_t count;
    struct bytes_zip zip;
    int code;
    const char *says;
} hostiles[] = {
    {"deflated",
     {{.name = "m/a", .data = "abc", .size = 3, .method = 8}},
     1,
     {0},
     ERR_UNSUPPORTED,
     "compressed"},
    {"zip bomb",
     {{.name = "m/a", .data = "abc", .size = 3, .method = 8, .central_size = 1 << 30, .compressed_size = 3}},
     1,
     {0},
     ERR_UNSUPPORTED,
     "compressed"},
    {"two sizes",
     {{.name = "m/a", .data = "abc", .size = 3, .compressed_size = 2}},
     1,
     {0},
     ERR_UNSUPPORTED,
     "compressed"},
    {"encrypted",
     {{.name = "m/a", .data = "abc", .size = 3, .flags = 1}},
     1,
     {0},
     ERR_UNSUPPORTED,
     "encrypted"},
    {"larger than the file",
     {{.name = "m/a", .data = "abc", .size = 3, .central_size = 1000}},
     1,
     {0},
     ERR_FORMAT,
     "overlaps the zip directory"},
    {"into the next record",
     {{.name = "m/a", .data = "abc", .size = 3, .central_size = 20},
      {.name = "m/b", .data = "abc", .size = 3}},
     2,
     {0},
     ERR_FORMAT,
     "m/a overlaps another"},
    {"into the next record by two bytes",
     {{.name = "m/a", .data = "abc", .size = 3, .central_size = 5},
      {.name = "m/b", .data = "abc", .size = 3}},
     2,
     {0},
     ERR_FORMAT,
     "m/a overlaps what follows it"},
    {"name with ..", {{.name = "m/../a", .data = "abc", .size = 3}}, 1, {0}, ERR_FORMAT, "outside"},
    {"absolute name", {{.name = "/m/a", .data = "abc", .size = 3}}, 1, {0}, ERR_FORMAT, "outside"},
    {"no folder", {{.name = "a", .data = "abc", .size = 3}}, 1, {0}, ERR_FORMAT, "outside"},
    {"a folder as record", {{.name = "m/", .data = "", .size = 0}}, 1, {0}, ERR_FORMAT, "outside"},
    {"backslash", {{.name = "m/..\\a", .data = "abc", .size = 3}}, 1, {0}, ERR_FORMAT, "outside"},
    {"name twice",
     {{.name = "m/a", .data = "abc", .size = 3}, {.name = "m/a", .data = "xyz", .size = 3}},
     2,
     {0},
     ERR_FORMAT,
     "occurs twice"},
    {"two folders",
     {{.name = "m/a", .data = "abc", .size = 3}, {.name = "n/b", .data = "xyz", .size = 3}},
     2,
     {0},
     ERR_FORMAT,
     "second folder"},
    {"other local name",
     {{.name = "m/a", .data = "abc", .size = 3, .local_name = "m/b"}},
     1,
     {0},
     ERR_FORMAT,
     "bears another name"},
    {"longer local name",
     {{.name = "m/a", .data = "abc", .size = 3, .local_name = "m/aa"}},
     1,
     {0},
     ERR_FORMAT,
     "bears another name"},
    {"two records on one header",
     {{.name = "m/b", .data = "abc", .size = 3},
      {.name = "m/a", .data = "xyz", .size = 3, .header_offset = 1}},
     2,
     {0},
     ERR_FORMAT,
     "overlaps another"},
    {"no local header",
     {{.name = "m/a",
       .data = "abcdefghijklmnopqrstuvwxyz0123456789abcdefgh",
       .size = 44,
       .central_size = 20,
       .header_offset = 10}},
     1,
     {0},
     ERR_FORMAT,
     "no local header"},
    {"header in the directory",
     {{.name = "m/a", .data = "abc", .size = 3, .header_offset = 44}},
     1,
     {0},
     ERR_FORMAT,
     ""},
    {"header outside of the file",
     {{.name = "m/a", .data = "abc", .size = 3, .header_offset = 100000}},
     1,
     {0},
     ERR_FORMAT,
     ""},
    {"comment",
     {{.name = "m/a", .data = "abc", .size = 3}},
     1,
     {.comment = "hello"},
     ERR_FORMAT,
     "end record"},
    {"trailing bytes",
     {{.name = "m/a", .data = "abc", .size = 3}},
     1,
     {.trailing = "more"},
     ERR_FORMAT,
     "end record is missing"},
    {"one record too many",
     {{.name = "m/a", .data = "abc", .size = 3}},
     1,
     {.extra_records = 1},
     ERR_FORMAT,
     ""},
    {"one record too few",
     {{.name = "m/a", .data = "abc", .size = 3}, {.name = "m/b", .data = "abc", .size = 3}},
     2,
     {.extra_records = -1},
     ERR_FORMAT,
     ""},
    {"directory moved",
     {{.name = "m/a", .data = "abc", .size = 3}},
     1,
     {.directory_shift = -1},
     ERR_FORMAT,
     "does not end where"},
    {"zip64 directory moved",
     {{.name = "m/a", .data = "abc", .size = 3}},
     1,
     {.is_zip64 = 1, .directory_shift = 1},
     ERR_FORMAT,
     "does not end where"},
    {"zip64 far away",
     {{.name = "m/a", .data = "abc", .size = 3}},
     1,
     {.is_zip64 = 1, .directory_shift = INT64_MIN},
     ERR_FORMAT,
     "does not end where"},
    {"too many records",
     {{.name = "m/a", .data = "abc", .size = 3}},
     1,
     {.is_zip64 = 1, .extra_records = 1000000},
     ERR_LIMIT,
     "limits"},
    {"second disk", {{.name = "m/a", .data = "abc", .size = 3}}, 1, {.disk = 1}, ERR_UNSUPPORTED, "disks"},
    {"empty archive", {{0}}, 0, {0}, ERR_FORMAT, "0 records"},
};

static void test_hostile_archives(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostiles / sizeof hostiles[0]; i++) {
        struct buf file;
        struct err err = ERR_INIT;
        buf_init(&file, MIB);
        bytes_zip_build(&file, hostiles[i].records, hostiles[i].count, &hostiles[i].zip);
        int code = open_and_read(&file, "a", &err);
        if (code != hostiles[i].code || !strstr(err.message, hostiles[i].says))
            fail_msg("%s: code %d, \"%s\"", hostiles[i].name, code, err.message);
        buf_free(&file);
    }
}

/* One record lies inside of another's bytes, complete with a header of its own. */
static void test_nested_records(void **state)
{
    (void)state;
    struct buf inner, file;
    struct err err = ERR_INIT;
    buf_init(&inner, MIB);
    buf_init(&file, MIB);
    const struct bytes_record hidden[] = {{.name = "m/b", .data = "abc", .size = 3}};
    bytes_zip_build(&inner, hidden, 1, NULL);
    const struct bytes_record records[] = {
        {.name = "m/a", .data = inner.data, .size = inner.size},
        {.name = "m/b", .data = "abc", .size = 3, .header_offset = 1 + 30 + 3 + 7},
    };
    bytes_zip_build(&file, records, 2, NULL);
    assert_int_equal(open_and_read(&file, "b", &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "m/a overlaps another"));
    buf_free(&file);
    buf_free(&inner);
}

/* -- An archive of more than 4 GiB, most of it zeros that are nowhere stored ----------------------- */

#define HOLE_BYTES (UINT64_C(5) << 30)

struct sparse_source {
    struct source source;
    struct buf head, tail; /* before and behind the hole */
};

static int sparse_read(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    const struct sparse_source *sparse = (const struct sparse_source *)source;
    (void)err;
    for (size_t i = 0; i < size; i++, offset++) {
        uint64_t tail = sparse->head.size + HOLE_BYTES;
        char byte = 0;
        if (offset < sparse->head.size)
            byte = sparse->head.data[offset];
        else if (offset >= tail)
            byte = sparse->tail.data[offset - tail];
        ((char *)data)[i] = byte;
    }
    return 0;
}

static void local_header(struct buf *buf, const char *name)
{
    (void)buf_append(buf, "PK\3\4", 4);
    bytes_number(buf, 0, 22);
    bytes_number(buf, strlen(name), 2);
    bytes_number(buf, 0, 2);
    (void)buf_append_text(buf, name);
}

/* A directory entry whose sizes or offset stand in a ZIP64 extra field, where they do not fit. */
static void directory_entry(struct buf *buf, const char *name, uint64_t size, uint64_t header)
{
    unsigned extra = (size > UINT32_MAX ? 16 : 0) + (header > UINT32_MAX ? 8 : 0);
    (void)buf_append(buf, "PK\1\2", 4);
    bytes_number(buf, 0, 16);
    bytes_number(buf, size > UINT32_MAX ? UINT32_MAX : size, 4);
    bytes_number(buf, size > UINT32_MAX ? UINT32_MAX : size, 4);
    bytes_number(buf, strlen(name), 2);
    bytes_number(buf, 4 + extra, 2);
    bytes_number(buf, 0, 10);
    bytes_number(buf, header > UINT32_MAX ? UINT32_MAX : header, 4);
    (void)buf_append_text(buf, name);
    bytes_number(buf, 1, 2);
    bytes_number(buf, extra, 2);
    for (int i = 0; size > UINT32_MAX && i < 2; i++)
        bytes_number(buf, size, 8);
    if (header > UINT32_MAX)
        bytes_number(buf, header, 8);
}

static void test_large_archive(void **state)
{
    (void)state;
    static const struct source_ops ops = {.read = sparse_read};
    struct sparse_source sparse = {.source = {.ops = &ops, .name = "large.bin"}};
    struct archive *archive = NULL;
    struct err err = ERR_INIT;
    char text[4] = "";
    buf_init(&sparse.head, MIB);
    buf_init(&sparse.tail, MIB);
    local_header(&sparse.head, "m/data/0");
    uint64_t second = sparse.head.size + HOLE_BYTES;
    local_header(&sparse.tail, "m/data.pkl");
    (void)buf_append_text(&sparse.tail, "abc");
    size_t directory = sparse.tail.size;
    directory_entry(&sparse.tail, "m/data/0", HOLE_BYTES, 0);
    directory_entry(&sparse.tail, "m/data.pkl", 3, second);
    bytes_zip_end(&sparse.tail, &(struct bytes_zip){.is_zip64 = 1, .place = second}, directory, 2);
    sparse.source.size_bytes = second + sparse.tail.size;
    if (archive_open(&sparse.source, &archive, &err))
        fail_msg("%s", err.message);
    struct archive_record *hole = archive_find(archive, "data/0"),
                          *pickle = archive_find(archive, "data.pkl");
    assert_int_equal(archive_locate(archive, hole, &err), 0);
    assert_int_equal(hole->offset, sparse.head.size);
    assert_int_equal(hole->size_bytes, HOLE_BYTES);
    assert_int_equal(archive_locate(archive, pickle, &err), 0);
    assert_int_equal(archive_read(archive, pickle->offset, text, 3, &err), 0);
    assert_string_equal(text, "abc");
    archive_close(archive);
    buf_free(&sparse.head);
    buf_free(&sparse.tail);
}

/* Cut anywhere, an archive is refused, and no byte outside of it is read. */
static void test_every_truncation(void **state)
{
    (void)state;
    static const struct bytes_record records[] = {{.name = "m/a", .data = "abc", .size = 3},
                                                  {.name = "m/b", .data = "abc", .size = 3}};
    struct buf file;
    buf_init(&file, MIB);
    bytes_zip_build(&file, records, 2, &(struct bytes_zip){.is_zip64 = 1});
    for (size_t size = 0; size < file.size; size++) {
        struct err err = ERR_INIT;
        struct buf cut;
        buf_init(&cut, MIB);
        (void)buf_append(&cut, file.data, size);
        assert_int_equal(open_and_read(&cut, "a", &err), ERR_FORMAT);
        buf_free(&cut);
    }
    buf_free(&file);
}

/* A file that has room for the locator alone: its offset, which is negative, must not lead before the file.
 */
static void test_a_locator_at_the_beginning(void **state)
{
    (void)state;
    enum { END_BYTES = 22, LOCATOR_BYTES = 20, END64_BYTES = 56 };
    for (size_t size = END_BYTES + LOCATOR_BYTES; size < END_BYTES + LOCATOR_BYTES + END64_BYTES; size++) {
        struct buf file;
        struct err err = ERR_INIT;
        uint64_t offset = size - (END_BYTES + LOCATOR_BYTES + END64_BYTES); /* wraps around */
        buf_init(&file, MIB);
        while (file.size < size - END_BYTES - LOCATOR_BYTES)
            (void)buf_append_char(&file, 0);
        (void)buf_append(&file, "PK\6\7", 4);
        bytes_number(&file, 0, 4);
        bytes_number(&file, offset, 8);
        bytes_number(&file, 1, 4);
        (void)buf_append(&file, "PK\5\6", 4);
        while (file.size < size)
            (void)buf_append_char(&file, 0);
        char *exact = malloc(size); /* whose beginning a sanitizer knows */
        memcpy(exact, file.data, size);
        struct archive_end end;
        assert_int_equal(archive_end_parse((unsigned char *)exact, size, size, &end, &err), ERR_FORMAT);
        assert_non_null(strstr(err.message, "not where its locator says"));
        free(exact);
        buf_free(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_archives),
        cmocka_unit_test(test_many_records),
        cmocka_unit_test(test_hostile_archives),
        cmocka_unit_test(test_nested_records),
        cmocka_unit_test(test_large_archive),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_a_locator_at_the_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
