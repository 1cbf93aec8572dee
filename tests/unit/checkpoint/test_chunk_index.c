#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/checkpoint/chunk_index.h"
#include "tests/unit/checkpoint/chunks.h"

#include <stdio.h>

#define SIDE 2500 /* squared, its chunks are more than may be compared with each other */

static void test_what_is_read(void **state)
{
    static const struct chunks_piece pieces[] = {{{0, 0}, {2, 3}, "b", 100, 50},
                                                 {{2, 0}, {1, 3}, "a", 7, 20},
                                                 {{3, 0}, {0, 3}, "c", 0, 0}}; /* a rank without rows */
    struct buf buf;
    struct chunk_index *index = NULL;
    struct err err = ERR_INIT;
    size_t number = 9;
    (void)state;
    buf_init(&buf, MIB);
    chunks_put_metadata(&buf, (const int64_t[]){3, 3}, pieces, 3);
    if (chunk_index_parse(buf.data, buf.size, &index, &err))
        fail_msg("%s", err.message);
    assert_int_equal(index->count, 1);
    assert_true(chunk_index_find(index, "w", &number) && number == 0);
    assert_false(chunk_index_find(index, "v", &number));
    const struct chunk_index_tensor *tensor = &index->tensors[0];
    assert_int_equal(tensor->dtype, TENSOR_DTYPE_F16);
    assert_int_equal(tensor->size_bytes, 18);
    assert_int_equal(tensor->chunk_count, 2);
    assert_int_equal(tensor->chunks[1].offset[0], 2);
    assert_int_equal(tensor->chunks[1].size[0], 1);
    assert_string_equal(index->files[tensor->chunks[0].file], "b");
    assert_string_equal(index->files[tensor->chunks[1].file], "a");
    assert_int_equal(index->ends[tensor->chunks[0].file], 150);
    assert_int_equal(index->ends[tensor->chunks[1].file], 27);
    assert_int_equal(chunk_index_check(tensor, &err), 0);
    chunk_index_free(index);
    buf_free(&buf);
}

/* Cut short at any byte, it is refused and leaves nothing. */
static void test_cut_short(void **state)
{
    static const struct chunks_piece piece = {{0, 0}, {1, 1}, "a", 0, 9};
    struct buf buf;
    (void)state;
    buf_init(&buf, MIB);
    chunks_put_metadata(&buf, (const int64_t[]){1, 1}, &piece, 1);
    for (size_t size = 0; size < buf.size; size++) {
        struct chunk_index *index = NULL;
        struct err err = ERR_INIT;
        assert_int_not_equal(chunk_index_parse(buf.data, size, &index, &err), 0);
        assert_null(index);
    }
    buf_free(&buf);
}

/* -- Whether chunks are a whole -- */

#define CHUNKS_MAX 6

struct cover {
    const char *says; /* NULL: they are */
    int ndim;
    uint64_t shape[3];
    uint64_t chunks[CHUNKS_MAX][2][3]; /* offset and size; a size of 0 ends them */
};

static void test_covers(void **state)
{
    static const struct cover covers[] = {
        {NULL, 2, {4, 4}, {{{0, 0}, {4, 4}}}},
        {NULL, 2, {4, 4}, {{{2, 0}, {2, 4}}, {{0, 0}, {2, 4}}}},
        {NULL, 2, {4, 4}, {{{0, 2}, {4, 2}}, {{0, 0}, {4, 2}}}},
        {NULL, 2, {4, 4}, {{{0, 0}, {1, 4}}, {{1, 0}, {3, 1}}, {{1, 1}, {3, 3}}}},
        /* a pinwheel: no line cuts it through */
        {NULL,
         2,
         {3, 3},
         {{{0, 0}, {1, 2}}, {{0, 2}, {2, 1}}, {{2, 1}, {1, 2}}, {{1, 0}, {2, 1}}, {{1, 1}, {1, 1}}}},
        {NULL, 3, {2, 2, 2}, {{{0, 0, 0}, {2, 1, 2}}, {{0, 1, 1}, {2, 1, 1}}, {{0, 1, 0}, {2, 1, 1}}}},
        {NULL, 0, {0}, {{{0}, {1}}}},
        {"hold 12 of its 16", 2, {4, 4}, {{{0, 0}, {3, 4}}}},
        {"at [0, 0] and [1, 0] overlap", 2, {4, 4}, {{{0, 0}, {2, 4}}, {{1, 0}, {2, 4}}}},
        {"overlap", 2, {4, 4}, {{{0, 0}, {4, 2}}, {{0, 0}, {4, 2}}}},
        {"overlap",
         2,
         {3, 3},
         {{{0, 0}, {1, 2}}, {{0, 1}, {2, 1}}, {{2, 1}, {1, 2}}, {{1, 0}, {2, 1}}, {{1, 2}, {1, 1}}}},
        {"hold 2 of its 1", 0, {0}, {{{0}, {1}}, {{0}, {1}}}},
        {"hold 0 of its 4", 2, {2, 2}, {{{0}, {0}}}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof covers / sizeof covers[0]; i++) {
        struct chunk_index_chunk chunks[CHUNKS_MAX] = {{.offset = NULL}};
        struct chunk_index_tensor tensor = {
            .name = (char *)(uintptr_t) "w", .chunks = chunks, .shape.ndim = covers[i].ndim};
        struct err err = ERR_INIT;
        memcpy(tensor.shape.dim, covers[i].shape, sizeof covers[i].shape);
        for (size_t j = 0; j < CHUNKS_MAX && covers[i].chunks[j][1][0]; j++)
            chunks[tensor.chunk_count++] = (struct chunk_index_chunk){
                .offset = covers[i].chunks[j][0], .size = covers[i].chunks[j][1], .length = 64};
        int code = chunk_index_check(&tensor, &err);
        if (code != (covers[i].says ? ERR_FORMAT : 0) ||
            (covers[i].says && !strstr(err.message, covers[i].says)))
            fail_msg("cover %zu: %d, \"%s\"", i, code, err.message);
    }
}

/* A diagonal of stripes: all are open at the same time along either axis. */
static void test_too_irregular(void **state)
{
    static uint64_t places[2 * SIDE][4];
    static struct chunk_index_chunk chunks[2 * SIDE];
    struct chunk_index_tensor tensor = {.name = (char *)(uintptr_t) "w",
                                        .chunks = chunks,
                                        .chunk_count = 2 * SIDE,
                                        .shape = {2, {4 * SIDE, 2}}};
    struct err err = ERR_INIT;
    (void)state;
    for (uint64_t i = 0; i < 2 * SIDE; i++) {
        memcpy(places[i], (const uint64_t[]){i, i & 1, 2 * SIDE, 1}, sizeof places[i]);
        chunks[i] = (struct chunk_index_chunk){.offset = places[i], .size = places[i] + 2};
    }
    assert_int_equal(chunk_index_check(&tensor, &err), ERR_FORMAT); /* the third overlaps the first */
    for (uint64_t i = 0; i < 2 * SIDE; i++)
        places[i][1] = i;
    tensor.shape.dim[1] = 2 * SIDE;
    places[0][2] = 1; /* which lets the rows look like those to go along */
    assert_int_equal(chunk_index_check(&tensor, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "cut too irregularly"));
}

/* Places of more chunks than there may be: counted before any is read. */
static void test_too_many(void **state)
{
    struct chunk_index *index = NULL;
    struct err err = ERR_INIT;
    struct buf buf;
    (void)state;
    buf_init(&buf, 8 * MIB);
    (void)buf_append(&buf, "\x80\x02", 2);
    pickle_op(&buf, CHUNKS_CLASS "Metadata\n)\x81}(");
    pickle_text(&buf, "state_dict_metadata");
    pickle_op(&buf, "}");
    pickle_text(&buf, "storage_data");
    pickle_op(&buf, "}");
    for (int i = 0; i <= LIMIT_CHUNKS; i++)
        pickle_op(&buf, "NNs");
    pickle_op(&buf, "ub.");
    assert_int_equal(chunk_index_parse(buf.data, buf.size, &index, &err), ERR_LIMIT);
    assert_null(index);
    assert_non_null(strstr(err.message, "storage_data: more than the limit of 1000000 chunks"));
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read),  cmocka_unit_test(test_cut_short), cmocka_unit_test(test_covers),
        cmocka_unit_test(test_too_irregular), cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
