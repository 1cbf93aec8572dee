/*
 * What others wait while a large model is removed, and while retention deletes: rows go in parts, every other
 * write waits for the part that is at work, and a plan for the parts between two plans.
 *
 *     bench_removal PATH [LARGE_BYTES]      default: 20,000 bytes in each of two large values of a content
 *
 * Makes a database at PATH (which must not be there) with a model of 50,000 measured revisions beside 100 of
 * 154, and lets a daemon's planner work on it. Meanwhile a row is written, and a sweep of a folder with one
 * checkpoint asked for, again and again, as workers and users would. Prints, for a while before, for the
 * mark, for the deletion, and for retention of the others' 15,400 large values, how long it took, and what
 * those writes and plans waited: count, p50, p99, worst, in milliseconds. Without /dev/shm the disk counts as
 * well. No test fails on these numbers.
 */
#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"
#include "daemon/planning.h"
#include "store/models.h"
#include "store/removal.h"
#include "store/sweeps.h"
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
#define LOOK_MS 50
#define ALONE_MS 5000

enum phase { PHASE_ALONE, PHASE_MARK, PHASE_DELETE, PHASE_RETENTION, PHASE_OVER };
static const char *const PHASES[] = {"alone", "mark", "deletion", "retention"};

/* What one kind of work waited, in each phase. */
struct waits {
    double *ms[PHASE_OVER];
    size_t counts[PHASE_OVER];
};

struct bench {
    const char *path;
    char folder[4096]; /* of the model that is planned */
    struct store *store;
    struct hub *hub;
    struct references *references;
    struct reserve *reserve;
    struct planning *planning;
    _Atomic int phase;
    atomic_bool is_stopping;
    double took_s[PHASE_OVER];
    struct waits writes, plans;
};

static void check(int code, const char *what, const struct err *err)
{
    if (code)
        store_fill_stop(what, err);
}

/* -- Work beside it -------------------------------------------------------------------------------------- */

static void note(struct waits *waits, int phase, double begin_s)
{
    if (phase != PHASE_OVER && waits->counts[phase] < WAITS_MAX)
        waits->ms[phase][waits->counts[phase]++] = 1000 * (clock_monotonic_s() - begin_s);
}

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
        check(models_ensure(bench->store, name, MODEL_KIND_HUB, &id, &err), "a write", &err);
        note(&bench->writes, phase, begin_s);
        clock_sleep_ms(PAUSE_MS);
    }
    return NULL;
}

static void plan_once(struct bench *bench, int64_t model_id)
{
    struct err err = ERR_INIT;
    struct sweep_request request = {.model_id = model_id, .request = "{\"metrics\":[\"statistics\"]}"};
    struct sweep_row row = {.state = SWEEP_STATE_PLANNING};
    int64_t id = 0;
    int phase = atomic_load(&bench->phase);
    double begin_s = clock_monotonic_s();
    check(sweeps_create(bench->store, &request, &id, NULL, &err), "a sweep", &err);
    while (row.state == SWEEP_STATE_PLANNING) {
        uint64_t version = store_version(bench->store);
        check(sweeps_get(bench->store, id, &row, &err), "a sweep", &err);
        if (row.state == SWEEP_STATE_PLANNING)
            (void)store_wait_change(bench->store, version, LOOK_MS, NULL);
    }
    note(&bench->plans, phase, begin_s);
    if (row.state != SWEEP_STATE_RUNNING) {
        (void)fprintf(stderr, "bench_removal: the plan failed: %s\n", row.error_message);
        exit(1);
    }
    check(sweeps_cancel(bench->store, id, &err), "the end of a sweep", &err);
}

static void *plan_sweeps(void *context)
{
    struct bench *bench = context;
    struct err err = ERR_INIT;
    int64_t model_id = 0;
    char name[4200];
    (void)snprintf(name, sizeof name, "file:%s", bench->folder);
    check(models_ensure(bench->store, name, MODEL_KIND_FOLDER, &model_id, &err), "a folder", &err);
    while (atomic_load(&bench->phase) != PHASE_OVER) {
        plan_once(bench, model_id);
        clock_sleep_ms(PAUSE_MS);
    }
    return NULL;
}

/* -- What is made for it --------------------------------------------------------------------------------- */

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_busy_timeout(db, 60000) != SQLITE_OK ||
        sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        (void)fprintf(stderr, "bench_removal: %s\n", message ? message : path);
        exit(1);
    }
    (void)sqlite3_close(db);
}

/* What a content has beside its numbers. */
static void add_large(const char *path, long bytes)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA synchronous = OFF; INSERT INTO distributions SELECT content_id, 1, row_set, "
                   "token_rows, is_centred, 'float16', 1, 65536, randomblob(%ld) FROM statistics WHERE "
                   "is_centred = 0; PRAGMA wal_checkpoint(TRUNCATE)",
                   bytes);
    run_sql(path, sql);
}

/* A checkpoint of one tensor of two numbers. */
static void make_folder(struct bench *bench)
{
    static const char config[] =
        "{\"model_type\":\"gpt_neox\",\"hidden_size\":1,\"vocab_size\":2,\"num_hidden_layers\":1}";
    static const char header[] =
        "{\"embed_out.weight\":{\"dtype\":\"F16\",\"shape\":[2,1],\"data_offsets\":[0,4]}}";
    struct err err = ERR_INIT;
    struct buf weights;
    char path[4200];
    const uint64_t size = sizeof header - 1;
    (void)snprintf(bench->folder, sizeof bench->folder, "%s-model", bench->path);
    (void)snprintf(path, sizeof path, "%s/step0", bench->folder);
    check(file_make_folders(path, 0700, &err), "a folder", &err);
    (void)snprintf(path, sizeof path, "%s/step0/config.json", bench->folder);
    check(file_write_atomic(path, config, sizeof config - 1, 0600, &err), "a file", &err);
    buf_init(&weights, 4096);
    (void)buf_append(&weights, &size, sizeof size);
    (void)buf_append(&weights, header, sizeof header - 1);
    (void)buf_append(&weights, "\0\0\0\0", 4);
    (void)snprintf(path, sizeof path, "%s/step0/model.safetensors", bench->folder);
    check(file_write_atomic(path, weights.data, weights.size, 0600, &err), "a file", &err);
    buf_free(&weights);
}

/* The rest of what a planner wants; it keeps nothing and asks no hub. */
static void open_others(struct bench *bench)
{
    struct hub_options options = {0};
    struct err err = ERR_INIT;
    char state[4200];
    (void)snprintf(state, sizeof state, "%s-state", bench->path);
    const struct references_options references = {.state_folder = state};
    check(file_make_folders(state, 0700, &err), "a folder", &err);
    check(references_new(&references, &bench->references, &err), "references", &err);
    check(reserve_new(state, &bench->reserve, &err), "a reserve", &err);
    check(hub_options_from_environment(&options, &err), "the hub", &err);
    options.is_offline = 1;
    check(hub_open(&options, &bench->hub, &err), "the hub", &err);
    hub_options_free(&options);
}

static void start_planning(struct bench *bench, int64_t retention_days)
{
    struct err err = ERR_INIT;
    const struct planning_options options = {.store = bench->store,
                                             .hub = bench->hub,
                                             .references = bench->references,
                                             .reserve = bench->reserve,
                                             .lister_threads = 1,
                                             .state = bench->folder,
                                             .retention_days = retention_days,
                                             .is_stopping = &bench->is_stopping};
    atomic_store(&bench->is_stopping, 0);
    check(planning_start(&options, &bench->planning, &err), "the planner", &err);
}

static void stop_planning(struct bench *bench)
{
    atomic_store(&bench->is_stopping, 1);
    store_wake(bench->store);
    planning_stop(bench->planning);
}

/* -- The phases ------------------------------------------------------------------------------------------ */

static int is_there(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        exit(1);
    const int is_row = sqlite3_step(statement) == SQLITE_ROW;
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return is_row;
}

/* Until there are none any more of what that statement finds. */
static void run_phase(struct bench *bench, enum phase phase, double begin_s, const char *sql)
{
    atomic_store(&bench->phase, (int)phase);
    while (is_there(bench->path, sql))
        clock_sleep_ms(LOOK_MS);
    bench->took_s[phase] = clock_monotonic_s() - begin_s;
}

static void run_phases(struct bench *bench)
{
    struct removal_counts counts;
    struct err err = ERR_INIT;
    char name[64];
    (void)snprintf(name, sizeof name, "owner-%03d/model-%05d", (MODELS + 1) % 100, MODELS + 1);
    start_planning(bench, 0);
    clock_sleep_ms(ALONE_MS);
    bench->took_s[PHASE_ALONE] = ALONE_MS / 1000.0;
    double begin_s = clock_monotonic_s();
    atomic_store(&bench->phase, PHASE_MARK);
    check(removal_begin(bench->store, name, &counts, &err), "the mark", &err);
    bench->took_s[PHASE_MARK] = clock_monotonic_s() - begin_s;
    (void)printf("%lld revisions, %lld contents, %lld MB of large values\n", (long long)counts.revisions,
                 (long long)counts.contents, (long long)counts.size_bytes / 1000000);
    run_phase(bench, PHASE_DELETE, clock_monotonic_s(), "SELECT 1 FROM models WHERE removed IS NOT NULL");
    run_sql(bench->path, "UPDATE revisions SET is_current = 0");
    stop_planning(bench);
    start_planning(bench, 1);
    run_phase(bench, PHASE_RETENTION, clock_monotonic_s(), "SELECT 1 FROM distributions");
    atomic_store(&bench->phase, PHASE_OVER);
}

/* -- What is told ---------------------------------------------------------------------------------------- */

static int compare(const void *left, const void *right)
{
    double one, other;
    memcpy(&one, left, sizeof one);
    memcpy(&other, right, sizeof other);
    return (one > other) - (one < other);
}

static void print(const struct bench *bench, const struct waits *waits, const char *what)
{
    for (int phase = 0; phase < PHASE_OVER; phase++) {
        double *ms = waits->ms[phase];
        size_t count = waits->counts[phase];
        if (!count)
            continue;
        qsort(ms, count, sizeof *ms, compare);
        (void)printf("%-10s %8.1f s   %7zu %s waited: p50 %8.2f   p99 %8.2f   worst %8.2f ms\n",
                     PHASES[phase], bench->took_s[phase], count, what, ms[count / 2], ms[count * 99 / 100],
                     ms[count - 1]);
    }
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct err err = ERR_INIT;
    pthread_t writer, planner;
    if (argc < 2 || access(argv[1], F_OK) == 0) {
        (void)fprintf(stderr, "usage: bench_removal PATH [LARGE_BYTES]; PATH must not be there\n");
        return 2;
    }
    log_configure(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
    bench.path = argv[1];
    check(store_open(bench.path, &bench.store, &err), "the database", &err);
    store_close(bench.store);
    store_fill_database(bench.path, MODELS, REVISIONS);
    add_large(bench.path, argc > 2 ? strtol(argv[2], NULL, 10) : 20000);
    check(store_open(bench.path, &bench.store, &err), "the database", &err);
    make_folder(&bench);
    open_others(&bench);
    for (int i = 0; i < PHASE_OVER; i++) {
        bench.writes.ms[i] = calloc(WAITS_MAX, sizeof(double));
        bench.plans.ms[i] = calloc(WAITS_MAX, sizeof(double));
    }
    if (pthread_create(&writer, NULL, write_rows, &bench) ||
        pthread_create(&planner, NULL, plan_sweeps, &bench))
        return 1;
    run_phases(&bench);
    (void)pthread_join(writer, NULL);
    (void)pthread_join(planner, NULL);
    stop_planning(&bench);
    print(&bench, &bench.writes, "writes");
    print(&bench, &bench.plans, "plans");
    hub_close(bench.hub);
    reserve_free(bench.reserve);
    references_free(bench.references);
    store_close(bench.store);
    for (int i = 0; i < PHASE_OVER; i++) {
        free(bench.writes.ms[i]);
        free(bench.plans.ms[i]);
    }
    return 0;
}
