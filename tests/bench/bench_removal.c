/*
 * What others wait while a large model is removed: its rows go in parts, and every other write waits for the
 * part that is at work.
 *
 *     bench_removal PATH [LARGE_BYTES]      default: 20,000 bytes in each of two large values of a content
 *
 * Makes a database at PATH (which must not be there) with a model of 50,000 measured revisions beside 100 of
 * 154, removes that model, and writes a row of its own meanwhile, as a worker or a browser would, again and
 * again. Prints, for a while before, for the mark and for the deletion, how long it took and what those
 * writes waited: count, p50, p99, worst, in milliseconds. Without /dev/shm the disk counts as well. No test
 * fails on these numbers.
 */
#include "daemon/base/clock.h"
#include "store/models.h"
#include "store/removal.h"
#include "tests/bench/store_fill.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODELS 100
#define REVISIONS 154
#define WAITS_MAX 1000000
#define PAUSE_MS 2
#define ALONE_MS 5000

enum phase { PHASE_ALONE, PHASE_MARK, PHASE_DELETE, PHASE_OVER };

struct bench {
    struct store *store;
    _Atomic int phase;
    double *waits_ms[PHASE_OVER];
    size_t counts[PHASE_OVER];
};

static void *write_rows(void *context)
{
    struct bench *bench = context;
    char name[64];
    for (int i = 0; atomic_load(&bench->phase) != PHASE_OVER; i++) {
        struct err err = ERR_INIT;
        int64_t id = 0;
        int phase = atomic_load(&bench->phase);
        (void)snprintf(name, sizeof name, "other/model-%d", i);
        double begin_s = clock_monotonic_s();
        if (models_ensure(bench->store, name, MODEL_KIND_HUB, &id, &err))
            store_fill_stop("a write", &err);
        if (phase != PHASE_OVER && bench->counts[phase] < WAITS_MAX)
            bench->waits_ms[phase][bench->counts[phase]++] = 1000 * (clock_monotonic_s() - begin_s);
        clock_sleep_ms(PAUSE_MS);
    }
    return NULL;
}

static int compare(const void *left, const void *right)
{
    double one, other;
    memcpy(&one, left, sizeof one);
    memcpy(&other, right, sizeof other);
    return (one > other) - (one < other);
}

static void print(const struct bench *bench, enum phase phase, const char *name, double took_s)
{
    double *waits = bench->waits_ms[phase];
    size_t count = bench->counts[phase];
    if (!count)
        return;
    qsort(waits, count, sizeof *waits, compare);
    (void)printf("%-10s %8.1f s   %7zu writes waited: p50 %8.2f   p99 %8.2f   worst %8.2f ms\n", name, took_s,
                 count, waits[count / 2], waits[count * 99 / 100], waits[count - 1]);
}

/* What a content has beside its numbers. */
static void add_large(const char *path, long bytes)
{
    sqlite3 *db = NULL;
    char sql[512];
    if (sqlite3_open(path, &db) != SQLITE_OK)
        exit(1);
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA synchronous = OFF; INSERT INTO distributions SELECT content_id, 1, row_set, "
                   "token_rows, is_centred, 'float16', 1, 65536, randomblob(%ld) FROM statistics WHERE "
                   "content_id > %d AND is_centred = 0; "
                   "PRAGMA wal_checkpoint(TRUNCATE)",
                   bytes, MODELS * REVISIONS);
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        (void)fprintf(stderr, "bench_removal: %s\n", message);
        exit(1);
    }
    (void)sqlite3_close(db);
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    struct err err = ERR_INIT;
    struct removal_counts counts;
    char name[64];
    pthread_t writer;
    int64_t id = 0;
    int is_gone = 0;
    if (argc < 2 || access(argv[1], F_OK) == 0) {
        (void)fprintf(stderr, "usage: bench_removal PATH [LARGE_BYTES]; PATH must not be there\n");
        return 2;
    }
    if (store_open(argv[1], &bench.store, &err))
        store_fill_stop("the database", &err);
    store_close(bench.store);
    store_fill_database(argv[1], MODELS, REVISIONS);
    add_large(argv[1], argc > 2 ? strtol(argv[2], NULL, 10) : 20000);
    if (store_open(argv[1], &bench.store, &err))
        store_fill_stop("the database", &err);
    for (int i = 0; i < PHASE_OVER; i++)
        bench.waits_ms[i] = calloc(WAITS_MAX, sizeof *bench.waits_ms[i]);
    (void)snprintf(name, sizeof name, "owner-%03d/model-%05d", (MODELS + 1) % 100, MODELS + 1);
    if (pthread_create(&writer, NULL, write_rows, &bench))
        return 1;
    clock_sleep_ms(ALONE_MS);
    double begin_s = clock_monotonic_s();
    atomic_store(&bench.phase, PHASE_MARK);
    if (removal_begin(bench.store, name, &counts, &err))
        store_fill_stop("the mark", &err);
    double marked_s = clock_monotonic_s();
    atomic_store(&bench.phase, PHASE_DELETE);
    if (removal_next(bench.store, 0, &id, name, sizeof name, &err) ||
        removal_finish(bench.store, id, NULL, NULL, &is_gone, &err))
        store_fill_stop("the deletion", &err);
    double end_s = clock_monotonic_s();
    atomic_store(&bench.phase, PHASE_OVER);
    (void)pthread_join(writer, NULL);
    (void)printf("%lld revisions, %lld contents, %lld MB of large values\n", (long long)counts.revisions,
                 (long long)counts.contents, (long long)counts.size_bytes / 1000000);
    print(&bench, PHASE_ALONE, "alone", ALONE_MS / 1000.0);
    print(&bench, PHASE_MARK, "mark", marked_s - begin_s);
    print(&bench, PHASE_DELETE, "deletion", end_s - marked_s);
    store_close(bench.store);
    for (int i = 0; i < PHASE_OVER; i++)
        free(bench.waits_ms[i]);
    return is_gone ? 0 : 1;
}
