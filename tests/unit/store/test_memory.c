/* Reads where SQLite gets no memory, for each of its allocations in turn: they give what is stored, or say
 * so. */
#include "tests/unit/store/fixture.h"

#include "store/announcements.h"

#include <sqlite3.h>

#define TEXT_BYTES 20000 /* more than a page: such a text is put together anew for each read */
#define URL "https://hooks.example/garden/neox-tiny/" /* 39 bytes: SQLite's terminator needs more memory */
#define SECRET "0123456789abcdef0123456789abcdef-secret"

static sqlite3_mem_methods real;
static _Thread_local int countdown; /* the allocation that fails; 0: none */
static int failures;

static int is_due(void)
{
    int is = countdown && --countdown == 0;
    failures += is;
    return is;
}

static void *get_memory(int size)
{
    return is_due() ? NULL : real.xMalloc(size);
}

static void *get_more_memory(void *memory, int size)
{
    return is_due() ? NULL : real.xRealloc(memory, size);
}

struct stored {
    struct fixture *fixture;
    char text[TEXT_BYTES];
    int64_t watch_id, sweep_id;
    int count;
};

static int compare_finding(void *context, const char *text)
{
    struct stored *stored = context;
    stored->count += strcmp(text, stored->text) == 0;
    return 0;
}

static int read_finding(struct stored *stored, struct err *err)
{
    stored->count = 0;
    int code = announcements_list(stored->fixture->store, stored->watch_id, compare_finding, stored, err);
    assert_true(code || stored->count == 1);
    return code;
}

/* Its request is as long, and the columns behind it lie on other pages. */
static int read_sweep(struct stored *stored, struct err *err)
{
    struct sweep_row row;
    int code = sweeps_get(stored->fixture->store, stored->sweep_id, &row, err);
    if (!code) {
        assert_int_equal(row.state, SWEEP_STATE_FAILED);
        assert_string_equal(row.error_message, "the plan failed");
    }
    return code;
}

static int is_free(void *context, int64_t id, const char *url)
{
    (void)context;
    (void)id;
    (void)url;
    return 0;
}

/* Where the request of a watch is long, its webhook and the secret that signs lie behind it. */
static int read_delivery(struct stored *stored, struct err *err)
{
    struct delivery_due due;
    int64_t wait_ms = 0;
    int code =
        deliveries_next(stored->fixture->store, clock_wall_ms() + 1000, is_free, NULL, &due, &wait_ms, err);
    if (!code) {
        assert_string_equal(due.watch.webhook_url, URL);
        assert_string_equal(due.watch.webhook_secret, SECRET);
    }
    return code;
}

static void store(struct fixture *fixture, struct stored *stored)
{
    struct watch_row watch;
    const char *const findings[] = {stored->text};
    struct watch_setting setting = {.model_id = fixture->model_id,
                                    .timetable = {.every_minutes = 5},
                                    .request = stored->text,
                                    .webhook_url = URL,
                                    .webhook_secret = SECRET};
    const struct announcement_event event = {.event = DELIVERY_EVENT_AUDIT_FINDING, .body = stored->text};
    struct sweep_request request = {.model_id = fixture->model_id, .request = stored->text};
    struct err reason = ERR_INIT;
    stored->fixture = fixture;
    memset(stored->text, 'x', sizeof stored->text - 1);
    OK(watches_put(fixture->store, &setting, NULL, &err));
    OK(watches_find(fixture->store, "garden/neox-tiny", &watch, &err));
    stored->watch_id = watch.id;
    OK(announcements_record(fixture->store, &watch, findings, 1, &event, 1, &err));
    OK(sweeps_create(fixture->store, &request, &stored->sweep_id, NULL, &err));
    (void)err_set(&reason, ERR_FORMAT, "the plan failed");
    OK(sweeps_fail(fixture->store, stored->sweep_id, &reason, &err));
}

static void check(struct stored *stored, int (*read)(struct stored *stored, struct err *err))
{
    int errors = 0, before;
    OK(read(stored, &err)); /* from here on each read allocates the same */
    int at = 1;
    do {
        struct err err = ERR_INIT;
        before = failures;
        countdown = at++;
        int code = read(stored, &err);
        countdown = 0;
        if (code)
            assert_int_equal(code, ERR_NO_MEMORY);
        errors += code != 0;
    } while (failures != before);
    assert_true(errors > 0);
}

static void test_without_memory(void **state)
{
    static struct stored stored;
    store(*state, &stored);
    check(&stored, read_finding);
    check(&stored, read_sweep);
    check(&stored, read_delivery);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_memory, fixture_open, fixture_close),
    };
    sqlite3_mem_methods methods;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real))
        return 1;
    methods = real;
    methods.xMalloc = get_memory;
    methods.xRealloc = get_more_memory;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
