#include "tests/bench/store_fill.h"

#include "daemon/base/clock.h"
#include "store/statistics.h"
#include "store/sweeps.h"
#include "store/tasks.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void store_fill_stop(const char *what, const struct err *err)
{
    (void)fprintf(stderr, "bench_store: %s: %s\n", what, err->message);
    exit(1);
}

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

/* The statistics, as many as there are: names of columns, and values. */
#define NAME(name) ", " #name
#define COUNT(name) ", 25755648"
#define REAL(name) ", random() / 1e19"
#define COUNT_NAMES STATISTICS_COUNTS(NAME)
#define COUNT_VALUES STATISTICS_COUNTS(COUNT)
#define REAL_NAMES STATISTICS_REALS(NAME)
#define REAL_VALUES STATISTICS_REALS(REAL)

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
    "INSERT INTO statistics (content_id, definition, backend, row_set, token_rows, is_centred" COUNT_NAMES
        REAL_NAMES ") SELECT c.id, 1, 'cpu', v.column1, v.column2, v.column3" COUNT_VALUES REAL_VALUES
    " FROM contents c CROSS JOIN (VALUES ('all', 0, 0), ('all', 0, 1), ('tokens', 50277, 0), ('tokens', "
    "50277, 1)) v",
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

void store_fill_database(const char *path, int64_t models, int64_t revisions)
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
        (long long)models, (long long)models, (long long)revisions, LONG_SERIES, (long long)revisions);
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

void store_fill_empty_queue(struct store *store)
{
    enum sweep_state state = SWEEP_STATE_RUNNING;
    struct err err = ERR_INIT;
    struct running running;
    do {
        running.count = 0;
        if (sweeps_list(store, &(struct sweeps_query){.state = &state, .before = INT64_MAX, .limit = 100},
                        take_running, &running, &err))
            store_fill_stop("queue", &err);
        for (int i = 0; i < running.count; i++) {
            if (sweeps_cancel(store, running.ids[i], &err))
                store_fill_stop("queue", &err);
        }
    } while (running.count);
}

void store_fill_queue(struct store *store, int64_t models, int64_t revisions)
{
    struct err err = ERR_INIT;
    enum { HALF = LONG_SERIES / 2 };
    struct task_plan *plans = calloc(HALF, sizeof *plans);
    if (!plans)
        exit(1);
    for (int sweep = 0; sweep < QUEUE_TASKS / HALF; sweep++) {
        int64_t id = 0, first = models * revisions + 1 + sweep % 2 * HALF;
        struct sweep_request request = {
            .model_id = models + 1, .request = "{}", .priority = sweep < 2 ? 1 : 0};
        for (int64_t i = 0; i < HALF; i++)
            plans[i] = (struct task_plan){.revision_id = first + i,
                                          .ordinal = i,
                                          .previous_revision_id = i ? first + i - 1 : 0,
                                          .bytes_expected = 1};
        if (sweeps_create(store, &request, &id, NULL, &err) || tasks_plan(store, id, plans, HALF, &err) ||
            sweeps_start(store, id, &err))
            store_fill_stop("queue", &err);
    }
    free(plans);
}
