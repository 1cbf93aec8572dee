/*
 * The store at size: makes a database of MODELS x REVISIONS measured revisions (and one model with a series
 * of 50,000), then times every read at random places, and claims and records in a queue of 100,000 tasks.
 *
 *     bench_store PATH [MODELS [REVISIONS]]      defaults: 9400 models of 154 revisions, 1.5 million in all
 *
 * A database that is at PATH already is used as it is. Prints one line per operation: count, p50, p99, worst,
 * in microseconds; then once more each read with none of the database in memory. No test fails on these
 * numbers.
 */
#include "daemon/base/clock.h"
#include "store/distributions.h"
#include "store/models.h"
#include "store/series.h"
#include "store/sweeps.h"
#include "store/tasks.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LONG_SERIES 50000
#define QUEUE_TASKS 100000
#define DISTRIBUTIONS 154 /* of the first model */

struct bench {
    struct store *store;
    int64_t models, revisions; /* short ones */
    uint64_t random;
    int64_t long_model_id;
    const char *path;
};

static uint64_t draw(struct bench *bench, uint64_t below)
{
    bench->random ^= bench->random << 13;
    bench->random ^= bench->random >> 7;
    bench->random ^= bench->random << 17;
    return bench->random % below;
}

static void stop(const char *what, const struct err *err)
{
    (void)fprintf(stderr, "bench_store: %s: %s\n", what, err->message);
    exit(1);
}

/* -- Making the database -------------------------------------------------------------------------------- */

static void run_sql(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    double begin = clock_monotonic_s();
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        (void)fprintf(stderr, "bench_store: %s: %.80s\n", message, sql);
        exit(1);
    }
    if (clock_monotonic_s() - begin > 1)
        (void)fprintf(stderr, "  %6.1f s  %.70s...\n", clock_monotonic_s() - begin, sql);
}

/* Rows are written by SQL, in the order of their keys, since 1.5 million recorded tasks would take an hour.
 */
static const char *const FILL[] = {
    "INSERT INTO models (id, name, kind, model_type, vocabulary_size, token_rows, hidden_size, layers, "
    "parameter_count, "
    "tensor, revision_count, measured_count, created_ms, updated_ms) SELECT i, "
    "printf('owner-%03d/model-%05d', i % 100, "
    "i), 'hub', 'gpt_neox', 50304, 50277, 512, 6, 70000000, 'embed_out.weight', n, n, 1, 1 FROM shape",
    "INSERT INTO revisions (id, model_id, name, commit_sha, step, first_seen_ms) SELECT first + j, i, "
    "printf('step%d', j * 1000), lower(hex(randomblob(20))), j * 1000, 1 FROM shape, counter WHERE j < n",
    "INSERT INTO files (revision_id, path, size_bytes, digest, digest_kind) SELECT id, 'model.safetensors', "
    "166000000, "
    "lower(hex(randomblob(32))), 'sha256' FROM revisions",
    "INSERT INTO contents (id, digest, dtype, rows, columns, size_bytes) SELECT id, "
    "lower(hex(randomblob(32))), "
    "'float16', 50304, 512, 51511296 FROM revisions",
    "INSERT INTO revision_tensors (revision_id, tensor, content_id, token_rows, definition, backend, "
    "file_path, "
    "file_digest, fetched_bytes, measured_ms) SELECT r.id, 'embed_out.weight', r.id, 50277, 1, 'cpu', "
    "f.path, f.digest, "
    "51511296, 1 FROM revisions r JOIN files f ON f.revision_id = r.id",
    "INSERT INTO statistics SELECT c.id, 1, 'cpu', v.column1, v.column2, v.column3, 25755648, 0, 0, 0, 12, "
    "random()/1e19, random()/1e19, random()/1e19, random()/1e19, random()/1e19, random()/1e19, "
    "random()/1e19, "
    "random()/1e19, random()/1e19, random()/1e19, random()/1e19, random()/1e19, random()/1e19, "
    "random()/1e19, "
    "random()/1e19, random()/1e19, random()/1e19, random()/1e19, random()/1e19, random()/1e19, "
    "random()/1e19, "
    "random()/1e19, random()/1e19, random()/1e19, random()/1e19, random()/1e19, random()/1e19, "
    "random()/1e19, "
    "random()/1e19, random()/1e19 FROM contents c CROSS JOIN "
    "(VALUES ('all', 0, 0), ('all', 0, 1), ('tokens', 50277, 0), ('tokens', 50277, 1)) v",
    "INSERT INTO displacements SELECT r.id, CASE v.column1 WHEN 0 THEN f.id ELSE r.id - 1 END, 1, 'cpu', "
    "v.column2, "
    "v.column3, 25755648, random()/1e19, random()/1e19, random()/1e19, random()/1e19, NULL FROM revisions r "
    "CROSS JOIN (SELECT first AS id, i FROM shape) f ON f.i = r.model_id CROSS JOIN (VALUES (0, 'all', 0), "
    "(0, 'tokens', 50277), (1, 'all', 0), (1, 'tokens', 50277)) v WHERE r.step > 0 AND (v.column1 = 0 OR "
    "r.step > 1000)",
    "INSERT INTO series_links SELECT r.id, 'embed_out.weight', v.column1, CASE v.column1 WHEN 'first' THEN "
    "f.id ELSE "
    "r.id - 1 END, CASE v.column1 WHEN 'first' THEN f.id ELSE r.id - 1 END, 50277, 1, 'cpu' FROM revisions r "
    "CROSS JOIN "
    "(SELECT first AS id, i FROM shape) f ON f.i = r.model_id CROSS JOIN (VALUES ('first'), ('previous')) v "
    "WHERE r.step > 0",
    "INSERT INTO perplexities (id, weights_digest, dataset_digest, tokenizer_digest, mode, parameters, "
    "precision, "
    "backend, definition, documents, tokens, nll_sum, perplexity, perplexity_stderr, accuracy, "
    "accuracy_stderr, seconds, "
    "measured_ms) SELECT id, digest, 'data', 'tokenizer', 'last_word', '{}', 'float32', 'cpu', 1, 5153, "
    "6500, 1, 2, 3, "
    "4, 5, 6, 7 FROM contents",
    "INSERT INTO revision_weights SELECT id, digest FROM contents",
    "INSERT INTO revision_perplexities SELECT id, 'last_word', id FROM contents",
    "INSERT INTO sweeps (id, model_id, state, request, priority, created_ms, started_ms, finished_ms, "
    "tasks_done) "
    "SELECT i, i, 'done', '{}', 0, 1, 1, 1, n FROM shape",
    "INSERT INTO tasks (id, sweep_id, revision_id, ordinal, state, attempts, worker, claimed_ms, "
    "finished_ms) "
    "SELECT id, model_id, id, step / 1000, 'done', 1, 'local/1', 1, 1 FROM revisions",
    "INSERT INTO task_events (task_id, at_ms, event, worker, detail) SELECT t.id, 1, v.column1, 'local/1', "
    "'' "
    "FROM tasks t CROSS JOIN (VALUES ('plan'), ('claim'), ('record')) v",
    "PRAGMA wal_checkpoint(TRUNCATE)",
};

static void fill(const struct bench *bench, const char *path)
{
    sqlite3 *db = NULL;
    char sql[512];
    if (sqlite3_open(path, &db) != SQLITE_OK)
        exit(1);
    run_sql(db, "PRAGMA synchronous = OFF; PRAGMA cache_size = -400000");
    /* Two tables of this connection: each model with its number of revisions and first id; the numbers from
     * 0. */
    run_sql(db, "CREATE TEMP TABLE shape (i INTEGER PRIMARY KEY, n INTEGER, first INTEGER);"
                "CREATE TEMP TABLE counter (j INTEGER PRIMARY KEY)");
    (void)snprintf(
        sql, sizeof sql,
        "INSERT INTO shape WITH RECURSIVE m(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM m WHERE "
        "i <= %lld) SELECT i, CASE WHEN i <= %lld THEN %lld ELSE %d END, (i - 1) * %lld + 1 FROM m",
        (long long)bench->models, (long long)bench->models, (long long)bench->revisions, LONG_SERIES,
        (long long)bench->revisions);
    run_sql(db, sql);
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO counter WITH RECURSIVE c(j) AS (SELECT 0 UNION ALL SELECT j + 1 FROM c WHERE "
                   "j < %d) SELECT j FROM c",
                   LONG_SERIES);
    run_sql(db, sql);
    for (size_t i = 0; i < sizeof FILL / sizeof FILL[0]; i++)
        run_sql(db, FILL[i]);
    (void)sqlite3_close(db);
    /* The gigabytes that the kernel still has to write would be what the reads then wait for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd)) {
        perror(path);
        exit(1);
    }
    (void)close(fd);
}

struct running {
    int64_t ids[100];
    int count;
};

static int take_running(void *context, const struct sweep_row *row)
{
    struct running *running = context;
    running->ids[running->count++] = row->id;
    return running->count == (int)(sizeof running->ids / sizeof running->ids[0]);
}

/* What an earlier run has left in the queue would be passed over, task by task. */
static void empty_queue(struct bench *bench)
{
    enum sweep_state state = SWEEP_STATE_RUNNING;
    struct err err = ERR_INIT;
    struct running running;
    do {
        running.count = 0;
        if (sweeps_list(bench->store, 0, &state, INT64_MAX, 100, take_running, &running, &err))
            stop("queue", &err);
        for (int i = 0; i < running.count; i++) {
            if (sweeps_cancel(bench->store, running.ids[i], &err))
                stop("queue", &err);
        }
    } while (running.count);
}

/* A queue of 100,000 tasks: four sweeps over halves of the long series, two of them of lower priority. */
static void make_queue(struct bench *bench)
{
    struct err err = ERR_INIT;
    enum { HALF = LONG_SERIES / 2 };
    struct task_plan *plans = calloc(HALF, sizeof *plans);
    if (!plans)
        exit(1);
    for (int sweep = 0; sweep < QUEUE_TASKS / HALF; sweep++) {
        int64_t id = 0, first = bench->models * bench->revisions + 1 + sweep % 2 * HALF;
        struct sweep_request request = {
            .model_id = bench->long_model_id, .request = "{}", .priority = sweep < 2 ? 1 : 0};
        for (int64_t i = 0; i < HALF; i++)
            plans[i] = (struct task_plan){.revision_id = first + i, .ordinal = i, .bytes_expected = 1};
        if (sweeps_create(bench->store, &request, &id, NULL, &err) ||
            tasks_plan(bench->store, id, plans, HALF, &err) || sweeps_start(bench->store, id, &err))
            stop("queue", &err);
    }
    free(plans);
}

/* -- Operations ----------------------------------------------------------------------------------------- */

static int take_series(void *context, const struct series_row *row)
{
    *(double *)context += row->statistics[0].mean;
    return 0;
}

static int take_model(void *context, const struct model_row *row)
{
    *(double *)context += (double)row->id;
    return 0;
}

static int take_revision(void *context, const struct revision_row *row)
{
    *(double *)context += (double)row->id;
    return 0;
}

static int take_file(void *context, const struct revision_row *revision, const struct revision_file_row *file)
{
    *(double *)context += (double)(revision->id + file->size_bytes);
    return 0;
}

static int take_sweep(void *context, const struct sweep_row *row)
{
    *(double *)context += (double)row->id;
    return 0;
}

static int take_task(void *context, const struct task_row *row)
{
    *(double *)context += (double)row->id;
    return 0;
}

static int take_event(void *context, const struct task_event_row *row)
{
    *(double *)context += (double)row->id;
    return 0;
}

static int64_t any_model(struct bench *bench)
{
    return 1 + (int64_t)draw(bench, (uint64_t)bench->models);
}

static int64_t any_revision(struct bench *bench)
{
    return 1 + (int64_t)draw(bench, (uint64_t)(bench->models * bench->revisions));
}

static int read_model(struct bench *bench, double *sum, struct err *err)
{
    struct model_row row;
    char name[64];
    int64_t id = any_model(bench);
    (void)snprintf(name, sizeof name, "owner-%03d/model-%05d", (int)(id % 100), (int)id);
    int rc = models_find(bench->store, name, &row, err);
    *sum += rc ? 0 : (double)row.id;
    return rc;
}

static int read_version(struct bench *bench, double *sum, struct err *err)
{
    char name[64];
    int64_t id = any_model(bench), found = 0;
    uint64_t version = 0;
    (void)snprintf(name, sizeof name, "owner-%03d/model-%05d", (int)(id % 100), (int)id);
    int rc = models_version(bench->store, name, &found, &version, err);
    *sum += (double)found;
    return rc;
}

static int read_models(struct bench *bench, double *sum, struct err *err)
{
    char after[64];
    (void)snprintf(after, sizeof after, "owner-%03d/", (int)draw(bench, 100));
    return models_list(bench->store, after, 100, take_model, sum, err);
}

static int read_series(struct bench *bench, double *sum, struct err *err)
{
    struct series_query query = {.model_id = any_model(bench), .step_max = INT64_MAX, .limit = 1000};
    return series_read(bench->store, &query, NULL, take_series, sum, err);
}

static int read_series_part(struct bench *bench, double *sum, struct err *err)
{
    struct series_query query = {.model_id = any_model(bench), .limit = 1000};
    query.step_min = 1000 * (int64_t)draw(bench, 100);
    query.step_max = query.step_min + 20000;
    return series_read(bench->store, &query, NULL, take_series, sum, err);
}

static int read_long_series_page(struct bench *bench, double *sum, struct err *err)
{
    struct series_query query = {.model_id = bench->long_model_id, .step_max = INT64_MAX, .limit = 100};
    struct revision_key after = {.step = 1000 * (int64_t)draw(bench, LONG_SERIES)};
    (void)snprintf(after.name, sizeof after.name, "step%lld", (long long)after.step);
    query.after = &after;
    return series_read(bench->store, &query, NULL, take_series, sum, err);
}

static int read_long_series_part(struct bench *bench, double *sum, struct err *err)
{
    struct series_query query = {.model_id = bench->long_model_id, .limit = 1000};
    query.step_min = 1000 * (int64_t)draw(bench, LONG_SERIES);
    query.step_max = query.step_min + 50000;
    return series_read(bench->store, &query, NULL, take_series, sum, err);
}

static int read_series_row(struct bench *bench, double *sum, struct err *err)
{
    static struct series_row row;
    char name[32];
    (void)snprintf(name, sizeof name, "step%d", 1000 * (int)draw(bench, (uint64_t)bench->revisions));
    int rc = series_find(bench->store, any_model(bench), NULL, name, NULL, &row, err);
    *sum += rc ? 0 : row.statistics[0].mean;
    return rc;
}

static int read_series_count(struct bench *bench, double *sum, struct err *err)
{
    int64_t count = 0;
    struct series_query query = {.model_id = any_model(bench), .step_min = 5000, .step_max = 90000};
    int rc = series_count(bench->store, &query, &count, err);
    *sum += (double)count;
    return rc;
}

static int read_revisions(struct bench *bench, double *sum, struct err *err)
{
    return revisions_list(bench->store, any_model(bench), NULL, 1000, take_revision, sum, err);
}

static int read_files(struct bench *bench, double *sum, struct err *err)
{
    return revisions_list_files(bench->store, any_model(bench), NULL, 1000, take_file, sum, err);
}

static int read_tensor(struct bench *bench, double *sum, struct err *err)
{
    struct revision_tensor_row row;
    int rc = contents_find_by_revision(bench->store, any_revision(bench), "embed_out.weight", &row, err);
    *sum += rc ? 0 : (double)row.content.id;
    return rc;
}

static int read_content_by_file(struct bench *bench, double *sum, struct err *err)
{
    struct revision_tensor_row row;
    struct content_row content;
    int rc = contents_find_by_revision(bench->store, any_revision(bench), "embed_out.weight", &row, err);
    if (!rc)
        rc = contents_find_by_file(bench->store, row.file_digest, row.tensor, &content, err);
    *sum += rc ? 0 : (double)content.id;
    return rc;
}

static int read_statistics_exist(struct bench *bench, double *sum, struct err *err)
{
    int exists = 0;
    int rc = statistics_exists(bench->store, any_revision(bench), 50277, 1, "", &exists, NULL, err);
    *sum += exists;
    return rc;
}

static int read_sweeps(struct bench *bench, double *sum, struct err *err)
{
    return sweeps_list(bench->store, 0, NULL, any_model(bench) + 100, 100, take_sweep, sum, err);
}

static int read_sweep(struct bench *bench, double *sum, struct err *err)
{
    struct sweep_row row;
    int rc = sweeps_get(bench->store, any_model(bench), &row, err);
    *sum += rc ? 0 : (double)row.id;
    return rc;
}

static int read_tasks(struct bench *bench, double *sum, struct err *err)
{
    return tasks_list(bench->store, any_model(bench), NULL, -1, 1000, take_task, sum, err);
}

static int read_events(struct bench *bench, double *sum, struct err *err)
{
    return tasks_list_events(bench->store, any_revision(bench), 0, 100, take_event, sum, err);
}

static int claim(struct bench *bench, double *sum, struct err *err)
{
    struct task_row row;
    int rc = tasks_claim(bench->store, "local/1", 0, 3600000, NULL, &row, NULL, err);
    *sum += rc ? 0 : (double)row.id;
    return rc;
}

static int record(struct bench *bench, double *sum, struct err *err)
{
    struct task_row row;
    struct task_lease lease;
    struct task_result result = {.bytes_fetched = 1};
    (void)sum;
    int rc = tasks_claim(bench->store, "local/2", 0, 3600000, NULL, &row, NULL, err);
    if (rc)
        return rc;
    task_lease_of(&row, &lease);
    return tasks_record(bench->store, &lease, &result, err);
}

static int read_depth(struct bench *bench, double *sum, struct err *err)
{
    int64_t queued = 0, claimed = 0;
    int rc = tasks_depth(bench->store, &queued, &claimed, err);
    *sum += (double)(queued + claimed);
    return rc;
}

/* -- Timing --------------------------------------------------------------------------------------------- */

/* Of each read, each with none of the database in memory but what SQLite itself keeps. */
#define COLD_CALLS 50

struct operation {
    const char *name;
    int (*run)(struct bench *bench, double *sum, struct err *err);
    int count;
};

static const struct operation OPERATIONS[] = {
    {"models_find", read_model, 5000},
    {"models_version", read_version, 5000},
    {"models_list 100", read_models, 1000},
    {"revisions_list whole model", read_revisions, 1000},
    {"revisions_list_files whole model", read_files, 1000},
    {"series_read whole model", read_series, 2000},
    {"series_read 21 steps", read_series_part, 2000},
    {"series_read 100 of 50,000", read_long_series_page, 2000},
    {"series_read 51 steps of 50,000", read_long_series_part, 2000},
    {"series_find", read_series_row, 5000},
    {"series_count with bounds", read_series_count, 2000},
    {"contents_find_by_revision", read_tensor, 5000},
    {"contents_find_by_file (and above)", read_content_by_file, 5000},
    {"statistics_exists", read_statistics_exist, 5000},
    {"sweeps_get", read_sweep, 5000},
    {"sweeps_list 100", read_sweeps, 1000},
    {"tasks_list whole sweep", read_tasks, 1000},
    {"tasks_list_events", read_events, 5000},
    {"tasks_claim of 100,000", claim, 2000},
    {"tasks_claim and tasks_record", record, 500},
    {"tasks_depth", read_depth, 2000},
};

static int compare_times(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double thread_cpu_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Lets the kernel forget the database, as a machine does whose memory others have needed. */
static void forget(const struct bench *bench)
{
    int fd = open(bench->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fdatasync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)) {
        perror(bench->path);
        exit(1);
    }
    (void)close(fd);
}

/* Reads the database once, so that what is measured warm is warm, also of a file that lay there for long. */
static void warm_up(const struct bench *bench)
{
    static char block[1 << 20];
    ssize_t size = 1;
    int fd = open(bench->path, O_RDONLY | O_CLOEXEC);
    while (size > 0)
        size = read(fd, block, sizeof block);
    if (size < 0) {
        perror(bench->path);
        exit(1);
    }
    (void)close(fd);
}

static void measure_cold(struct bench *bench, const struct operation *operation)
{
    struct err err = ERR_INIT;
    double sum = 0, wall[COLD_CALLS];
    for (size_t i = 0; i < COLD_CALLS; i++) {
        forget(bench);
        double begin = clock_monotonic_s();
        if (operation->run(bench, &sum, &err))
            stop(operation->name, &err);
        wall[i] = (clock_monotonic_s() - begin) * 1e6;
    }
    qsort(wall, COLD_CALLS, sizeof *wall, compare_times);
    (void)printf("cold: %-30s %6d %9.1f %9.1f\n", operation->name, COLD_CALLS, wall[COLD_CALLS / 2],
                 wall[COLD_CALLS - 1]);
    (void)fflush(stdout);
}

static void measure(struct bench *bench, const struct operation *operation)
{
    struct err err = ERR_INIT;
    double sum = 0;
    size_t count = (size_t)operation->count, p50 = count / 2, p99 = count * 99 / 100;
    double *wall = calloc(2 * count, sizeof *wall), *cpu = wall + count;
    if (!wall)
        exit(1);
    for (size_t i = 0; i < count; i++) {
        double begin = clock_monotonic_s(), begin_cpu = thread_cpu_s();
        if (operation->run(bench, &sum, &err))
            stop(operation->name, &err);
        cpu[i] = (thread_cpu_s() - begin_cpu) * 1e6;
        wall[i] = (clock_monotonic_s() - begin) * 1e6;
    }
    qsort(wall, count, sizeof *wall, compare_times);
    qsort(cpu, count, sizeof *cpu, compare_times);
    (void)printf("%-36s %6zu %9.1f %9.1f %9.1f %9.1f %9.1f\n", operation->name, count, wall[p50], wall[p99],
                 wall[count - 1], cpu[p50], cpu[p99]);
    (void)fflush(stdout);
    free(wall);
}

int main(int argc, char **argv)
{
    struct bench bench = {.models = 9400, .revisions = 154, .random = UINT64_C(20261123)};
    struct err err = ERR_INIT;
    struct stat info;
    struct rusage usage;
    uint64_t size = 0;
    if (argc < 2 || argc > 4) {
        (void)fprintf(stderr, "usage: bench_store PATH [MODELS [REVISIONS]]\n");
        return 2;
    }
    if (argc > 2)
        bench.models = strtoll(argv[2], NULL, 10);
    if (argc > 3)
        bench.revisions = strtoll(argv[3], NULL, 10);
    bench.long_model_id = bench.models + 1;
    bench.path = argv[1];
    int is_new = stat(argv[1], &info) != 0;
    if (store_open(argv[1], &bench.store, &err))
        stop("open", &err);
    if (is_new) {
        store_close(bench.store);
        fill(&bench, argv[1]);
        if (store_open(argv[1], &bench.store, &err))
            stop("open", &err);
    }
    empty_queue(&bench);
    make_queue(&bench);
    if (store_size(bench.store, &size, &err))
        stop("size", &err);
    (void)printf("%lld revisions of %lld models, %.2f GB\n",
                 (long long)(bench.models * bench.revisions + LONG_SERIES), (long long)bench.models + 1,
                 (double)size / 1e9);
    (void)printf("%-36s %6s %9s %9s %9s %9s %9s\n", "operation, microseconds", "count", "p50", "p99", "worst",
                 "CPU p50", "CPU p99");
    warm_up(&bench);
    for (size_t i = 0; i < sizeof OPERATIONS / sizeof OPERATIONS[0]; i++)
        measure(&bench, &OPERATIONS[i]);
    (void)puts("\nNothing of the database in memory: p50 and worst, microseconds");
    for (size_t i = 0; i < sizeof OPERATIONS / sizeof OPERATIONS[0]; i++)
        measure_cold(&bench, &OPERATIONS[i]);
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)printf("peak memory %.1f MB\n", (double)usage.ru_maxrss / 1024);
    store_close(bench.store);
    return 0;
}
