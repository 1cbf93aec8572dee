/* Tensors by several threads: the bytes of the file, in order, whoever reads; faults, cancelling, a file cut
 * short. */
#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/measure/tensor_reader.h"
#include "tests/tools/one_file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define PIECE (4 * MIB) /* as the reader cuts */
#define HEADER_BYTES 4096
#define GUARD 0xa5

/* By name, as a checkpoint sorts them. */
static const size_t sizes[] = {2 * PIECE + 5, 0, 1, PIECE, PIECE + 1, 70001, 17};
enum { COUNT = COUNT_OF(sizes) };

/* -- A source that watches its readers ------------------------------------------------------------- */

struct watch {
    pthread_t caller;
    atomic_int reads, of_others, inside, inside_max;
    atomic_int fail_at, cancel_at; /* from that read on: the first may be held up while others go on */
    atomic_int meet;               /* a read waits until so many are inside */
    atomic_bool cancel;
};

struct watching_source {
    struct source source;
    struct source *inner;
    struct watch *watch;
};

static int watching_read(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    struct watching_source *watching = (struct watching_source *)source;
    struct watch *watch = watching->watch;
    int64_t end_ms = clock_monotonic_ms() + 60000;
    const int fail_at = atomic_load(&watch->fail_at), cancel_at = atomic_load(&watch->cancel_at);
    int number = atomic_fetch_add(&watch->reads, 1) + 1, code = 0;
    int inside = atomic_fetch_add(&watch->inside, 1) + 1;
    if (inside > atomic_load(&watch->inside_max))
        atomic_store(&watch->inside_max, inside);
    if (!pthread_equal(pthread_self(), watch->caller))
        atomic_fetch_add(&watch->of_others, 1);
    while (atomic_load(&watch->inside_max) < atomic_load(&watch->meet) && clock_monotonic_ms() < end_ms)
        clock_sleep_ms(1);
    if (cancel_at && number >= cancel_at)
        atomic_store(&watch->cancel, true);
    if (fail_at && number >= fail_at)
        code = err_set(err, ERR_IO, "%s: read %d failed", source->name, number);
    else
        code = source_read(watching->inner, offset, data, size, err);
    atomic_fetch_sub(&watch->inside, 1);
    return code;
}

static void watching_close(struct source *source)
{
    source_close(((struct watching_source *)source)->inner);
    free(source);
}

static const struct source_ops at_once = {.read = watching_read, .close = watching_close, .reads_at_once = 1};
static const struct source_ops one_by_one = {.read = watching_read, .close = watching_close};

/* -- A file of tensors ----------------------------------------------------------------------------- */

struct bench {
    struct watch watch;
    struct checkpoint *checkpoint;
    struct checkpoint_tensor tensors[COUNT];
    struct tensor_read reads[COUNT];
    unsigned char *data[COUNT]; /* with one more byte, that nobody may touch */
    size_t noted[COUNT], noted_count;
    size_t offset[COUNT];
};

static unsigned char *file_bytes;
static size_t file_size;

static int make_file(void **state)
{
    char header[HEADER_BYTES];
    size_t length = 8, at = 0, total = 0;
    uint64_t seed = 7, header_size = HEADER_BYTES - 8;
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        total += sizes[i];
    file_size = HEADER_BYTES + total;
    file_bytes = malloc(file_size);
    if (!file_bytes)
        return -1;
    for (size_t i = 0; i < COUNT; i++, at += sizes[i - 1])
        length += (size_t)snprintf(header + length, sizeof header - length,
                                   "%s\"t%zu\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[%zu,%zu]}",
                                   i ? "," : "{", i, sizes[i], at, at + sizes[i]);
    header[length++] = '}';
    memset(header + length, ' ', sizeof header - length);
    memcpy(header, &header_size, sizeof header_size);
    memcpy(file_bytes, header, sizeof header);
    for (size_t i = HEADER_BYTES; i < file_size; i += sizeof seed) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        memcpy(file_bytes + i, &seed, file_size - i < sizeof seed ? file_size - i : sizeof seed);
    }
    return 0;
}

static int free_file(void **state)
{
    (void)state;
    free(file_bytes);
    return 0;
}

static void bench_open(struct bench *bench, struct source *inner, const struct source_ops *ops)
{
    struct watching_source *watching = calloc(1, sizeof *watching);
    size_t at = HEADER_BYTES;
    assert_non_null(watching);
    *bench = (struct bench){.watch = {.caller = pthread_self()}};
    watching->source = (struct source){.ops = ops, .name = inner->name, .size_bytes = inner->size_bytes};
    watching->inner = inner;
    watching->watch = &bench->watch;
    OK(one_file_open("model.safetensors", &watching->source, &bench->checkpoint, &err));
    for (size_t i = 0; i < COUNT; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "t%zu", i);
        OK(checkpoint_find(bench->checkpoint, name, &bench->tensors[i], &err));
        bench->data[i] = malloc(sizes[i] + 1);
        assert_non_null(bench->data[i]);
        memset(bench->data[i], GUARD, sizes[i] + 1);
        bench->reads[i] = (struct tensor_read){
            .checkpoint = bench->checkpoint, .tensor = &bench->tensors[i], .data = bench->data[i]};
        bench->offset[i] = at;
        at += sizes[i];
    }
    atomic_store(&bench->watch.reads, 0); /* of the header */
}

static void bench_open_memory(struct bench *bench, const struct source_ops *ops)
{
    struct source *inner = NULL;
    OK(source_open_memory("memory", file_bytes, file_size, &inner, &err));
    bench_open(bench, inner, ops);
}

static void bench_close(struct bench *bench)
{
    checkpoint_close(bench->checkpoint);
    for (size_t i = 0; i < COUNT; i++)
        free(bench->data[i]);
}

/* What is told of is there. */
static void note(void *context, size_t index)
{
    struct bench *bench = context;
    bench->noted[bench->noted_count++] = index;
    assert_true(pthread_equal(pthread_self(), bench->watch.caller));
    assert_memory_equal(bench->data[index], file_bytes + bench->offset[index], sizes[index]);
}

static int run(struct bench *bench, int threads, struct err *err)
{
    return tensor_reader_run(bench->reads, COUNT, threads, &bench->watch.cancel, note, bench, err);
}

static void check_all(const struct bench *bench)
{
    assert_int_equal(bench->noted_count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(bench->noted[i], i);
        assert_memory_equal(bench->data[i], file_bytes + bench->offset[i], sizes[i]);
        assert_int_equal(bench->data[i][sizes[i]], GUARD);
    }
    assert_int_equal(bench->watch.inside, 0);
}

static void the_same_bytes_by_any_number_of_threads(void **state)
{
    (void)state;
    static const int threads[] = {0, 1, 2, 3, TENSOR_READER_THREADS_MAX, 1000};
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        struct bench bench;
        bench_open_memory(&bench, &at_once);
        OK(run(&bench, threads[i], &err));
        check_all(&bench);
        assert_int_equal(bench.watch.reads, 3 + 0 + 1 + 1 + 2 + 1 + 1); /* pieces: each byte once */
        if (threads[i] == 1)
            assert_int_equal(bench.watch.of_others, 0);
        bench_close(&bench);
    }
}

static void several_read_at_once(void **state)
{
    struct bench bench;
    (void)state;
    bench_open_memory(&bench, &at_once);
    bench.watch.meet = 3;
    OK(run(&bench, 3, &err));
    check_all(&bench);
    assert_int_equal(bench.watch.inside_max, 3);
    assert_true(bench.watch.of_others > 0);
    bench_close(&bench);
}

/* It fetches in parallel itself, and would ask for each piece alone. */
static void what_comes_over_a_network_is_asked_for_whole(void **state)
{
    struct bench bench;
    (void)state;
    bench_open_memory(&bench, &one_by_one);
    OK(run(&bench, 8, &err));
    check_all(&bench);
    assert_int_equal(bench.watch.reads, COUNT - 1); /* one is empty */
    assert_int_equal(bench.watch.of_others, 0);
    bench_close(&bench);
}

static void what_is_in_memory_is_copied(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct bench bench;
        bench_open_memory(&bench, i ? &at_once : &one_by_one);
        bench.reads[0].copy_of = file_bytes + bench.offset[0];
        bench.reads[1].copy_of = file_bytes; /* an empty one */
        bench.reads[0].checkpoint = bench.reads[1].checkpoint = NULL;
        OK(run(&bench, 3, &err));
        check_all(&bench);
        assert_int_equal(bench.watch.reads, i ? 6 : COUNT - 2);
        bench_close(&bench);
    }
}

static void a_fault_is_told_and_ends_it(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 4; threads += 3) {
        for (int at = 1; at <= 9; at += 4) {
            struct bench bench;
            bench_open_memory(&bench, &at_once);
            bench.watch.fail_at = at;
            FAILS(ERR_IO, "failed", run(&bench, threads, &err));
            assert_true(bench.noted_count < COUNT);
            assert_int_equal(bench.watch.inside, 0);
            assert_true(bench.watch.reads < at + threads); /* what was under way ended, no more was begun */
            bench_close(&bench);
        }
    }
}

static void it_is_cancelled_between_two_pieces(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        for (int threads = 1; threads <= 4; threads += 3) {
            struct bench bench;
            bench_open_memory(&bench, kind ? &at_once : &one_by_one);
            bench.watch.cancel_at = 2;
            FAILS(ERR_CANCELLED, "cancelled", run(&bench, threads, &err));
            assert_true(bench.watch.reads < 2 + threads);
            assert_int_equal(bench.watch.inside, 0);
            bench_close(&bench);
        }
    }
}

/* A trainer that saves again, wherever the reading thread was. */
static void a_file_that_is_cut_short_meanwhile(void **state)
{
    const char *path = fixture_path(*state, "model.safetensors");
    for (int threads = 1; threads <= 4; threads += 3) {
        struct bench bench;
        struct source *inner = NULL;
        fixture_write(path, file_bytes, file_size);
        OK(source_open_changing_file(path, &inner, &err));
        bench_open(&bench, inner, &at_once);
        assert_int_equal(truncate(path, HEADER_BYTES + 100), 0);
        FAILS(ERR_MISMATCH, "model.safetensors changed while it was read", run(&bench, threads, &err));
        bench_close(&bench);
    }
}

static void a_file_is_read_by_threads_of_its_own(void **state)
{
    const char *path = fixture_path(*state, "model.safetensors");
    struct bench bench;
    struct source *inner = NULL, *found = NULL;
    uint64_t offset = 0;
    fixture_write(path, file_bytes, file_size);
    OK(source_open_file(path, &inner, &err));
    assert_true(source_reads_at_once(inner));
    bench_open(&bench, inner, &at_once);
    OK(run(&bench, 0, &err));
    check_all(&bench);
    assert_true(checkpoint_locate(bench.checkpoint, &bench.tensors[3], &found, &offset));
    assert_int_equal(offset, bench.offset[3]);
    OK(tensor_reader_run(NULL, 0, 0, NULL, NULL, NULL, &err));
    bench_close(&bench);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, fixture_make_folder, fixture_remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bytes_by_any_number_of_threads),
        cmocka_unit_test(several_read_at_once),
        cmocka_unit_test(what_comes_over_a_network_is_asked_for_whole),
        cmocka_unit_test(what_is_in_memory_is_copied),
        cmocka_unit_test(a_fault_is_told_and_ends_it),
        cmocka_unit_test(it_is_cancelled_between_two_pieces),
        IN_FOLDER(a_file_that_is_cut_short_meanwhile),
        IN_FOLDER(a_file_is_read_by_threads_of_its_own),
    };
    return cmocka_run_group_tests(tests, make_file, free_file);
}
