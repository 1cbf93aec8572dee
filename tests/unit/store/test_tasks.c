/* Tasks: who gets which one when, what failures lead to, and how sweeps end. */
#include "tests/unit/store/leases.h"
#include "tests/unit/store/sql.h"

/* Within a sweep tasks go out in step order; nothing is left at the end, and the sweep is done. */
static void test_order_and_end(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[6], wait_ms = 0;
    struct task_row task;
    struct task_lease lease;
    fixture_add_revisions(fixture, 5, ids);
    int64_t sweep = fixture_sweep(fixture, ids, 5, 0);
    assert_int_equal(get_sweep(fixture, sweep).bytes_expected, 5000);
    for (int64_t i = 0; i < 5; i++) {
        lease_task(fixture, "a", LEASE_MS, &task, &lease);
        assert_int_equal(task.ordinal, i);
        assert_int_equal(task.revision_id, ids[i]);
        assert_int_equal(task.state, TASK_STATE_CLAIMED);
        assert_int_equal(task.attempts, 1);
        assert_int_equal(task.previous_revision_id, i ? ids[i - 1] : 0);
        assert_int_equal(get_sweep(fixture, sweep).tasks[TASK_STATE_CLAIMED], 1);
        OK(record(fixture, &lease, &err));
        assert_int_equal(get_sweep(fixture, sweep).state, i < 4 ? SWEEP_STATE_RUNNING : SWEEP_STATE_DONE);
    }
    struct sweep_row row = get_sweep(fixture, sweep);
    assert_int_equal(row.tasks[TASK_STATE_DONE], 5);
    assert_int_equal(row.tasks[TASK_STATE_QUEUED] + row.tasks[TASK_STATE_CLAIMED], 0);
    assert_int_equal(row.bytes_fetched, 5 * 1024);
    assert_int_equal(row.bytes_expected, 5 * 1024);
    assert_true(row.finished_ms >= row.started_ms && row.started_ms >= row.created_ms && row.created_ms > 0);
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("a", LEASE_MS, NULL), NULL, &task, &wait_ms, &err));
    assert_int_equal(wait_ms, -1);
    /* Not as long as somebody has one of them. */
    struct task_lease other;
    sweep = fixture_sweep(fixture, ids, 2, 0);
    lease_task(fixture, "a", LEASE_MS, &task, &lease);
    lease_task(fixture, "b", LEASE_MS, &task, &other);
    OK(record(fixture, &lease, &err));
    assert_int_equal(get_sweep(fixture, sweep).state, SWEEP_STATE_RUNNING);
    OK(record(fixture, &other, &err));
    assert_int_equal(get_sweep(fixture, sweep).state, SWEEP_STATE_DONE);
}

/* Higher priority first; equals take turns, the one with fewer running tasks first. */
static void test_priority_and_fair_share(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[13];
    struct task_row task;
    struct task_lease lease;
    fixture_add_revisions(fixture, 12, ids);
    int64_t low = fixture_sweep(fixture, ids, 4, 0);
    int64_t equal = fixture_sweep(fixture, ids + 4, 4, 0);
    int64_t high = fixture_sweep(fixture, ids + 8, 2, 5);
    const int64_t expected[] = {high, high, low, equal, low, equal};
    for (int i = 0; i < 6; i++) {
        lease_task(fixture, "a", LEASE_MS, &task, &lease);
        assert_int_equal(task.sweep_id, expected[i]);
    }
    /* One of `low` ends: it has fewer running ones now. */
    struct task_lease first = {.task_id = 1, .attempt = 1, .worker = "a"};
    OK(record(fixture, &first, &err));
    lease_task(fixture, "a", LEASE_MS, &task, &lease);
    assert_int_equal(task.sweep_id, low);
}

/* A worker alone goes back and forth between sweeps of equal priority. */
static void test_turns(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[7];
    struct task_row task;
    struct task_lease lease;
    fixture_add_revisions(fixture, 6, ids);
    int64_t first = fixture_sweep(fixture, ids, 3, 0);
    int64_t second = fixture_sweep(fixture, ids + 3, 3, 0);
    for (int i = 0; i < 6; i++) {
        lease_task(fixture, "a", LEASE_MS, &task, &lease);
        assert_int_equal(task.sweep_id, i % 2 ? second : first);
        assert_int_equal(task.ordinal, i / 2);
        OK(record(fixture, &lease, &err));
    }
}

/* A revision that is being measured for another sweep is passed over, and taken when that has ended. */
static void test_shared_revision(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3], wait_ms = 0;
    struct task_row task, other;
    struct task_lease lease, second;
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    int64_t later = fixture_sweep(fixture, ids, 1, 0);
    lease_task(fixture, "a", LEASE_MS, &task, &lease);
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("b", LEASE_MS, NULL), NULL, &other, &wait_ms, &err));
    assert_true(wait_ms > 0 && wait_ms <= LEASE_MS);
    OK(record(fixture, &lease, &err));
    lease_task(fixture, "b", LEASE_MS, &other, &second);
    assert_int_equal(other.sweep_id, later);
    assert_int_equal(other.revision_id, task.revision_id);
}

/* A claim can be held to one sweep, and kept from some. */
static void test_claim_of_one_sweep(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    struct task_row task;
    fixture_add_revisions(fixture, 2, ids);
    int64_t sooner = fixture_sweep(fixture, ids, 1, 9);
    int64_t later = fixture_sweep(fixture, ids + 1, 1, 0);
    OK(tasks_claim(fixture->store, BY("a", LEASE_MS, NULL), &(struct tasks_choice){.sweep_id = later}, &task,
                   NULL, &err));
    assert_int_equal(task.sweep_id, later);
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("a", LEASE_MS, NULL),
                                     &(struct tasks_choice){.sweep_id = later}, &task, NULL, &err));
    const int64_t except[] = {later, sooner};
    FAILS(ERR_NOT_FOUND,
          tasks_claim(fixture->store, BY("a", LEASE_MS, NULL),
                      &(struct tasks_choice){.except = except, .except_count = 2}, &task, NULL, &err));
    OK(tasks_claim(fixture->store, BY("a", LEASE_MS, NULL),
                   &(struct tasks_choice){.except = except, .except_count = 1}, &task, NULL, &err));
    assert_int_equal(task.sweep_id, sooner);
    /* Without a hub, those of folders. */
    struct fixture folder = *fixture;
    (void)fixture_sweep(fixture, &ids[2], 1, 9);
    const struct tasks_choice folders = {.only_folders = 1};
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("b", LEASE_MS, NULL), &folders, &task, NULL, &err));
    OK(models_ensure(fixture->store, "file:/runs/a", MODEL_KIND_FOLDER, &folder.model_id, &err));
    fixture_add_revisions(&folder, 2, ids);
    later = fixture_sweep(&folder, ids, 1, 0);
    OK(tasks_claim(fixture->store, BY("b", LEASE_MS, NULL), &folders, &task, NULL, &err));
    assert_int_equal(task.sweep_id, later);
}

static void end_pause(struct fixture *fixture, int64_t task_id)
{
    char change[96];
    (void)snprintf(change, sizeof change, "UPDATE tasks SET not_before_ms = 1 WHERE id = %lld",
                   (long long)task_id);
    assert_int_equal(sql_run(fixture->path, change), 1);
}

/* A transient failure is tried again after a growing pause, and at last fails for good; the sweep says why.
 */
static void test_retry_with_backoff(void **state)
{
    struct fixture *fixture = *state;
    static const struct tasks_policy SLOW = {
        .failures_max = 3, .interruptions_max = 3, .backoff_ms = 60000, .backoff_max_ms = 90000, .seed = 7};
    int64_t ids[2], wait_ms = 0;
    struct task_row task;
    struct task_lease lease;
    enum task_state to;
    struct err reason = {.code = ERR_NETWORK, .message = "GET model.safetensors: connection reset"};
    fixture_add_revisions(fixture, 1, ids);
    int64_t sweep = fixture_sweep(fixture, ids, 1, 0);
    for (int attempt = 1; attempt <= 3; attempt++) {
        OK(tasks_claim(fixture->store, BY("a", LEASE_MS, &SLOW), NULL, &task, NULL, &err));
        assert_int_equal(task.attempts, attempt);
        task_lease_of(&task, &lease);
        int64_t before = clock_wall_ms();
        OK(tasks_fail(fixture->store, &lease, &reason, &SLOW, &to, &err));
        assert_int_equal(to, attempt < 3 ? TASK_STATE_QUEUED : TASK_STATE_FAILED);
        OK(tasks_get(fixture->store, task.id, &task, &err));
        assert_string_equal(task.error_code, "network");
        assert_string_equal(task.error_message, reason.message);
        if (attempt == 3)
            break;
        int64_t longest = attempt == 1 ? 60000 : 90000;
        assert_in_range(task.not_before_ms, before + longest / 2, clock_wall_ms() + longest);
        FAILS(ERR_NOT_FOUND,
              tasks_claim(fixture->store, BY("a", LEASE_MS, &SLOW), NULL, &task, &wait_ms, &err));
        assert_in_range(wait_ms, 1, task.not_before_ms - before);
        end_pause(fixture, task.id);
    }
    struct sweep_row row = get_sweep(fixture, sweep);
    assert_int_equal(row.state, SWEEP_STATE_FAILED);
    assert_string_equal(row.error_code, "network");
    assert_string_equal(row.error_message,
                        "1 of 1 revisions failed; the first, step0: GET model.safetensors: connection reset");
}

/* What may have been the device's stays known, whatever fails next. */
static void test_suspect(void **state)
{
    struct fixture *fixture = *state;
    static const struct tasks_policy quick = {.failures_max = 9, .backoff_ms = 1, .backoff_max_ms = 1};
    static const struct {
        struct err reason;
        const char *suspect;
    } cases[] = {
        {{.code = ERR_NETWORK, .message = "connection reset"}, ""},
        {{.code = ERR_DEVICE_LOST, .message = "an illegal address"}, "device_lost"},
        {{.code = ERR_NETWORK, .message = "connection reset"}, "device_lost"},
        {{.code = ERR_TIMEOUT, .message = "no answer"}, "timeout"},
    };
    int64_t ids[2];
    fixture_add_revisions(fixture, 1, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct task_row task;
        struct task_lease lease;
        while (
            tasks_claim(fixture->store, BY("a", LEASE_MS, &quick), NULL, &task, NULL, &(struct err)ERR_INIT))
            clock_sleep_ms(1);
        task_lease_of(&task, &lease);
        OK(tasks_fail(fixture->store, &lease, &cases[i].reason, &quick, NULL, &err));
        OK(tasks_get(fixture->store, task.id, &task, &err));
        assert_string_equal(task.error_code, err_name(cases[i].reason.code));
        assert_string_equal(task.suspect, cases[i].suspect);
    }
}

/* A lasting failure is not tried again, and the rest of the sweep goes on. */
static void test_lasting_failure(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[4];
    struct task_row task;
    struct task_lease lease;
    enum task_state to;
    struct err reason = {.code = ERR_FORMAT, .message = "revision step0: truncated"};
    fixture_add_revisions(fixture, 3, ids);
    int64_t sweep = fixture_sweep(fixture, ids, 3, 0);
    lease_task(fixture, "a", LEASE_MS, &task, &lease);
    OK(tasks_fail(fixture->store, &lease, &reason, NULL, &to, &err));
    assert_int_equal(to, TASK_STATE_FAILED);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(get_sweep(fixture, sweep).state, SWEEP_STATE_RUNNING);
        lease_task(fixture, "a", LEASE_MS, &task, &lease);
        OK(record(fixture, &lease, &err));
    }
    struct sweep_row row = get_sweep(fixture, sweep);
    assert_int_equal(row.state, SWEEP_STATE_FAILED);
    assert_int_equal(row.tasks[TASK_STATE_DONE], 2);
    assert_int_equal(row.tasks[TASK_STATE_FAILED], 1);
    assert_string_equal(row.error_message, "1 of 3 revisions failed; the first, step0: truncated");
}

/* Tasks whose pause is over come before later steps, and a pause holds nobody else up. */
static void test_pause_does_not_block(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[4];
    struct task_row task;
    struct task_lease lease;
    struct err reason = {.code = ERR_NETWORK, .message = "reset"};
    static const struct tasks_policy SLOW = {
        .failures_max = 3, .interruptions_max = 3, .backoff_ms = 60000, .backoff_max_ms = 60000, .seed = 7};
    fixture_add_revisions(fixture, 3, ids);
    (void)fixture_sweep(fixture, ids, 3, 0);
    lease_task(fixture, "a", LEASE_MS, &task, &lease);
    const int64_t first = task.id;
    OK(tasks_fail(fixture->store, &lease, &reason, &SLOW, NULL, &err));
    lease_task(fixture, "a", LEASE_MS, &task, &lease);
    assert_int_equal(task.ordinal, 1);
    end_pause(fixture, first);
    lease_task(fixture, "a", LEASE_MS, &task, &lease);
    assert_int_equal(task.ordinal, 0);
    lease_task(fixture, "a", LEASE_MS, &task, &lease);
    assert_int_equal(task.ordinal, 2);
}

/* Cancelling ends a sweep at once; its workers learn it and nothing of theirs is recorded. */
static void test_cancel(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[4];
    struct task_row task;
    struct task_lease lease, done;
    struct err reason = {.code = ERR_NETWORK, .message = "reset"};
    fixture_add_revisions(fixture, 3, ids);
    int64_t sweep = fixture_sweep(fixture, ids, 3, 0);
    lease_task(fixture, "a", LEASE_MS, &task, &done);
    OK(record(fixture, &done, &err));
    lease_task(fixture, "a", LEASE_MS, &task, &lease);
    OK(sweeps_cancel(fixture->store, sweep, &err));
    OK(sweeps_cancel(fixture->store, sweep, &err));
    struct sweep_row row = get_sweep(fixture, sweep);
    assert_int_equal(row.state, SWEEP_STATE_CANCELLED);
    assert_int_equal(row.tasks[TASK_STATE_CANCELLED], 2);
    assert_int_equal(row.tasks[TASK_STATE_DONE], 1);
    assert_int_equal(row.tasks[TASK_STATE_QUEUED] + row.tasks[TASK_STATE_CLAIMED], 0);
    FAILS(ERR_CANCELLED, tasks_heartbeat(fixture->store, &lease, LEASE_MS, 1, &err));
    FAILS(ERR_CANCELLED, record(fixture, &lease, &err));
    FAILS(ERR_CANCELLED, tasks_fail(fixture->store, &lease, &reason, NULL, NULL, &err));
    FAILS(ERR_CANCELLED, tasks_release(fixture->store, &lease, NULL, &err));
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("a", LEASE_MS, NULL), NULL, &task, NULL, &err));
    struct revision_tensor_row tensor;
    FAILS(ERR_NOT_FOUND, contents_find_by_revision(fixture->store, ids[1], TENSOR, &tensor, &err));
    FAILS(ERR_NOT_FOUND, sweeps_cancel(fixture->store, 99, &err));
}

struct events {
    size_t count;
    struct task_event_row rows[16];
};

static int collect_event(void *context, const struct task_event_row *row)
{
    struct events *events = context;
    assert_true(events->count < 16);
    events->rows[events->count++] = *row;
    return 0;
}

/* The history tells what happened to a task, in order, with worker and reason. */
static void test_history(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[2];
    struct task_row task;
    struct task_lease lease;
    struct err reason = {.code = ERR_NETWORK, .message = "connection reset"};
    fixture_add_revisions(fixture, 1, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    lease_task(fixture, "a", LEASE_MS, &task, &lease);
    OK(tasks_heartbeat(fixture->store, &lease, LEASE_MS, 5, &err));
    OK(tasks_fail(fixture->store, &lease, &reason, &QUICK, NULL, &err));
    clock_sleep_ms(10);
    lease_task(fixture, "b", LEASE_MS, &task, &lease);
    OK(tasks_release(fixture->store, &lease, NULL, &err));
    lease_task(fixture, "c", LEASE_MS, &task, &lease);
    OK(record(fixture, &lease, &err));
    static const char *const EVENTS[] = {"plan", "claim", "retry", "claim", "interrupt", "claim", "record"};
    static const char *const WORKERS[] = {"", "a", "a", "b", "b", "c", "c"};
    struct events *events = calloc(1, sizeof *events);
    OK(tasks_list_events(fixture->store, task.id, 0, 16, collect_event, events, &err));
    assert_int_equal(events->count, 7);
    for (size_t i = 0; i < 7; i++) {
        assert_string_equal(events->rows[i].event, EVENTS[i]);
        assert_string_equal(events->rows[i].worker, WORKERS[i]);
    }
    assert_string_equal(events->rows[2].detail, "connection reset");
    assert_string_equal(events->rows[6].detail, "the reference cannot be read");
    int64_t after = events->rows[4].id;
    events->count = 0;
    OK(tasks_list_events(fixture->store, task.id, after, 1, collect_event, events, &err));
    assert_int_equal(events->count, 1);
    assert_string_equal(events->rows[0].event, "claim");
    free(events);
}

static int count_task(void *context, const struct task_row *row)
{
    int64_t *last = context;
    assert_true(row->ordinal > last[1]);
    last[0]++;
    last[1] = row->ordinal;
    return 0;
}

/* Lists by state and by page; the depth of the queue. */
static void test_lists(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[6], queued = 0, claimed = 0;
    struct task_row task;
    struct task_lease lease;
    enum task_state wanted = TASK_STATE_QUEUED;
    fixture_add_revisions(fixture, 5, ids);
    int64_t sweep = fixture_sweep(fixture, ids, 5, 0);
    lease_task(fixture, "a", LEASE_MS, &task, &lease);
    lease_task(fixture, "a", LEASE_MS, &task, &lease);
    OK(record(fixture, &lease, &err));
    int64_t seen[2] = {0, -1};
    OK(tasks_list(fixture->store, &(struct tasks_query){.sweep_id = sweep, .after_ordinal = -1, .limit = 100},
                  count_task, seen, &err));
    assert_int_equal(seen[0], 5);
    int64_t some[2] = {0, -1};
    OK(tasks_list(
        fixture->store,
        &(struct tasks_query){.sweep_id = sweep, .state = &wanted, .after_ordinal = -1, .limit = 100},
        count_task, some, &err));
    assert_int_equal(some[0], 3);
    int64_t page[2] = {0, 1};
    OK(tasks_list(fixture->store, &(struct tasks_query){.sweep_id = sweep, .after_ordinal = 1, .limit = 2},
                  count_task, page, &err));
    assert_int_equal(page[0], 2);
    assert_int_equal(page[1], 3);
    OK(tasks_depth(fixture->store, &queued, &claimed, &err));
    assert_int_equal(queued, 3);
    assert_int_equal(claimed, 1);
}

/* What must not be planned or claimed. */
static void test_refusals(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3], sweep = 0;
    struct task_row task;
    struct sweep_request request = {.model_id = fixture->model_id, .request = "{}"};
    fixture_add_revisions(fixture, 2, ids);
    OK(sweeps_create(fixture->store, &request, &sweep, NULL, &err));
    struct task_plan twice[] = {{.revision_id = ids[0]}, {.revision_id = ids[0], .ordinal = 1}};
    FAILS(ERR_INVALID, tasks_plan(fixture->store, sweep, twice, 2, &err));
    struct task_plan same_ordinal[] = {{.revision_id = ids[0]}, {.revision_id = ids[1]}};
    FAILS(ERR_INVALID, tasks_plan(fixture->store, sweep, same_ordinal, 2, &err));
    struct task_plan unknown = {.revision_id = 12345};
    FAILS(ERR_NOT_FOUND, tasks_plan(fixture->store, sweep, &unknown, 1, &err));
    struct task_plan negative = {.revision_id = ids[0], .bytes_expected = -1};
    FAILS(ERR_INVALID, tasks_plan(fixture->store, sweep, &negative, 1, &err));
    struct task_plan huge = {.revision_id = ids[0], .bytes_expected = LIMIT_TASK_BYTES + 1};
    FAILS(ERR_LIMIT, tasks_plan(fixture->store, sweep, &huge, 1, &err));
    assert_int_equal(get_sweep(fixture, sweep).tasks[TASK_STATE_QUEUED], 0);
    struct task_plan fine = {.revision_id = ids[0]};
    OK(tasks_plan(fixture->store, sweep, &fine, 1, &err));
    OK(tasks_plan(fixture->store, sweep, &fine, 1, &err)); /* as after a kill before the sweep had started */
    assert_int_equal(get_sweep(fixture, sweep).tasks[TASK_STATE_QUEUED], 1);
    /* A sweep that is still planned gives out nothing. */
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("a", LEASE_MS, NULL), NULL, &task, NULL, &err));
    OK(sweeps_start(fixture->store, sweep, &err));
    FAILS(ERR_CONFLICT, tasks_plan(fixture->store, sweep, &fine, 1, &err));
    FAILS(ERR_CONFLICT, sweeps_start(fixture->store, sweep, &err));
    FAILS(ERR_INVALID, tasks_claim(fixture->store, BY("", LEASE_MS, NULL), NULL, &task, NULL, &err));
    FAILS(ERR_INVALID, tasks_claim(fixture->store, BY("a", 0, NULL), NULL, &task, NULL, &err));
    struct task_lease lease = {.task_id = 999, .attempt = 1, .worker = "a"};
    FAILS(ERR_CANCELLED, record(fixture, &lease, &err));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_order_and_end),
        CASE(test_priority_and_fair_share),
        CASE(test_turns),
        CASE(test_shared_revision),
        CASE(test_claim_of_one_sweep),
        CASE(test_retry_with_backoff),
        CASE(test_suspect),
        CASE(test_lasting_failure),
        CASE(test_pause_does_not_block),
        CASE(test_cancel),
        CASE(test_history),
        CASE(test_lists),
        CASE(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
