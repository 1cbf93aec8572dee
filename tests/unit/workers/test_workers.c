#include "tests/unit/service/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/measure/device_turns.h"
#include "daemon/measure/location.h"
#include "daemon/workers/workers.h"
#include "gpu/cpu/backend.h"
#include "gpu/registry.h"
#include "store/series.h"
#include "tests/unit/store/sql.h"

#include <dlfcn.h>
#include <sqlite3.h>
#include <stdatomic.h>

static _Atomic int locks_left; /* so many records still find the database locked */

int sqlite3_step(sqlite3_stmt *statement)
{
    static int (*real)(sqlite3_stmt *);
    static const char first_of_record[] = "INSERT INTO contents";
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_step");
    const char *sql = sqlite3_sql(statement); /* NULL of SQLite's own */
    if (sql && strncmp(sql, first_of_record, sizeof first_of_record - 1) == 0 &&
        atomic_load(&locks_left) > 0 && atomic_fetch_sub(&locks_left, 1) > 0)
        return SQLITE_BUSY;
    return real(statement);
}

/* The fixture with everything that workers need. */
struct bench {
    struct fixture *fixture;
    struct registry *registry;
    struct device *device;
    struct tensor_pool *pool;
    struct location_cache *locations;
    struct device_turns *turns;
    _Atomic int64_t device_busy_us;
    struct workers *workers;
};

static int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    struct backend_options options = {.thread_count = 2};
    struct err err = ERR_INIT;
    void *fixture = NULL;
    if (!bench || fixture_setup(&fixture))
        return -1;
    bench->fixture = fixture;
    *state = bench;
    return registry_new(cpu_backend(), NULL, &bench->registry, &err) ||
           device_open(bench->registry, "cpu", &options, &bench->device, &err) ||
           device_turns_new(bench->device, NULL, &bench->device_busy_us, &bench->turns, &err) ||
           tensor_pool_new(3 * ELEMENTS * 2, &bench->pool, &err) ||
           location_cache_new(&bench->locations, &err);
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    void *fixture = bench->fixture;
    workers_free(bench->workers);
    location_cache_free(bench->locations);
    tensor_pool_free(bench->pool);
    device_turns_free(bench->turns);
    device_close(bench->device);
    registry_free(bench->registry);
    free(bench);
    return fixture_teardown(&fixture);
}

static void start(struct bench *bench)
{
    struct workers_options options = {
        .shared = {.store = bench->fixture->store,
                   .hub = bench->fixture->hub,
                   .pool = bench->pool,
                   .locations = bench->locations,
                   .device = bench->device,
                   .turns = bench->turns},
        .count = 4,
        .policy = {.failures_max = 2, .interruptions_max = 50, .backoff_ms = 0, .backoff_max_ms = 1},
    };
    OK(workers_start(&options, &bench->workers, &err));
}

static void wait_for_end(struct bench *bench, int64_t sweep, struct sweep_row *row)
{
    do {
        clock_sleep_ms(5);
        fixture_get_sweep(bench->fixture, sweep, row);
    } while (!sweep_state_is_final(row->state));
}

static int64_t run(struct bench *bench, const char *json, struct sweep_row *row)
{
    int64_t id = fixture_ask(bench->fixture, json);
    fixture_plan(bench->fixture);
    if (!bench->workers)
        start(bench);
    wait_for_end(bench, id, row);
    return id;
}

static void find(struct bench *bench, int64_t model, const char *name, struct series_row *row)
{
    OK(series_find(bench->fixture->store, model, TENSOR, name, NULL, row, &err));
}

/* By hand, from the values that the fixture writes. */
static double msd(unsigned seed, unsigned reference)
{
    double sum = 0;
    for (unsigned i = 0; i < ELEMENTS; i++) {
        double difference = (double)fixture_value(seed, i) - (double)fixture_value(reference, i);
        sum += difference * difference;
    }
    return sum / ELEMENTS;
}

static void check_near(double value, double expected)
{
    if (!(value >= expected - 1e-12 && value <= expected + 1e-12))
        fail_msg("%.17g instead of %.17g", value, expected);
}

static void test_displacements(void **state)
{
    static const unsigned seeds[] = {1, 1, 5, 9, 3, 7};
    struct bench *bench = *state;
    struct sweep_row sweep;
    for (unsigned i = 0; i < COUNT_OF(seeds); i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "step%u", i);
        fixture_add_revision(bench->fixture, name, seeds[i]);
    }
    (void)run(bench, "{}", &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_DONE);
    for (unsigned i = 0; i < COUNT_OF(seeds); i++) {
        struct series_row row;
        char name[32];
        (void)snprintf(name, sizeof name, "step%u", i);
        find(bench, sweep.model_id, name, &row);
        assert_int_equal(row.state, SERIES_STATE_MEASURED);
        check_near(row.displacement[SERIES_DISPLACEMENT_ALL].msd, msd(seeds[i], seeds[0]));
        assert_string_equal(row.reference, "step0");
        assert_true(row.has_displacement[SERIES_DISPLACEMENT_LAG1_ALL] == (i > 0));
        if (i)
            check_near(row.displacement[SERIES_DISPLACEMENT_LAG1_ALL].msd, msd(seeds[i], seeds[i - 1]));
        assert_string_equal(row.same_as, i == 1 ? "step0" : "");
    }
    while (workers_busy_count(bench->workers)) /* the sweep is over a moment before its worker is free */
        clock_sleep_ms(1);
}

/* Another program's lock costs time, but no attempt, of which there are two. */
static void test_a_locked_database(void **state)
{
    struct bench *bench = *state;
    struct sweep_row sweep;
    fixture_add_revision(bench->fixture, "step1", 1);
    atomic_store(&locks_left, 2);
    (void)run(bench, "{}", &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_DONE);
    assert_true(atomic_load(&locks_left) <= 0);
}

/* A file that is no checkpoint and a missing revision cost only themselves. */
static void test_faults_stay_where_they_are(void **state)
{
    struct bench *bench = *state;
    struct fixture *fixture = bench->fixture;
    struct fixture_tasks tasks;
    struct sweep_row sweep;
    struct series_row row;
    fixture_add_revision(fixture, "step0", 1);
    fixture_add_revision(fixture, "step1", 2);
    fixture_write_text(fixture_path(fixture->models, "step1/model.safetensors"), "no");
    fixture_add_revision(fixture, "step2", 3);
    int64_t id = run(bench, "{\"revisions\":{\"names\":[\"step0\",\"step1\",\"step2\",\"step3\"]}}", &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_FAILED);
    assert_int_equal(sweep.tasks[TASK_STATE_DONE], 2);
    fixture_list_tasks(fixture, id, &tasks);
    assert_string_equal(tasks.rows[1].error_code, "format");
    assert_non_null(strstr(tasks.rows[1].error_message, "model.safetensors"));
    assert_int_equal(tasks.rows[1].attempts, 1); /* trying again would not help */
    assert_string_equal(tasks.rows[3].error_code, "not_found");
    find(bench, sweep.model_id, "step2", &row);
    check_near(row.displacement[SERIES_DISPLACEMENT_ALL].msd, msd(3, 1));
    assert_false(row.has_displacement[SERIES_DISPLACEMENT_LAG1_ALL]);
}

/* Writes so many tensors of one value, and `wide`, of so many columns, as a hole in the file. */
static void write_weights(const char *path, int count, long long columns)
{
    struct buf file;
    uint64_t size = 0, offset = (uint64_t)count * 2;
    buf_init(&file, MIB);
    (void)buf_append(&file, &size, sizeof size);
    (void)buf_append_char(&file, '{');
    for (int i = 0; i < count; i++)
        (void)buf_appendf(&file, "\"t%d\":{\"dtype\":\"F16\",\"shape\":[1,1],\"data_offsets\":[%d,%d]},", i,
                          2 * i, 2 * i + 2);
    (void)buf_appendf(&file, "\"wide\":{\"dtype\":\"F16\",\"shape\":[%lld],\"data_offsets\":[%llu,%llu]}}",
                      columns, (unsigned long long)offset,
                      (unsigned long long)offset + 2 * (unsigned long long)columns);
    assert_int_equal(file.failed, 0);
    size = file.size - sizeof size;
    memcpy(file.data, &size, sizeof size);
    fixture_write(path, file.data, file.size);
    assert_int_equal(truncate(path, (off_t)(file.size + offset + 2 * (uint64_t)columns)), 0);
    buf_free(&file);
}

/* What could not be recorded is refused before it is fetched, and says what to do. */
static void test_what_cannot_be_recorded_is_not_fetched(void **state)
{
    struct bench *bench = *state;
    struct fixture_tasks tasks;
    struct sweep_row sweep;
    fixture_add_revision(bench->fixture, "step0", 1);
    const char *path = fixture_path(bench->fixture->models, "step0/model.safetensors");
    write_weights(path, LIMIT_CLAIM_TENSORS + 1, LIMIT_RECORD_COLUMNS + 1);
    int64_t id = run(bench, "{\"tensors\":[\"t*\"]}", &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_FAILED);
    fixture_list_tasks(bench->fixture, id, &tasks);
    assert_string_equal(tasks.rows[0].error_code, "limit");
    assert_non_null(strstr(tasks.rows[0].error_message, "more than 1000"));
    assert_non_null(strstr(tasks.rows[0].error_message, "narrower patterns"));
    id = run(bench, "{\"tensors\":[\"wide\"]}", &sweep);
    fixture_list_tasks(bench->fixture, id, &tasks);
    assert_string_equal(tasks.rows[0].error_code, "limit");
    assert_non_null(strstr(tasks.rows[0].error_message, "wide: has 2097153 columns"));
    assert_true(tasks.rows[0].bytes_fetched < (int64_t)MIB);
}

/* Of what a pattern matches, weights are meant: not masks, and not what nobody here can read. */
static void test_a_pattern_means_weights(void **state)
{
    static const char header[] = "{\"w0\":{\"dtype\":\"F16\",\"shape\":[1,2],\"data_offsets\":[0,4]},"
                                 "\"w1\":{\"dtype\":\"BOOL\",\"shape\":[4],\"data_offsets\":[4,8]},"
                                 "\"w2\":{\"dtype\":\"F5_E2M2\",\"shape\":[8],\"data_offsets\":[8,13]}}";
    static const char data[] = "\0\x3c\0\x40\1\1\1\1xxxxx";
    struct bench *bench = *state;
    struct sweep_row sweep;
    struct series_row row;
    struct buf file;
    uint64_t size = sizeof header - 1;
    fixture_add_revision(bench->fixture, "step0", 1);
    buf_init(&file, MIB);
    (void)buf_append(&file, &size, sizeof size);
    (void)buf_append(&file, header, sizeof header - 1);
    (void)buf_append(&file, data, sizeof data - 1);
    fixture_write(fixture_path(bench->fixture->models, "step0/model.safetensors"), file.data, file.size);
    buf_free(&file);
    (void)run(bench, "{\"tensors\":[\"w*\"]}", &sweep);
    assert_string_equal(sweep.error_message, "");
    assert_int_equal(sweep.state, SWEEP_STATE_DONE);
    OK(series_find(bench->fixture->store, sweep.model_id, "w0", "step0", NULL, &row, &err));
    assert_true(row.has_tensor);
    OK(series_find(bench->fixture->store, sweep.model_id, "w2", "step0", NULL, &row, &err));
    assert_false(row.has_tensor);
    (void)run(bench, "{\"tensors\":[\"w1\", \"w2\"]}", &sweep); /* by name it is said */
    assert_int_equal(sweep.state, SWEEP_STATE_FAILED);
}

/* Workers that stop at once give their tasks back, with nothing counted against them; the next ones end the
 * sweep. */
static void test_stop_and_go_on(void **state)
{
    struct bench *bench = *state;
    struct fixture *fixture = bench->fixture;
    struct fixture_tasks tasks;
    struct sweep_row sweep;
    for (unsigned i = 0; i < 20; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "step%u", i);
        fixture_add_revision(fixture, name, i);
    }
    int64_t id = fixture_ask(fixture, "{}");
    fixture_plan(fixture);
    for (int round = 0; round < 3; round++) {
        start(bench);
        clock_sleep_ms(round * 10);
        workers_stop(bench->workers, 1);
        workers_free(bench->workers);
        bench->workers = NULL;
        fixture_get_sweep(fixture, id, &sweep);
        assert_int_equal(sweep.tasks[TASK_STATE_CLAIMED], 0);
        assert_int_equal(sweep.tasks[TASK_STATE_FAILED], 0);
    }
    start(bench);
    wait_for_end(bench, id, &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_DONE);
    fixture_list_tasks(fixture, id, &tasks);
    for (size_t i = 0; i < tasks.count; i++)
        assert_int_equal(tasks.rows[i].failures, 0);
}

/* Another task that loads the tensor which a worker's task needs, too. */
struct neighbour {
    struct bench *bench;
    struct revision_row revision;
    int64_t pause_ms;
    atomic_bool is_loading, is_over;
    pthread_t thread;
};

/* Is cancelled soon after the worker knows where the tensor is, and so waits for this load. */
static int load_in_vain(void *context, void *data, uint64_t size_bytes, struct err *err)
{
    struct neighbour *neighbour = context;
    struct located_tensor found;
    memset(data, 0, size_bytes);
    atomic_store(&neighbour->is_loading, true);
    while (!atomic_load(&neighbour->is_over) &&
           !location_cache_get(neighbour->bench->locations, neighbour->revision.id, TENSOR, &found))
        clock_sleep_ms(1);
    for (int64_t ms = 0; ms < neighbour->pause_ms && !atomic_load(&neighbour->is_over); ms++)
        clock_sleep_ms(1);
    return err_set(err, ERR_CANCELLED, "the neighbour was cancelled");
}

static void *load_beside(void *context)
{
    struct neighbour *neighbour = context;
    char key[LOCATION_KEY_SIZE];
    int code = 0;
    struct err err = ERR_INIT;
    struct pooled_tensor *tensor = NULL;
    struct tensor_request request = {.key = key,
                                     .dtype = TENSOR_DTYPE_F16,
                                     .shape = {.ndim = 2, .dim = {ROWS, COLUMNS}},
                                     .size_bytes = ELEMENTS * 2,
                                     .load = load_in_vain,
                                     .context = neighbour};
    location_write_key(key, "", neighbour->bench->fixture->name, neighbour->revision.commit,
                       "model.safetensors", TENSOR);
    (void)tensor_pool_acquire(neighbour->bench->pool, &request, 1, NULL, &tensor, &code, &err);
    return code == ERR_CANCELLED ? NULL : neighbour;
}

/* Begins a sweep of one revision, step`round`, whose tensor the neighbour is loading. */
static int64_t start_beside(struct neighbour *neighbour, unsigned round, struct fixture_tasks *tasks)
{
    struct bench *bench = neighbour->bench;
    char json[64];
    (void)snprintf(json, sizeof json, "step%u", round);
    fixture_add_revision(bench->fixture, json, round);
    (void)snprintf(json, sizeof json, "{\"revisions\":{\"names\":[\"step%u\"]}}", round);
    int64_t id = fixture_ask(bench->fixture, json);
    fixture_plan(bench->fixture);
    fixture_list_tasks(bench->fixture, id, tasks);
    OK(revisions_get(bench->fixture->store, tasks->rows[0].revision_id, &neighbour->revision, &err));
    atomic_store(&neighbour->is_loading, false);
    assert_int_equal(pthread_create(&neighbour->thread, NULL, load_beside, neighbour), 0);
    while (!atomic_load(&neighbour->is_loading))
        clock_sleep_ms(1);
    start(bench);
    return id;
}

/* A task whose neighbour was cancelled while it loaded for both goes on without a failure. Whether the worker
 * was waiting by then shows in the number of claims; if not, once more with a longer pause. */
static void test_cancelled_neighbour(void **state)
{
    struct bench *bench = *state;
    struct fixture_tasks tasks = {0};
    struct neighbour neighbour = {.bench = bench, .pause_ms = 5};
    for (unsigned round = 0; tasks.count == 0 || tasks.rows[0].attempts == 1; round++) {
        void *failed = NULL;
        struct sweep_row sweep;
        assert_true(neighbour.pause_ms < 10000);
        neighbour.pause_ms *= 3;
        const int64_t id = start_beside(&neighbour, round, &tasks);
        wait_for_end(bench, id, &sweep);
        assert_int_equal(pthread_join(neighbour.thread, &failed), 0);
        assert_null(failed);
        workers_free(bench->workers);
        bench->workers = NULL;
        fixture_list_tasks(bench->fixture, id, &tasks);
        assert_int_equal(tasks.rows[0].state, TASK_STATE_DONE);
        assert_int_equal(tasks.rows[0].failures, 0);
    }
}

/* A worker whose lease is another's by now lets go of the task at its next heartbeat, whatever it waits for.
 */
static void test_lost_lease(void **state)
{
    struct bench *bench = *state;
    struct fixture_tasks tasks = {0};
    struct neighbour neighbour = {.bench = bench, .pause_ms = 60000};
    void *failed = NULL;
    const int64_t id = start_beside(&neighbour, 0, &tasks);
    while (!workers_busy_count(bench->workers))
        clock_sleep_ms(1);
    (void)sql_run(fixture_path(bench->fixture->folder, "state/" STORE_FILE_NAME),
                  "UPDATE tasks SET worker = 'remote/1', attempts = attempts + 1");
    const int64_t since_ms = clock_monotonic_ms();
    while (workers_busy_count(bench->workers) && clock_monotonic_ms() - since_ms < 20000)
        clock_sleep_ms(5);
    assert_int_equal(workers_busy_count(bench->workers), 0);
    atomic_store(&neighbour.is_over, true);
    assert_int_equal(pthread_join(neighbour.thread, &failed), 0);
    fixture_list_tasks(bench->fixture, id, &tasks);
    assert_int_equal(tasks.rows[0].state, TASK_STATE_CLAIMED);
    assert_int_equal(tasks.rows[0].failures + tasks.rows[0].interruptions, 0);
}

static void test_cancelled_sweep(void **state)
{
    struct bench *bench = *state;
    struct sweep_row sweep;
    for (unsigned i = 0; i < 20; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "step%u", i);
        fixture_add_revision(bench->fixture, name, i);
    }
    int64_t id = fixture_ask(bench->fixture, "{}");
    fixture_plan(bench->fixture);
    start(bench);
    OK(sweeps_cancel(bench->fixture->store, id, &err));
    wait_for_end(bench, id, &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_CANCELLED);
    while (workers_busy_count(bench->workers))
        clock_sleep_ms(5);
    (void)run(bench, "{\"revisions\":{\"to\":2}}", &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_DONE);
}

#define WORKS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKS(test_a_locked_database),
        WORKS(test_displacements),
        WORKS(test_faults_stay_where_they_are),
        WORKS(test_what_cannot_be_recorded_is_not_fetched),
        WORKS(test_a_pattern_means_weights),
        WORKS(test_stop_and_go_on),
        WORKS(test_cancelled_neighbour),
        WORKS(test_lost_lease),
        WORKS(test_cancelled_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
