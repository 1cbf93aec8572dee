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
#include "tests/bench/store_fill.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 64

struct bench {
    struct store *store;
    int64_t models, revisions; /* short ones */
    uint64_t random;
    int64_t long_model_id;
    const char *path;
    int64_t near[WORKERS]; /* revisions that they claimed last */
    int turn;
    struct task_lease lease; /* of the last of these claims */
    int64_t fetched_bytes;
};

static uint64_t draw(struct bench *bench, uint64_t below)
{
    bench->random ^= bench->random << 13;
    bench->random ^= bench->random >> 7;
    bench->random ^= bench->random << 17;
    return bench->random % below;
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
    int code = models_find(bench->store, name, &row, err);
    *sum += code ? 0 : (double)row.id;
    return code;
}

static int read_version(struct bench *bench, double *sum, struct err *err)
{
    char name[64];
    int64_t id = any_model(bench), found = 0;
    uint64_t version = 0;
    (void)snprintf(name, sizeof name, "owner-%03d/model-%05d", (int)(id % 100), (int)id);
    int code = models_version(bench->store, name, &found, &version, err);
    *sum += (double)found;
    return code;
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
    int code = series_find(bench->store, any_model(bench), NULL, name, NULL, &row, err);
    *sum += code ? 0 : row.statistics[0].mean;
    return code;
}

static int read_series_count(struct bench *bench, double *sum, struct err *err)
{
    int64_t count = 0;
    struct series_query query = {.model_id = any_model(bench), .step_min = 5000, .step_max = 90000};
    int code = series_count(bench->store, &query, &count, err);
    *sum += (double)count;
    return code;
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
    int code = contents_find_by_revision(bench->store, any_revision(bench), "embed_out.weight", &row, err);
    *sum += code ? 0 : (double)row.content.id;
    return code;
}

static int read_content_by_file(struct bench *bench, double *sum, struct err *err)
{
    struct revision_tensor_row row;
    struct content_row content;
    int code = contents_find_by_revision(bench->store, any_revision(bench), "embed_out.weight", &row, err);
    if (!code)
        code = contents_find_by_file(bench->store, row.file_digest, row.tensor, &content, err);
    *sum += code ? 0 : (double)content.id;
    return code;
}

static int read_statistics_exist(struct bench *bench, double *sum, struct err *err)
{
    int exists = 0;
    int code = statistics_exists(bench->store, any_revision(bench), 50277, 1, "", &exists, err);
    *sum += exists;
    return code;
}

static int read_sweeps(struct bench *bench, double *sum, struct err *err)
{
    return sweeps_list(bench->store, &(struct sweeps_query){.before = any_model(bench) + 100, .limit = 100},
                       take_sweep, sum, err);
}

static int read_sweep(struct bench *bench, double *sum, struct err *err)
{
    struct sweep_row row;
    int code = sweeps_get(bench->store, any_model(bench), &row, err);
    *sum += code ? 0 : (double)row.id;
    return code;
}

static int read_tasks(struct bench *bench, double *sum, struct err *err)
{
    return tasks_list(bench->store,
                      &(struct tasks_query){.sweep_id = any_model(bench), .after_ordinal = -1, .limit = 1000},
                      take_task, sum, err);
}

static int read_events(struct bench *bench, double *sum, struct err *err)
{
    return tasks_list_events(bench->store, any_revision(bench), 0, 100, take_event, sum, err);
}

static int claim(struct bench *bench, double *sum, struct err *err)
{
    struct task_row row;
    int code =
        tasks_claim(bench->store, &(struct tasks_claimant){"local/1", 3600000, NULL}, NULL, &row, NULL, err);
    *sum += code ? 0 : (double)row.id;
    return code;
}

/* The next of 64 workers, each of which goes on after what it claimed last. */
static int claim_apart(struct bench *bench, double *sum, struct err *err)
{
    struct task_row row;
    char name[32];
    int64_t *near = &bench->near[bench->turn % WORKERS];
    struct tasks_choice choice = {.near = near, .near_count = *near != 0, .does_spread = 1};
    (void)snprintf(name, sizeof name, "remote%d/0", bench->turn++ % WORKERS);
    int code =
        tasks_claim(bench->store, &(struct tasks_claimant){name, 3600000, NULL}, &choice, &row, NULL, err);
    if (code)
        return code;
    *near = row.revision_id;
    task_lease_of(&row, &bench->lease);
    *sum += (double)row.id;
    return 0;
}

/* With progress, so that it is written. */
static int beat(struct bench *bench, double *sum, struct err *err)
{
    (void)sum;
    return tasks_heartbeat(bench->store, &bench->lease, 3600000, ++bench->fetched_bytes, err);
}

static int record(struct bench *bench, double *sum, struct err *err)
{
    struct task_row row;
    struct task_lease lease;
    struct task_result result = {.bytes_fetched = 1};
    (void)sum;
    int code =
        tasks_claim(bench->store, &(struct tasks_claimant){"local/2", 3600000, NULL}, NULL, &row, NULL, err);
    if (code)
        return code;
    task_lease_of(&row, &lease);
    return tasks_record(bench->store, &lease, &result, err);
}

static int read_depth(struct bench *bench, double *sum, struct err *err)
{
    int64_t queued = 0, claimed = 0;
    int code = tasks_depth(bench->store, &queued, &claimed, err);
    *sum += (double)(queued + claimed);
    return code;
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
    {"tasks_claim of 64 workers apart", claim_apart, 2000},
    {"tasks_heartbeat", beat, 5000},
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
            store_fill_stop(operation->name, &err);
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
            store_fill_stop(operation->name, &err);
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
    if (argc < 2 || argc > 4 || argv[1][0] == '-') {
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
        store_fill_stop("open", &err);
    if (is_new) {
        store_close(bench.store);
        store_fill_database(argv[1], bench.models, bench.revisions);
        if (store_open(argv[1], &bench.store, &err))
            store_fill_stop("open", &err);
    }
    store_fill_empty_queue(bench.store);
    store_fill_queue(bench.store, bench.models, bench.revisions);
    if (store_size(bench.store, &size, &err))
        store_fill_stop("size", &err);
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
