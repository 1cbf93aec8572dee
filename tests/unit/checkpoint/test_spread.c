#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/checkpoint/spread.h"
#include "tests/unit/checkpoint/chunks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define FILES 70  /* more than are open at a time, but for those that are fetched */
#define AT_ONCE 8 /* that are fetched at once */
#define PATIENCE_S 60
#define ROWS 3 /* of each chunk */
#define COLUMNS 2
#define CHUNK_BYTES ((size_t)ROWS * COLUMNS * 2)

/* -- A folder in memory, whose sources count ------------------------------------------------------------- */

struct folder {
    struct buf metadata, files[FILES];
    const char *hidden; /* a file that is not there */
    const char *content;
    int is_local;
    atomic_int open_count, opened, reads;
    atomic_int fail_after; /* reads that succeed; -1: all */

    /* The first so many reads end together; 0: none waits */
    int meeting, present;
    pthread_mutex_t lock;
    pthread_cond_t met;
};

static void meet(struct folder *folder)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    (void)pthread_mutex_lock(&folder->lock);
    if (++folder->present == folder->meeting)
        (void)pthread_cond_broadcast(&folder->met);
    int late = 0;
    while (folder->present < folder->meeting && !late)
        late = pthread_cond_timedwait(&folder->met, &folder->lock, &until);
    (void)pthread_mutex_unlock(&folder->lock);
}

struct counted {
    struct source source, *inner;
    struct folder *folder;
};

static int counted_read(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    const struct counted *counted = (struct counted *)source;
    int left = atomic_load(&counted->folder->fail_after);
    while (left > 0 && !atomic_compare_exchange_weak(&counted->folder->fail_after, &left, left - 1))
        ;
    if (left == 0)
        return err_set(err, ERR_NETWORK, "%s: connection lost", source->name);
    counted->folder->reads++;
    if (counted->folder->meeting)
        meet(counted->folder);
    return source_read(counted->inner, offset, data, size, err);
}

static void counted_close(struct source *source)
{
    struct counted *counted = (struct counted *)source;
    counted->folder->open_count--;
    source_close(counted->inner);
    free(counted);
}

static int has(void *context, const char *name)
{
    const struct folder *folder = context;
    return !folder->hidden || strcmp(folder->hidden, name) != 0;
}

static int open_one(void *context, const char *name, struct source **ret_source, struct err *err)
{
    static const struct source_ops fetched = {.read = counted_read, .close = counted_close},
                                   local = {.read = counted_read, .close = counted_close, .reads_at_once = 1};
    struct folder *folder = context;
    const struct buf *content = &folder->metadata;
    struct counted *counted = calloc(1, sizeof *counted);
    assert_non_null(counted);
    if (strcmp(name, "in/.metadata") != 0)
        content = &folder->files[strtol(name + strlen("in/"), NULL, 10)];
    assert_int_equal(source_open_memory(name, content->data, content->size, &counted->inner, err), 0);
    counted->source = (struct source){.ops = folder->is_local ? &local : &fetched,
                                      .name = counted->inner->name,
                                      .size_bytes = counted->inner->size_bytes};
    counted->folder = folder;
    folder->open_count++;
    folder->opened++;
    assert_true(folder->open_count <= (folder->is_local ? 65 : FILES)); /* the metadata is closed before */
    *ret_source = &counted->source;
    return 0;
}

/* -- Chunks of three rows, one in each file; element i of the tensor is the number i ------------------------
 */

static void put_chunk(struct buf *file, int number, const char *storage, int64_t rows)
{
    uint16_t values[ROWS * COLUMNS];
    struct buf pickle;
    const struct bytes_tensor tensor = {"", storage,         "0",         ROWS * COLUMNS, 0,
                                        2,  {rows, COLUMNS}, {COLUMNS, 1}};
    for (int i = 0; i < ROWS * COLUMNS; i++)
        values[i] = (uint16_t)(number * ROWS * COLUMNS + i);
    buf_init(&pickle, MIB);
    (void)buf_append(&pickle, "\x80\x02", 2);
    pickle_tensor_alone(&pickle, &tensor);
    pickle_op(&pickle, ".");
    const struct bytes_record records[] = {
        {.name = "archive/data.pkl", .data = pickle.data, .size = pickle.size},
        {.name = "archive/version", .data = "3\n", .size = 2},
        {.name = "archive/data/0", .data = values, .size = sizeof values}};
    (void)buf_append_text(file, "before");
    struct buf zip;
    buf_init(&zip, MIB);
    bytes_zip_build(&zip, records, 3, NULL);
    (void)buf_append(file, zip.data, zip.size);
    buf_free(&zip);
    buf_free(&pickle);
}

/* What the metadata does not say: the chunks' dtype and rows. */
static struct spread *open_other(struct folder *folder, int count, const char *storage, int64_t rows)
{
    static char names[FILES][16];
    struct chunks_piece pieces[FILES];
    const struct checkpoint_files files = {
        .has = has, .open = open_one, .context = folder, .content = folder->content};
    struct spread *spread = NULL;
    struct err err = ERR_INIT;
    for (int i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof names[i], "%02d.distcp", i);
        buf_init(&folder->files[i], MIB);
        put_chunk(&folder->files[i], i, storage, rows);
        pieces[i] = (struct chunks_piece){
            {(int64_t)i * ROWS, 0}, {ROWS, COLUMNS}, names[i], 6, (int64_t)folder->files[i].size - 6};
    }
    buf_init(&folder->metadata, MIB);
    chunks_put_metadata(&folder->metadata, (const int64_t[]){(int64_t)count * ROWS, COLUMNS}, pieces, count);
    folder->fail_after = -1;
    if (spread_open(&files, "in/.metadata", &spread, &err))
        fail_msg("%s", err.message);
    assert_int_equal(folder->open_count, 0);
    folder->opened = folder->reads = 0;
    return spread;
}

static struct spread *open_spread(struct folder *folder, int count)
{
    return open_other(folder, count, "HalfStorage", ROWS);
}

static void close_spread(struct spread *spread, struct folder *folder)
{
    spread_close(spread);
    assert_int_equal(folder->open_count, 0);
    buf_free(&folder->metadata);
    for (int i = 0; i < FILES; i++)
        buf_free(&folder->files[i]);
}

static void test_all_files(void **state)
{
    struct folder folder = {.is_local = 1};
    uint16_t values[FILES * ROWS * COLUMNS];
    struct err err = ERR_INIT;
    (void)state;
    struct spread *spread = open_spread(&folder, FILES);
    if (spread_read(spread, 0, 0, values, sizeof values, &err))
        fail_msg("%s", err.message);
    for (uint16_t i = 0; i < FILES * ROWS * COLUMNS; i++)
        assert_int_equal(values[i], i);
    assert_int_equal(folder.opened, FILES);
    assert_int_equal(folder.reads, FILES); /* small chunks come at once */
    assert_int_equal(spread_check_files(spread, &err), 0);
    assert_int_equal(spread_read(spread, 0, 1, values, sizeof values, &err), ERR_INVALID);
    close_spread(spread, &folder);
}

/* A check of all files keeps none of them open, wherever they come from: a folder's that is looked at from
 * afar are descriptors, too. */
static void test_checked_files_are_closed(void **state)
{
    struct folder folder = {.hidden = NULL};
    struct err err = ERR_INIT;
    (void)state;
    struct spread *spread = open_spread(&folder, FILES);
    assert_int_equal(spread_check_files(spread, &err), 0);
    assert_int_equal(folder.opened, FILES);
    assert_int_equal(folder.open_count, 0);
    close_spread(spread, &folder);
}

/* What comes over the network is fetched from several files at once, and these stay open: where the bytes of
 * one are costs a request. */
static void test_fetched_at_once(void **state)
{
    struct folder folder = {.lock = PTHREAD_MUTEX_INITIALIZER, .met = PTHREAD_COND_INITIALIZER};
    uint16_t values[FILES * ROWS * COLUMNS];
    struct err err = ERR_INIT;
    (void)state;
    struct spread *spread = open_spread(&folder, FILES);
    folder.meeting = AT_ONCE;
    for (int round = 0; round < 2; round++) {
        memset(values, 0, sizeof values);
        if (spread_read(spread, 0, 0, values, sizeof values, &err))
            fail_msg("%s", err.message);
        for (uint16_t i = 0; i < FILES * ROWS * COLUMNS; i++)
            assert_int_equal(values[i], i);
        assert_true(folder.present >= AT_ONCE);
        assert_int_equal(folder.opened, FILES);
        assert_int_equal(folder.reads, (round + 1) * FILES);
    }
    assert_int_equal(folder.open_count, FILES);
    close_spread(spread, &folder);
}

/* Whoever is last, the first of the files that fail is the one that is named. */
static void test_failures_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct folder folder = {.hidden = NULL};
        uint16_t values[FILES * ROWS * COLUMNS];
        struct err err = ERR_INIT;
        struct spread *spread = open_spread(&folder, FILES);
        folder.files[5].size--;
        folder.files[7].size--;
        folder.hidden = "in/06.distcp";
        assert_int_equal(spread_read(spread, 0, 0, values, sizeof values, &err), ERR_FORMAT);
        assert_non_null(strstr(err.message, "tensor w, its chunk at [15, 0]: in/05.distcp: truncated"));
        folder.files[5].size++;
        folder.files[7].size++;
        folder.hidden = NULL;
        err = (struct err)ERR_INIT;
        assert_int_equal(spread_read(spread, 0, 0, values, sizeof values, &err), 0);
        assert_int_equal(values[FILES * ROWS * COLUMNS - 1], FILES * ROWS * COLUMNS - 1);
        close_spread(spread, &folder);
    }
}

/* Only what is asked for is opened, and a chunk is kept for the next range. */
static void test_ranges(void **state)
{
    struct folder folder = {.hidden = NULL};
    unsigned char bytes[4];
    struct err err = ERR_INIT;
    (void)state;
    struct spread *spread = open_spread(&folder, 4);
    assert_int_equal(spread_read(spread, 0, CHUNK_BYTES, bytes, 4, &err), 0);
    assert_memory_equal(bytes, ((const unsigned char[]){6, 0, 7, 0}), 4);
    assert_int_equal(spread_read(spread, 0, CHUNK_BYTES + 3, bytes, 3, &err), 0);
    assert_memory_equal(bytes, ((const unsigned char[]){0, 8, 0}), 3);
    assert_int_equal(folder.opened, 1);
    assert_int_equal(folder.reads, 1);
    assert_int_equal(spread_read(spread, 0, 2 * CHUNK_BYTES - 2, bytes, 4, &err), 0); /* of two chunks */
    assert_memory_equal(bytes, ((const unsigned char[]){11, 0, 12, 0}), 4);
    assert_int_equal(folder.opened, 2);
    assert_int_equal(spread_read(spread, 0, 5, bytes, 0, &err), 0);
    assert_int_equal(folder.reads, 2);
    close_spread(spread, &folder);
}

/* Two tensors are compared piece by piece: no chunk is fetched for each piece. */
static void test_by_turns(void **state)
{
    struct folder folder = {.hidden = NULL};
    unsigned char bytes[2];
    struct err err = ERR_INIT;
    (void)state;
    struct spread *spread = open_spread(&folder, 8);
    for (uint64_t at = 0; at < 4 * CHUNK_BYTES; at += 2) {
        for (uint64_t half = 0; half < 2; half++) {
            const uint64_t element = (at + half * 4 * CHUNK_BYTES) / 2;
            assert_int_equal(spread_read(spread, 0, 2 * element, bytes, 2, &err), 0);
            assert_int_equal(bytes[0], element);
        }
    }
    assert_int_equal(folder.reads, 8);
    close_spread(spread, &folder);
}

/* What fails is named, and may be tried again. */
static void test_failures(void **state)
{
    struct folder folder = {.is_local = 1};
    unsigned char bytes[4 * CHUNK_BYTES];
    struct err err = ERR_INIT;
    (void)state;
    struct spread *spread = open_spread(&folder, 4);
    folder.fail_after = 2;
    assert_int_equal(spread_read(spread, 0, 0, bytes, sizeof bytes, &err), ERR_NETWORK);
    assert_string_equal(err.message, "tensor w, its chunk at [6, 0]: in/02.distcp: connection lost");
    folder.fail_after = -1;
    folder.hidden = "in/03.distcp";
    err = (struct err)ERR_INIT;
    assert_int_equal(spread_read(spread, 0, 0, bytes, sizeof bytes, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "in/03.distcp: named by the metadata, but not there"));
    err = (struct err)ERR_INIT;
    assert_int_equal(spread_check_files(spread, &err), ERR_NOT_FOUND);
    folder.hidden = NULL;
    folder.files[3].size--;
    err = (struct err)ERR_INIT;
    assert_int_equal(spread_check_files(spread, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "in/03.distcp: truncated"));
    assert_int_equal(spread_check_files(spread, &err), ERR_FORMAT); /* as long as it is */
    folder.files[3].size++;
    assert_int_equal(spread_check_files(spread, &err), 0);
    close_spread(spread, &folder);
}

/* A chunk that is another than the metadata says. */
static void test_other_chunks(void **state)
{
    static const struct {
        const char *storage;
        int64_t rows;
        const char *says;
    } others[] = {{"ShortStorage", ROWS, "it is int16 [3, 2], and the metadata tells of float16 [3, 2]"},
                  {"HalfStorage", ROWS - 1, "it is float16 [2, 2], and the metadata tells of float16 [3, 2]"},
                  {"ComplexDoubleStorage", ROWS, "its dtype or form (complex128) is not read here"}};
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct folder folder = {.hidden = NULL};
        unsigned char bytes[CHUNK_BYTES];
        struct err err = ERR_INIT;
        struct spread *spread = open_other(&folder, 1, others[i].storage, others[i].rows);
        int code = spread_read(spread, 0, 0, bytes, sizeof bytes, &err);
        if (!code || !strstr(err.message, others[i].says))
            fail_msg("%s: %s", others[i].storage, err.message);
        close_spread(spread, &folder);
    }
}

/* Metadata is read once for all that read equal files, at the same time or one after the other, and again for
 * others. */
static void test_metadata_once(void **state)
{
    struct folder folders[3] = {{.content = "one"}, {.content = "one"}, {.content = "other"}};
    struct spread *spreads[3];
    (void)state;
    for (int i = 0; i < 3; i++)
        spreads[i] = open_spread(&folders[i], 4);
    assert_ptr_equal(spread_index(spreads[0]), spread_index(spreads[1]));
    assert_ptr_not_equal(spread_index(spreads[0]), spread_index(spreads[2]));
    const struct chunk_index *kept = spread_index(spreads[0]);
    for (int i = 0; i < 3; i++)
        close_spread(spreads[i], &folders[i]);
    spreads[0] = open_spread(&folders[0], 4);
    assert_ptr_equal(spread_index(spreads[0]), kept);
    close_spread(spreads[0], &folders[0]);
    for (int i = 0; i < 2; i++) {
        folders[i].content = NULL;
        spreads[i] = open_spread(&folders[i], 4);
    }
    assert_ptr_not_equal(spread_index(spreads[0]), spread_index(spreads[1]));
    for (int i = 0; i < 2; i++)
        close_spread(spreads[i], &folders[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_files),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_by_turns),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_other_chunks),
        cmocka_unit_test(test_fetched_at_once),
        cmocka_unit_test(test_failures_at_once),
        cmocka_unit_test(test_metadata_once),
        cmocka_unit_test(test_checked_files_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
