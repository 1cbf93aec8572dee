/* Data sets over bytes: kinds, packings, bounds, and messages that name the line. */
#include "daemon/base/buf.h"
#include "daemon/base/limits.h"
#include "daemon/text/dataset.h"
#include "tests/unit/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

static int open_bytes(const char *name, const void *data, size_t size, const struct dataset_options *options,
                      struct source **source, struct dataset **dataset, struct err *err)
{
    assert_int_equal(source_open_memory(name, data, size, source, err), 0);
    return dataset_open(*source, options, dataset, err);
}

/* All texts, each between brackets, or the error's message. */
static const char *read_all(const char *name, const void *data, size_t size, struct dataset_options options)
{
    static char shown[1000];
    struct err err = ERR_INIT;
    struct source *source = NULL;
    struct dataset *dataset = NULL;
    const char *text;
    size_t text_size, length = 0;
    int code = open_bytes(name, data, size, &options, &source, &dataset, &err);
    shown[0] = 0;
    while (!code) {
        code = dataset_next(dataset, &text, &text_size, &err);
        if (code || !text)
            break;
        assert_int_equal(text[text_size], 0);
        if (text_size < 100)
            length += (size_t)snprintf(shown + length, sizeof shown - length, "[%.*s]", (int)text_size, text);
    }
    if (code)
        (void)snprintf(shown, sizeof shown, "%s: %s", err_name(code), err.message);
    dataset_close(dataset);
    source_close(source);
    return shown;
}

static const char *read_text(const char *name, const char *data, struct dataset_options options)
{
    return read_all(name, data, strlen(data), options);
}

static void json_lines(void **state)
{
    (void)state;
    struct dataset_options plain = {0};
    assert_string_equal(read_text("x.jsonl", "", plain), "");
    assert_string_equal(read_text("x.jsonl", "\n\n \t\r\n", plain), "");
    assert_string_equal(read_text("x.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b c\", \"id\":3}", plain),
                        "[a][b c]");
    assert_string_equal(read_text("x.jsonl", "{\"text\":\"a\"}\r\n\r\n{\"text\":\"\"}\r\n", plain), "[a][]");
    assert_string_equal(read_text("x.jsonl", "\xEF\xBB\xBF{\"text\":\"\\u00e9\\ud83d\\ude00\"}\n", plain),
                        "[\u00e9\U0001F600]");
    assert_string_equal(read_text("x.JSONL.GZ", "{\"text\":\"a\"}", plain), "[a]");
    struct dataset_options field = {.field = "passage", .kind = DATASET_KIND_JSONL};
    assert_string_equal(read_text("x", "{\"text\":\"a\",\"passage\":\"p\"}", field), "[p]");
    /* A hash beside the text need not fit into 64 bits. */
    assert_string_equal(read_text("x.jsonl", "{\"hash\":184467440737095516160,\"text\":\"a\"}", plain),
                        "[a]");
    struct dataset_options limit = {.limit = 1};
    assert_string_equal(read_text("x.jsonl", "{\"text\":\"a\"}\nbroken", limit), "[a]");
}

static void malformed_lines_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *data, *message;
    } cases[] = {
        {"{\"text\":\"a\"}\n\n{\"text\":\n", "format: x.jsonl: line 3: not JSON"},
        {"[\"text\"]", "format: x.jsonl: line 1: not a JSON object"},
        {"{\"text\":\"a\"}\n{\"txt\":\"a\"}", "format: x.jsonl: line 2: no field \"text\""},
        {"{\"text\":3}", "format: x.jsonl: line 1: field \"text\" is not a string"},
        {"{\"text\":null}", "format: x.jsonl: line 1: field \"text\" is not a string"},
        {"{\"text\":\"\xFF\"}", "format: x.jsonl: line 1: not JSON"},
        {"{\"text\":\"\\ud83d\"}", "format: x.jsonl: line 1: not JSON"},
        {"{\"text\":\"a\"} x", "format: x.jsonl: line 1: not JSON"},
        {"PAR1....", "unsupported: x.jsonl: a parquet file"},
        {"ARROW1..", "unsupported: x.jsonl: an Arrow file"},
        {"\xFF\xFF\xFF\xFF\x10", "unsupported: x.jsonl: an Arrow stream"},
        {"PK\x03\x04....", "unsupported: x.jsonl: a zip file"},
        {"\xFD\x37zXZ\x04", "unsupported: x.jsonl: xz data"},
        {"BZh91AY&SY....", "unsupported: x.jsonl: bzip2 data"},
        {"\x04\x22\x4D\x18....", "unsupported: x.jsonl: lz4 data"},
        {"\xFF\xFE{", "unsupported: x.jsonl: text in UTF-16"},
        {"\xFE\xFF\x04\x10", "unsupported: x.jsonl: text in UTF-16"},
    };
    struct dataset_options plain = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *shown = read_text("x.jsonl", cases[i].data, plain);
        if (strncmp(shown, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("case %zu: %s", i, shown);
    }
}

static void plain_text(void **state)
{
    (void)state;
    struct dataset_options whole = {0};
    assert_string_equal(read_text("x.txt", "a\nb\r\n", whole), "[a\nb\r\n]");
    assert_string_equal(read_text("x.txt", "", whole), "[]");
}

/* -- Packings
 * --------------------------------------------------------------------------------------------------- */

static size_t gzip(const void *data, size_t size, unsigned char *out, size_t capacity)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (unsigned char *)(uintptr_t)data;
    stream.avail_in = (unsigned)size;
    stream.next_out = out;
    stream.avail_out = (unsigned)capacity;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(deflateEnd(&stream), Z_OK);
    return stream.total_out;
}

static size_t pack(int is_zstd, const void *data, size_t size, unsigned char *out, size_t capacity)
{
    if (!is_zstd)
        return gzip(data, size, out, capacity);
    size_t packed = ZSTD_compress(out, capacity, data, size, 3);
    assert_false(ZSTD_isError(packed));
    return packed;
}

static void packed_files(void **state)
{
    (void)state;
    struct dataset_options plain = {0};
    const char *text = "{\"text\":\"a\"}\n{\"text\":\"b\"}\n";
    for (int is_zstd = 0; is_zstd < 2; is_zstd++) {
        unsigned char packed[1000];
        size_t size = pack(is_zstd, text, strlen(text), packed, sizeof packed);
        assert_string_equal(read_all("x.jsonl.gz", packed, size, plain), "[a][b]");
        /* Several members, as `cat a.gz b.gz` makes. */
        size_t more = pack(is_zstd, text, strlen(text), packed + size, sizeof packed - size);
        assert_string_equal(read_all("x.jsonl.gz", packed, size + more, plain), "[a][b][a][b]");
        size_t empty = pack(is_zstd, "", 0, packed, sizeof packed);
        assert_string_equal(read_all("x.jsonl.gz", packed, empty, plain), "");
    }
    /* A frame that is to be passed over, as pzstd begins with. */
    unsigned char packed[1000] = {0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 'p', 'z', 's', 't'};
    size_t size = pack(1, text, strlen(text), packed + 12, sizeof packed - 12);
    assert_string_equal(read_all("x.jsonl.zst", packed, 12 + size, plain), "[a][b]");
}

/* Each cut and each flipped byte is either noticed or leaves complete lines in front of an error. */
static void damaged_packings(void **state)
{
    (void)state;
    struct dataset_options whole = {.kind = DATASET_KIND_TEXT};
    const char *text = "the garden of forking paths, the garden of forking paths";
    for (int is_zstd = 0; is_zstd < 2; is_zstd++) {
        unsigned char packed[1000];
        size_t size = pack(is_zstd, text, strlen(text), packed, sizeof packed);
        for (size_t cut = 4; cut < size; cut++) {
            const char *shown = read_all("x", packed, cut, whole);
            if (strncmp(shown, "format: x: ", 11) != 0)
                fail_msg("cut at %zu: %s", cut, shown);
        }
        memcpy(packed + size, "garbage", 7);
        const char *shown = read_all("x", packed, size + 7, whole);
        assert_int_equal(strncmp(shown, "format: x: ", 11), 0);
        if (!is_zstd) { /* the sum over the content is wrong */
            packed[size - 6] ^= 1;
            shown = read_all("x", packed, size, whole);
            assert_int_equal(strncmp(shown, "format: x: gzip: incorrect data check", 37), 0);
        }
    }
}

/* A line within its bound that would be some hundred times as large in memory. */
static void too_many_values(void **state)
{
    (void)state;
    struct buf line;
    struct err err = ERR_INIT;
    buf_init(&line, MIB);
    (void)buf_append_text(&line, "{\"text\":\"a\",\"x\":[0");
    for (int i = 2; i < LIMIT_DATASET_LINE_CONTAINERS; i++)
        (void)buf_append_text(&line, ",[]");
    (void)buf_append_text(&line, "]}\n");
    assert_int_equal(buf_check(&line, "line", &err), 0);
    struct dataset_options plain = {0};
    assert_string_equal(read_all("x.jsonl", line.data, line.size, plain), "[a]");
    line.size -= 3;
    (void)buf_append_text(&line, ",[]]}\n");
    assert_int_equal(buf_check(&line, "line", &err), 0);
    assert_int_equal(
        strncmp(read_all("x.jsonl", line.data, line.size, plain), "limit: x.jsonl: line 1: ", 24), 0);
    buf_free(&line);
}

/* A line longer than the bound, from few packed bytes. */
static void bombs(void **state)
{
    (void)state;
    size_t size = LIMIT_DATASET_LINE_BYTES + 1;
    char *line = malloc(size);
    unsigned char *packed = malloc(MIB);
    assert_non_null(line);
    assert_non_null(packed);
    memset(line, 'a', size);
    struct dataset_options lines = {.kind = DATASET_KIND_JSONL};
    for (int is_zstd = 0; is_zstd < 2; is_zstd++) {
        size_t packed_size = pack(is_zstd, line, size, packed, MIB);
        const char *shown = read_all("x", packed, packed_size, lines);
        assert_int_equal(strncmp(shown, "limit: x: line 1: ", 18), 0);
        packed_size = pack(is_zstd, line, size - 1, packed, MIB);
        shown = read_all("x", packed, packed_size, lines);
        assert_int_equal(strncmp(shown, "format: x: line 1: ", 19), 0);
    }
    free(line);
    free(packed);
}

static int read_nothing(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    (void)offset, (void)data, (void)size;
    return err_set(err, ERR_NETWORK, "%s: gone", source->name);
}

static void close_nothing(struct source *source)
{
    (void)source;
}

static void sources_that_fail(void **state)
{
    (void)state;
    static const struct source_ops ops = {.read = read_nothing, .close = close_nothing};
    struct source source = {.ops = &ops, .name = "far.jsonl", .size_bytes = 10};
    struct err err = ERR_INIT;
    struct dataset *dataset = NULL;
    const char *text;
    size_t size;
    char hex[DIGEST_SHA256_HEX_SIZE];
    assert_int_equal(dataset_open(&source, NULL, &dataset, &err), 0);
    assert_int_equal(dataset_next(dataset, &text, &size, &err), ERR_NETWORK);
    assert_int_equal(dataset_digest(dataset, hex, &err), ERR_NETWORK);
    dataset_close(dataset);
    source.size_bytes = LIMIT_DATASET_BYTES + 1;
    dataset = NULL;
    assert_int_equal(dataset_open(&source, NULL, &dataset, &err), ERR_LIMIT);
    assert_null(dataset);
    dataset_close(NULL);
}

/* -- Digest
 * ------------------------------------------------------------------------------------------------------ */

/* The rest behind a limit may be gigabytes. */
static void hashing_of_the_rest_is_cancelled(void **state)
{
    (void)state;
    static char json[] = "{\"text\":\"a\"}\n{\"text\":\"b\"}\n";
    atomic_bool cancel = 0;
    struct source *source = NULL;
    struct dataset *dataset = NULL;
    struct err err = ERR_INIT;
    struct dataset_options options = {.limit = 1, .cancel = &cancel};
    const char *text;
    size_t size;
    char hex[DIGEST_SHA256_HEX_SIZE];
    assert_int_equal(source_open_memory("x.jsonl", json, sizeof json - 1, &source, &err), 0);
    assert_int_equal(dataset_open(source, &options, &dataset, &err), 0);
    assert_int_equal(dataset_next(dataset, &text, &size, &err), 0);
    atomic_store(&cancel, 1);
    assert_int_equal(dataset_digest(dataset, hex, &err), ERR_CANCELLED);
    assert_string_equal(err.message, "x.jsonl: hashing was cancelled");
    dataset_close(dataset);
    source_close(source);
}

static void digest_is_of_the_raw_file(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char expected[DIGEST_SHA256_HEX_SIZE], hex[DIGEST_SHA256_HEX_SIZE];
    unsigned char packed[1000];
    const char *text = "{\"text\":\"a\"}\n{\"text\":\"b\"}\n";
    size_t size = gzip(text, strlen(text), packed, sizeof packed);
    assert_int_equal(digest_sha256_hex(packed, size, expected, &err), 0);
    for (uint64_t limit = 0; limit < 3; limit++) {
        struct dataset_options options = {.limit = limit};
        struct source *source = NULL;
        struct dataset *dataset = NULL;
        const char *got = "";
        size_t got_size;
        assert_int_equal(open_bytes("x.jsonl.gz", packed, size, &options, &source, &dataset, &err), 0);
        while (got && limit) /* with limit 0 nothing is read before */
            assert_int_equal(dataset_next(dataset, &got, &got_size, &err), 0);
        assert_int_equal(dataset_digest(dataset, hex, &err), 0);
        assert_string_equal(hex, expected);
        dataset_close(dataset);
        source_close(source);
    }
}

static void long_files_cross_blocks(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char folder[SCRATCH_SIZE], path[SCRATCH_SIZE + 8];
    assert_int_equal(scratch_make(folder), 0);
    (void)snprintf(path, sizeof path, "%s/texts", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 1; i <= 5000; i++)
        (void)fprintf(file, "{\"text\":\"%0*d\"}\n", i % 300 + 1, i);
    assert_int_equal(fclose(file), 0);
    struct dataset_options options = {.kind = DATASET_KIND_JSONL};
    struct dataset *dataset = NULL;
    const char *text;
    size_t size;
    struct source *source = NULL;
    assert_int_equal(source_open_file(path, &source, &err), 0);
    assert_int_equal(dataset_open(source, &options, &dataset, &err), 0);
    for (int i = 1; i <= 5000; i++) {
        assert_int_equal(dataset_next(dataset, &text, &size, &err), 0);
        assert_non_null(text);
        assert_int_equal(strtol(text, NULL, 10), i);
    }
    for (int again = 0; again < 2; again++) {
        assert_int_equal(dataset_next(dataset, &text, &size, &err), 0);
        assert_null(text);
    }
    dataset_close(dataset);
    source_close(source);
    assert_int_equal(scratch_remove(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines),
        cmocka_unit_test(malformed_lines_are_named),
        cmocka_unit_test(plain_text),
        cmocka_unit_test(packed_files),
        cmocka_unit_test(damaged_packings),
        cmocka_unit_test(too_many_values),
        cmocka_unit_test(bombs),
        cmocka_unit_test(sources_that_fail),
        cmocka_unit_test(digest_is_of_the_raw_file),
        cmocka_unit_test(hashing_of_the_rest_is_cancelled),
        cmocka_unit_test(long_files_cross_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
