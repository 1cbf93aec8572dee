/* Threads: workers, readers and a waiter at once. Each task is done once, and every read sees a whole state.
 */
#include "tests/unit/store/fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define REVISIONS 120
#define WORKERS 4
#define READERS 4

struct shared {
    struct fixture *fixture;
    int64_t sweep_id;
    atomic_int done;
    atomic_int failed; /* of any thread: what went wrong is on standard error */
    atomic_int stop;
};

static void complain(struct shared *shared, const struct err *err, const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", what, err->message);
    atomic_fetch_add(&shared->failed, 1);
}

static int work_once(struct shared *shared, const char *worker, struct fixture_result *made, struct err *err)
{
    struct task_row task;
    struct task_lease lease;
    struct store *store = shared->fixture->store;
    int code = tasks_claim(store, BY(worker, LEASE_MS, NULL), NULL, &task, NULL, err);
    if (code)
        return code;
    task_lease_of(&task, &lease);
    if (task.attempts == 1 && task.ordinal % 10 == 0)
        return tasks_release(store, &lease, NULL, err);
    if ((code = tasks_heartbeat(store, &lease, LEASE_MS, 500, err)))
        return code;
    memset(made->tensor.content.digest, 'a', 64);
    char number[16];
    int length = snprintf(number, sizeof number, "%lld", (long long)task.ordinal);
    memcpy(made->tensor.content.digest, number, (size_t)length);
    code = tasks_record(store, &lease, &made->result, err);
    if (!code)
        atomic_fetch_add(&shared->done, 1);
    return code;
}

static void *run_worker(void *argument)
{
    struct shared *shared = argument;
    char worker[32];
    struct fixture_result *made = malloc(sizeof *made);
    (void)snprintf(worker, sizeof worker, "thread/%lx", (unsigned long)pthread_self());
    fixture_result(made, "any", 1);
    while (!atomic_load(&shared->stop)) {
        struct err err = ERR_INIT;
        int code = work_once(shared, worker, made, &err);
        if (code == ERR_NOT_FOUND) {
            uint64_t version = store_version(shared->fixture->store);
            (void)store_wait_change(shared->fixture->store, version, 5, NULL);
        } else if (code) {
            complain(shared, &err, "worker");
            break;
        }
    }
    free(made);
    return NULL;
}

struct tally {
    int rows, measured;
};

static int count_row(void *context, const struct series_row *row)
{
    struct tally *tally = context;
    tally->rows++;
    tally->measured += row->state == SERIES_STATE_MEASURED;
    if (row->has_tensor && !(row->has_statistics[0] && row->has_statistics[3]))
        tally->rows = -1000000;
    return 0;
}

static int read_once(struct shared *shared, int *last, struct err *err)
{
    struct sweep_row sweep;
    struct tally tally = {0};
    struct store *store = shared->fixture->store;
    struct series_query query = {
        .model_id = shared->fixture->model_id, .step_max = INT64_MAX, .limit = LIMIT_API_PAGE_ROWS};
    int code = sweeps_get(store, shared->sweep_id, &sweep, err);
    if (code)
        return code;
    int64_t all = 0;
    for (int i = 0; i < TASK_STATE_COUNT; i++)
        all += sweep.tasks[i];
    if (all != REVISIONS)
        return err_set(err, ERR_INTERNAL, "a sweep of %d tasks has %lld", REVISIONS, (long long)all);
    if ((code = series_read(store, &query, NULL, count_row, &tally, err)))
        return code;
    if (tally.rows != REVISIONS || tally.measured < *last || tally.measured < sweep.tasks[TASK_STATE_DONE])
        return err_set(err, ERR_INTERNAL, "%d rows, %d measured after %d", tally.rows, tally.measured, *last);
    *last = tally.measured;
    return 0;
}

static void *run_reader(void *argument)
{
    struct shared *shared = argument;
    int last = 0;
    while (!atomic_load(&shared->stop)) {
        struct err err = ERR_INIT;
        if (read_once(shared, &last, &err)) {
            complain(shared, &err, "reader");
            break;
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[REVISIONS + 1];
    pthread_t threads[WORKERS + READERS];
    struct sweep_row sweep;
    fixture_add_revisions(fixture, REVISIONS, ids);
    struct shared shared = {.fixture = fixture, .sweep_id = fixture_sweep(fixture, ids, REVISIONS, 0)};
    for (int i = 0; i < WORKERS + READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < WORKERS ? run_worker : run_reader, &shared),
                         0);
    uint64_t version = 0;
    do {
        version = store_wait_change(fixture->store, version, 1000, NULL);
        OK(sweeps_get(fixture->store, shared.sweep_id, &sweep, &err));
    } while (sweep.state == SWEEP_STATE_RUNNING && !atomic_load(&shared.failed));
    atomic_store(&shared.stop, 1);
    store_wake(fixture->store);
    for (int i = 0; i < WORKERS + READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&shared.failed), 0);
    assert_int_equal(sweep.state, SWEEP_STATE_DONE);
    assert_int_equal(atomic_load(&shared.done), REVISIONS);
    fixture_check_database(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_threads, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
