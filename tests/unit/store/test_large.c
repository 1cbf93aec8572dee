/* Large values: exact distributions, columns and samples come back as they went in. */
#include "tests/unit/store/fixture.h"
#include "tests/unit/store/sql.h"

#include "store/blob.h"
#include "store/connection.h"
#include "store/damage.h"
#include "store/retention.h"

#include <dlfcn.h>
#include <sqlite3.h>

#define COLUMNS 8
#define SAMPLE 100

static struct fixture *comes_back; /* its first revision does so just before the next write */

static void set_current(const struct fixture *fixture, int is_current)
{
    char sql[100];
    (void)snprintf(sql, sizeof sql, "UPDATE revisions SET is_current = %d WHERE id = 1", is_current);
    assert_int_equal(sql_run(fixture->path, sql), 1);
}

int sqlite3_step(sqlite3_stmt *statement)
{
    static int (*real)(sqlite3_stmt *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_step");
    const char *sql = sqlite3_sql(statement); /* NULL of SQLite's own */
    if (comes_back && sql && strcmp(sql, "BEGIN IMMEDIATE") == 0) {
        const struct fixture *fixture = comes_back;
        comes_back = NULL;
        set_current(fixture, 1);
    }
    return real(statement);
}

static uint64_t *make_counts(uint64_t seed)
{
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof *counts);
    for (size_t i = 0; i < DISTRIBUTION_CODES; i += 1 + (i * seed) % 7)
        counts[i] = (i + 1) * seed;
    counts[0] = seed;
    counts[DISTRIBUTION_CODES - 1] = UINT64_MAX;
    return counts;
}

static void claim(struct fixture *fixture, struct task_lease *lease)
{
    struct task_row task;
    fixture_claim(fixture, "a", &task);
    task_lease_of(&task, lease);
}

struct large {
    uint64_t *counts[4]; /* raw of all rows, of the tokens, centred of all, of the tokens */
    double mean[COLUMNS], bimodality[COLUMNS];
    float values[SAMPLE];
    struct distribution_row distributions[4];
    struct columns_row columns[2]; /* of all rows, and with the two exchanged of the tokens */
    struct sample_row sample;
};

static void make_large(struct large *large, struct fixture_result *made, uint64_t seed)
{
    *large = (struct large){0};
    for (int i = 0; i < 4; i++) {
        large->counts[i] = make_counts(seed + (uint64_t)i);
        large->distributions[i] = (struct distribution_row){.row_set = i % 2 ? ROW_SET_TOKENS : ROW_SET_ALL,
                                                            .token_rows = i % 2 ? 50 : 0,
                                                            .is_centred = i / 2,
                                                            .definition = 1,
                                                            .code = "float16",
                                                            .counts = large->counts[i]};
    }
    for (int i = 0; i < COLUMNS; i++) {
        large->mean[i] = (double)seed + i / 3.0;
        large->bimodality[i] = -(double)i / 7.0;
    }
    for (int i = 0; i < SAMPLE; i++)
        large->values[i] = (float)seed / (float)(i + 1);
    large->values[3] = (float)NAN;
    large->values[4] = -HUGE_VALF;
    for (int i = 0; i < 2; i++)
        large->columns[i] = (struct columns_row){.token_rows = i ? 50 : 0,
                                                 .definition = 1,
                                                 .columns = COLUMNS,
                                                 .mean = i ? large->bimodality : large->mean,
                                                 .bimodality = i ? large->mean : large->bimodality};
    large->sample = (struct sample_row){.definition = 1, .seed = 9, .count = SAMPLE, .values = large->values};
    made->tensor.distributions = large->distributions;
    made->tensor.distribution_count = 4;
    made->tensor.columns = large->columns;
    made->tensor.columns_count = 2;
    made->tensor.samples = &large->sample;
    made->tensor.sample_count = 1;
}

static void free_large(struct large *large)
{
    for (int i = 0; i < 4; i++)
        free(large->counts[i]);
}

struct seen {
    int count;
    struct large *large; /* of the revisions step0 and step1 */
};

static int check_distribution(void *context, const struct revision_row *revision,
                              const struct distribution_row *row)
{
    struct seen *seen = context;
    assert_int_equal(revision->step, seen->count);
    assert_int_equal(row->is_centred, 1);
    assert_string_equal(row->code, "float16");
    assert_memory_equal(row->counts, seen->large[seen->count].counts[3],
                        DISTRIBUTION_CODES * sizeof *row->counts);
    seen->count++;
    return 0;
}

static int check_columns(void *context, const struct revision_row *revision, const struct columns_row *row)
{
    struct seen *seen = context;
    assert_int_equal(revision->step, seen->count);
    assert_int_equal(row->columns, COLUMNS);
    const struct columns_row *wanted = &seen->large[seen->count].columns[row->token_rows ? 1 : 0];
    assert_memory_equal(row->mean, wanted->mean, sizeof seen->large->mean);
    assert_memory_equal(row->bimodality, wanted->bimodality, sizeof seen->large->bimodality);
    seen->count++;
    return 0;
}

static int check_sample(void *context, const struct revision_row *revision, const struct sample_row *row)
{
    struct seen *seen = context;
    assert_int_equal(revision->step, seen->count);
    assert_memory_equal(row->values, seen->large[seen->count].values, sizeof seen->large->values);
    seen->count++;
    return 0;
}

static int are_kept(struct fixture *fixture, int64_t content_id, int64_t token_rows, int64_t definition)
{
    int are_kept = 0;
    OK(distributions_are_kept(fixture->store, content_id, token_rows, definition, &are_kept, &err));
    return are_kept;
}

static void test_there_and_back(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[4];
    struct task_lease lease;
    struct content_row content;
    struct large large[2];
    struct fixture_result *made = malloc(sizeof *made);
    fixture_add_revisions(fixture, 3, ids);
    (void)fixture_sweep(fixture, ids, 3, 0);
    for (int i = 0; i < 2; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "step%d", i);
        fixture_result(made, name, i);
        make_large(&large[i], made, (uint64_t)i + 3);
        claim(fixture, &lease);
        OK(tasks_record(fixture->store, &lease, &made->result, &err));
    }
    (void)fixture_measure(fixture, "without", 1);
    OK(contents_find(fixture->store, &made->tensor.content, &content, &err));
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof *counts);
    struct distribution_row key = {.definition = 1}, row;
    OK(distributions_find(fixture->store, content.id, &key, counts, &row, &err));
    assert_memory_equal(counts, large[1].counts[0], DISTRIBUTION_CODES * sizeof *counts);
    assert_ptr_equal(row.counts, counts);
    assert_int_equal(are_kept(fixture, content.id, 50, 1), 1);
    assert_int_equal(are_kept(fixture, content.id, 49, 1), 0);
    assert_int_equal(are_kept(fixture, content.id, 50, 2), 0);
    key.is_centred = 1;
    key.row_set = ROW_SET_TOKENS;
    key.token_rows = 49;
    FAILS(ERR_NOT_FOUND, distributions_find(fixture->store, content.id, &key, counts, &row, &err));
    key.token_rows = 50;
    struct seen seen = {.large = large};
    const struct values_range all = {fixture->model_id, TENSOR, NULL, 10};
    OK(distributions_list(fixture->store, &all, &key, check_distribution, &seen, &err));
    assert_int_equal(seen.count, 2);
    seen.count = 0;
    OK(columns_list(fixture->store, &all, 0, check_columns, &seen, &err));
    assert_int_equal(seen.count, 2);
    seen.count = 0;
    OK(columns_list(fixture->store, &all, 50, check_columns, &seen, &err));
    assert_int_equal(seen.count, 2);
    seen.count = 0;
    OK(columns_list(fixture->store, &all, 49, check_columns, &seen, &err));
    assert_int_equal(seen.count, 0);
    const struct values_range first = {fixture->model_id, TENSOR, NULL, 1};
    const struct sample_row sampled = {.definition = 1, .seed = 9, .count = SAMPLE};
    OK(samples_list(fixture->store, &first, made->tensor.token_rows, &sampled, check_sample, &seen, &err));
    assert_int_equal(seen.count, 1);
    /* Of other rows other entries would be sampled. */
    OK(samples_list(fixture->store, &first, made->tensor.token_rows - 1, &sampled, check_sample, &seen,
                    &err));
    assert_int_equal(seen.count, 1);
    free(counts);
    free_large(&large[0]);
    free_large(&large[1]);
    free(made);
}

/* Retention: what no current revision has loses its large values, and only those. */
static void test_prune(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3], count = 0, after = 0;
    int is_over = 0;
    struct task_lease lease;
    struct content_row contents[2];
    struct revision_row moved;
    struct fixture_result *made = malloc(sizeof *made);
    fixture_add_revisions(fixture, 2, ids);
    assert_int_equal(ids[0], 1);
    (void)fixture_sweep(fixture, ids, 2, 0);
    for (int i = 0; i < 2; i++) {
        struct large large;
        fixture_result(made, i ? "b" : "a", i);
        make_large(&large, made, 5);
        claim(fixture, &lease);
        OK(tasks_record(fixture->store, &lease, &made->result, &err));
        OK(contents_find(fixture->store, &made->tensor.content, &contents[i], &err));
        free_large(&large);
    }
    OK(distributions_prune(fixture->store, &after, 10, &count, &is_over, &err));
    assert_int_equal(count, 0);
    assert_true(is_over && after >= contents[1].id);
    fixture_revision(&moved, 0, "moved");
    OK(revisions_update(fixture->store, fixture->model_id, &moved, 1, 0, NULL, &err));
    after = contents[0].id; /* from there on all is in use */
    OK(distributions_prune(fixture->store, &after, 10, &count, &is_over, &err));
    assert_int_equal(count, 0);
    after = 0;
    comes_back = fixture; /* after the search, before the deletion */
    OK(distributions_prune(fixture->store, &after, 10, &count, &is_over, &err));
    assert_null(comes_back);
    assert_int_equal(are_kept(fixture, contents[0].id, 50, 1), 1);
    set_current(fixture, 0);
    after = 0;
    OK(distributions_prune(fixture->store, &after, 1, &count, &is_over, &err));
    assert_int_equal(count, 1);
    assert_true(after == contents[0].id && !is_over);
    assert_int_equal(are_kept(fixture, contents[0].id, 50, 1), 0);
    assert_int_equal(are_kept(fixture, contents[1].id, 50, 1), 1);
    assert_int_equal(sql_run(fixture->path, "DELETE FROM samples WHERE content_id = 2"), 1);
    assert_int_equal(are_kept(fixture, contents[1].id, 50, 1), 0); /* a distribution alone is not all */
    free(made);
}

/* All of it: an old sweep goes, and then what is stale, also where that has a smaller number than the sweep.
 */
static void test_retention(void **state)
{
    struct fixture *fixture = *state;
    struct fixture_result *made = malloc(sizeof *made);
    struct retention_run run;
    struct revision_row moved;
    int64_t ids[2];
    int is_over = 0;
    fixture_add_revisions(fixture, 1, ids);
    for (int i = 0; i < 3; i++) {
        struct task_lease lease;
        struct large large;
        (void)fixture_sweep(fixture, ids, 1, 0);
        claim(fixture, &lease);
        fixture_result(made, "a", 1);
        make_large(&large, made, 5);
        OK(tasks_record(fixture->store, &lease, &made->result, &err));
        free_large(&large);
    }
    (void)sql_run(fixture->path, "UPDATE sweeps SET finished_ms = 1");
    fixture_revision(&moved, 0, "moved");
    OK(revisions_update(fixture->store, fixture->model_id, &moved, 1, 0, NULL, &err));
    retention_begin(&run, 1, clock_wall_ms());
    OK(retention_continue(fixture->store, &run, NULL, NULL, &is_over, &err));
    assert_true(is_over);
    assert_int_equal(run.counts.sweeps, 2);
    assert_int_equal(run.counts.contents, 1);
    assert_int_equal(are_kept(fixture, 1, 50, 1), 0);
    free(made);
}

/* Damaged bytes are told as such, whatever they are. */
static void test_damaged_blobs(void **state)
{
    (void)state;
    uint64_t *counts = make_counts(3), *back = calloc(DISTRIBUTION_CODES, sizeof *back);
    struct blob blob;
    blob_init(&blob);
    OK(blob_encode_counts(counts, DISTRIBUTION_CODES, &blob, &err));
    OK(blob_decode_counts(blob.data.data, blob.data.size, BLOB_ENCODING, blob.size_raw, back,
                          DISTRIBUTION_CODES, &err));
    assert_memory_equal(counts, back, DISTRIBUTION_CODES * sizeof *back);
    FAILS(ERR_UNSUPPORTED, blob_decode_counts(blob.data.data, blob.data.size, 2, blob.size_raw, back,
                                              DISTRIBUTION_CODES, &err));
    FAILS(ERR_DATABASE, blob_decode_counts(blob.data.data, blob.data.size, BLOB_ENCODING, blob.size_raw - 1,
                                           back, DISTRIBUTION_CODES, &err));
    FAILS(ERR_DATABASE, blob_decode_counts(blob.data.data, blob.data.size, BLOB_ENCODING, -1, back,
                                           DISTRIBUTION_CODES, &err));
    FAILS(ERR_DATABASE,
          blob_decode_counts(blob.data.data, blob.data.size, BLOB_ENCODING, blob.size_raw, back, 1000, &err));
    FAILS(ERR_DATABASE, blob_decode_counts(blob.data.data, blob.data.size / 2, BLOB_ENCODING, blob.size_raw,
                                           back, DISTRIBUTION_CODES, &err));
    FAILS(ERR_DATABASE,
          blob_decode_reals(blob.data.data, blob.data.size, BLOB_ENCODING, blob.size_raw, back, 7, 8, &err));
    blob_free(&blob);
    free(counts);
    free(back);
}

/* One bit that is another changes nothing, or is told. */
static void test_each_bit(void **state)
{
    (void)state;
    float values[SAMPLE], back[SAMPLE];
    struct blob blob;
    for (int i = 0; i < SAMPLE; i++)
        values[i] = 1.0F / (float)(i + 1);
    blob_init(&blob);
    OK(blob_encode_reals(values, SAMPLE, sizeof *values, &blob, &err));
    size_t told = 0;
    for (size_t i = 0; i < blob.data.size * 8; i++) {
        struct err reason = ERR_INIT;
        blob.data.data[i / 8] ^= (char)(1 << i % 8);
        int code = blob_decode_reals(blob.data.data, blob.data.size, BLOB_ENCODING, blob.size_raw, back,
                                     SAMPLE, sizeof *back, &reason);
        assert_int_equal(code,
                         blob_check(blob.data.data, blob.data.size, BLOB_ENCODING, blob.size_raw, &reason));
        if (code)
            assert_int_equal(code, ERR_DATABASE);
        else
            assert_memory_equal(back, values, sizeof values);
        told += code != 0;
        blob.data.data[i / 8] ^= (char)(1 << i % 8);
    }
    assert_in_range(told, blob.data.size * 8 - 8,
                    blob.data.size * 8); /* the header has a bit without a meaning */
    blob_free(&blob);
}

/* What is damaged is found in each table and nowhere else, and deleted alone; the models show something else.
 */
static void test_damage_in_the_tables(void **state)
{
    static const char *const tables[] = {"distributions", "columns_statistics", "samples"};
    struct fixture *fixture = *state;
    int64_t ids[3], count = -1, left = -1;
    struct task_lease lease;
    struct model_row before, after;
    struct connection *connection = NULL;
    struct fixture_result *made = malloc(sizeof *made);
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    for (int i = 0; i < 2; i++) {
        struct large large;
        fixture_result(made, i ? "b" : "a", i);
        make_large(&large, made, 5 + (uint64_t)i);
        claim(fixture, &lease);
        OK(tasks_record(fixture->store, &lease, &made->result, &err));
        free_large(&large);
    }
    OK(damage_delete(fixture->store, &count, &err));
    assert_int_equal(count, 0);
    for (size_t i = 0; i < 3; i++) {
        char sql[200];
        (void)snprintf(sql, sizeof sql,
                       "UPDATE %s SET data = CAST(substr(data, 1, length(data) - 1) || x'00' AS BLOB) WHERE "
                       "rowid = (SELECT max(rowid) FROM %s)",
                       tables[i], tables[i]);
        assert_int_equal(sql_run(fixture->path, sql), 1);
    }
    OK(models_get(fixture->store, fixture->model_id, &before, &err));
    OK(store_read_begin(fixture->store, &connection, &err));
    OK(damage_count(connection, &count, &err));
    store_read_end(fixture->store, connection);
    assert_int_equal(count, 3);
    OK(damage_delete(fixture->store, &count, &err));
    assert_int_equal(count, 3);
    OK(damage_delete(fixture->store, &left, &err));
    assert_int_equal(left, 0);
    OK(models_get(fixture->store, fixture->model_id, &after, &err));
    assert_true(after.version > before.version);
    assert_int_equal(are_kept(fixture, 1, 50, 1), 1);
    assert_int_equal(are_kept(fixture, 2, 50, 1), 0);
    free(made);
}

/* Each value that is gone alone makes the content one that is measured again. */
static void test_each_value_counts(void **state)
{
    static const char *const tables[] = {"distributions", "columns_statistics", "samples"};
    static const int rows[] = {4, 2, 1};
    struct fixture *fixture = *state;
    int64_t ids[2];
    struct fixture_result *made = malloc(sizeof *made);
    fixture_add_revisions(fixture, 1, ids);
    for (int table = 0; table < 3; table++) {
        for (int row = 0; row < rows[table]; row++) {
            struct large large;
            struct task_lease lease;
            char sql[200];
            (void)fixture_sweep(fixture, ids, 1, 0);
            fixture_result(made, "a", 1);
            make_large(&large, made, 5);
            claim(fixture, &lease);
            OK(tasks_record(fixture->store, &lease, &made->result, &err));
            free_large(&large);
            assert_int_equal(are_kept(fixture, 1, 50, 1), 1);
            (void)snprintf(
                sql, sizeof sql,
                "DELETE FROM %s WHERE rowid = (SELECT rowid FROM %s ORDER BY rowid LIMIT 1 OFFSET %d)",
                tables[table], tables[table], row);
            assert_int_equal(sql_run(fixture->path, sql), 1);
            assert_int_equal(are_kept(fixture, 1, 50, 1), 0);
        }
    }
    free(made);
}

/* An empty distribution and an empty array are fine. */
static void test_empty_blobs(void **state)
{
    (void)state;
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof *counts), *back = make_counts(3);
    struct blob blob;
    blob_init(&blob);
    OK(blob_encode_counts(counts, DISTRIBUTION_CODES, &blob, &err));
    OK(blob_decode_counts(blob.data.data, blob.data.size, BLOB_ENCODING, blob.size_raw, back,
                          DISTRIBUTION_CODES, &err));
    assert_memory_equal(counts, back, DISTRIBUTION_CODES * sizeof *back);
    blob_free(&blob);
    free(counts);
    free(back);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_there_and_back),
        CASE(test_prune),
        CASE(test_retention),
        cmocka_unit_test(test_damaged_blobs),
        cmocka_unit_test(test_each_bit),
        CASE(test_damage_in_the_tables),
        CASE(test_each_value_counts),
        cmocka_unit_test(test_empty_blobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
