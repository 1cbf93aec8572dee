/* Crashes: a process is killed at seeded moments, every other time of its beginning, else after it has
 * recorded something: however slow the machine is, both happen. What it acknowledged is there, and nothing is
 * half there. BIFURCATED_CRASHES sets how often (20). */
#include "tests/unit/store/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#define REVISIONS 400

/* Works until killed, and says through the pipe which task it has got acknowledged. */
static void work(const char *path, int acknowledged)
{
    struct err err = ERR_INIT;
    struct store *store = NULL;
    struct task_row task;
    struct task_lease lease;
    struct fixture_result *made = malloc(sizeof *made);
    if (store_open(path, &store, &err) || tasks_requeue_of_worker(store, "local/", "", NULL, NULL, &err))
        _exit(1);
    for (;;) {
        char name[32];
        if (tasks_claim(store, BY("local/1", LEASE_MS, NULL), NULL, &task, NULL, &err))
            break;
        task_lease_of(&task, &lease);
        (void)snprintf(name, sizeof name, "content %lld", (long long)task.ordinal);
        fixture_result(made, name, (double)task.ordinal);
        if (tasks_record(store, &lease, &made->result, &err))
            break;
        if (write(acknowledged, &task.id, sizeof task.id) != (ssize_t)sizeof task.id)
            break;
    }
    _exit(err.code == ERR_NOT_FOUND ? 0 : 1);
}

struct tally {
    int64_t done;
    struct fixture *fixture;
};

static int check_task(void *context, const struct task_row *row)
{
    struct tally *tally = context;
    tally->done += row->state == TASK_STATE_DONE;
    return 0;
}

static int check_row(void *context, const struct series_row *row)
{
    int64_t *measured = context;
    if (!row->has_tensor)
        return 0;
    ++*measured;
    for (int i = 0; i < SERIES_VARIANT_COUNT; i++) {
        assert_true(row->has_statistics[i]);
        assert_true(row->statistics[i].mean == (double)row->revision.step + i);
    }
    return 0;
}

static void check_state(struct fixture *fixture, int64_t sweep_id, const int64_t *acknowledged, size_t count)
{
    struct tally tally = {.fixture = fixture};
    struct sweep_row sweep;
    struct task_row task;
    int64_t measured = 0;
    struct series_query query = {
        .model_id = fixture->model_id, .step_max = INT64_MAX, .limit = LIMIT_API_PAGE_ROWS};
    fixture_check_database(fixture);
    OK(tasks_list(fixture->store,
                  &(struct tasks_query){.sweep_id = sweep_id, .after_ordinal = -1, .limit = REVISIONS},
                  check_task, &tally, &err));
    OK(series_read(fixture->store, &query, NULL, check_row, &measured, &err));
    OK(sweeps_get(fixture->store, sweep_id, &sweep, &err));
    assert_int_equal(measured, tally.done);
    assert_int_equal(sweep.tasks[TASK_STATE_DONE], tally.done);
    assert_true((size_t)tally.done >= count);
    for (size_t i = 0; i < count; i++) {
        OK(tasks_get(fixture->store, acknowledged[i], &task, &err));
        assert_int_equal(task.state, TASK_STATE_DONE);
        assert_int_equal(task.bytes_fetched, 1024);
    }
}

/* Adds what was acknowledged to acknowledged[*count], at most `most` ids, until the pipe's other end is
 * closed. */
static void take(int fd, int64_t *acknowledged, size_t *count, size_t most)
{
    size_t end = *count + most < REVISIONS ? *count + most : REVISIONS;
    while (*count < end && read(fd, &acknowledged[*count], sizeof *acknowledged) > 0)
        ++*count;
}

static void test_killed(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[REVISIONS + 1];
    int64_t *acknowledged = calloc(REVISIONS, sizeof *acknowledged);
    size_t count = 0;
    const char *wish = getenv("BIFURCATED_CRASHES");
    long crashes = wish ? strtol(wish, NULL, 10) : 20;
    fixture_add_revisions(fixture, REVISIONS, ids);
    int64_t sweep_id = fixture_sweep(fixture, ids, REVISIONS, 0);
    srandom(20261123);
    for (long crash = 0; crash < crashes; crash++) {
        int pipes[2];
        store_close(fixture->store);
        fixture->store = NULL;
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        if (child == 0) {
            (void)close(pipes[0]);
            work(fixture->path, pipes[1]);
        }
        (void)close(pipes[1]);
        if (crash % 2)
            take(pipes[0], acknowledged, &count, 1);
        clock_sleep_ms(random() % 60);
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
        take(pipes[0], acknowledged, &count, REVISIONS);
        (void)close(pipes[0]);
        OK(store_open(fixture->path, &fixture->store, &err));
        check_state(fixture, sweep_id, acknowledged, count);
    }
    print_message("killed %ld times, %zu of %d tasks acknowledged before\n", crashes, count, REVISIONS);
    assert_true(count > 0 || crashes < 2);
    store_close(fixture->store);
    fixture->store = NULL;
    pid_t child = fork();
    if (child == 0)
        work(fixture->path, open("/dev/null", O_WRONLY));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(store_open(fixture->path, &fixture->store, &err));
    struct sweep_row sweep;
    OK(sweeps_get(fixture->store, sweep_id, &sweep, &err));
    assert_int_equal(sweep.state, SWEEP_STATE_DONE);
    assert_int_equal(sweep.tasks[TASK_STATE_DONE], REVISIONS);
    check_state(fixture, sweep_id, acknowledged, count);
    free(acknowledged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_killed, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
