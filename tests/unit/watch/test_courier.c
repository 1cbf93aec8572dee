/* Webhooks: a receiver that hangs, and what the store cannot note of one, keep their own messages waiting,
 * and nobody else's. */
#include "tests/unit/store/fixture.h"

#include "daemon/watch/announce.h"
#include "daemon/watch/courier.h"
#include "store/deliveries.h"
#include "store/watches.h"
#include "tests/unit/store/sql.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define SECRET "sixteen letters!"
#define WAIT_S 120 /* only a broken courier lets a test wait for so long */

#define FAULT_PAUSE_MS 2000 /* the shortest, as daemon/watch/duty.c has it */

static atomic_int has_lost_body; /* that of the first message cannot be noted */
static atomic_int faults;

int sqlite3_step(sqlite3_stmt *statement)
{
    static int (*real)(sqlite3_stmt *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_step");
    const char *sql = sqlite3_sql(statement); /* NULL of SQLite's own */
    if (atomic_load(&has_lost_body) && sql && strncmp(sql, "UPDATE deliveries SET body", 26) == 0) {
        char *whole = sqlite3_expanded_sql(statement);
        const int is_first = strstr(whole, "WHERE id = 1 AND") != NULL;
        sqlite3_free(whole);
        if (is_first) {
            atomic_fetch_add(&faults, 1);
            return SQLITE_IOERR;
        }
    }
    return real(statement);
}

/* A receiver on loopback. */
struct receiver {
    int listener;
    char url[64];
};

static void listen_on(struct receiver *receiver)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct timeval wait = {.tv_sec = WAIT_S};
    receiver->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(receiver->listener >= 0);
    assert_int_equal(bind(receiver->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(receiver->listener, 8), 0);
    assert_int_equal(getsockname(receiver->listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(setsockopt(receiver->listener, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    (void)snprintf(receiver->url, sizeof receiver->url, "http://127.0.0.1:%d/hook", ntohs(address.sin_port));
}

/* The next message's connection, with what has come of it. */
static int take(const struct receiver *receiver)
{
    char text[4096];
    int connection = accept(receiver->listener, NULL, NULL);
    assert_true(connection >= 0);
    assert_true(recv(connection, text, sizeof text, 0) > 0);
    assert_memory_equal(text, "POST /hook HTTP/1.1", 19);
    return connection;
}

static void answer(int connection)
{
    static const char text[] = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    assert_int_equal(send(connection, text, sizeof text - 1, MSG_NOSIGNAL), sizeof text - 1);
    (void)shutdown(connection, SHUT_WR);
    (void)close(connection);
}

/* Watches a model; the end of a sweep is then owed to the receiver. */
static int64_t watch(struct fixture *fixture, const char *model, const struct receiver *receiver)
{
    struct watch_row row;
    struct watch_setting setting = {.timetable = {.every_minutes = 5000},
                                    .request = "{}",
                                    .webhook_url = receiver->url,
                                    .webhook_secret = SECRET};
    OK(models_ensure(fixture->store, model, MODEL_KIND_HUB, &setting.model_id, &err));
    OK(watches_put(fixture->store, &setting, NULL, &err));
    OK(watches_find(fixture->store, model, &row, &err));
    return row.id;
}

static void end_sweep(struct fixture *fixture, const char *model)
{
    int64_t id = 0;
    struct sweep_request request = {.request = "{}"};
    OK(models_ensure(fixture->store, model, MODEL_KIND_HUB, &request.model_id, &err));
    OK(sweeps_create(fixture->store, &request, &id, NULL, &err));
    OK(sweeps_cancel(fixture->store, id, &err));
}

struct attempts {
    int count, tried, pending;
};

static int add(void *context, const struct delivery_row *row)
{
    struct attempts *attempts = context;
    attempts->count++;
    attempts->tried += row->attempts;
    attempts->pending += row->state == DELIVERY_STATE_PENDING;
    return 0;
}

static void test_a_receiver_that_hangs_delays_no_other(void **state)
{
    struct fixture *fixture = *state;
    struct receiver hanging, other;
    struct courier *courier = NULL;
    struct attempts attempts = {0};
    listen_on(&hanging);
    listen_on(&other);
    int64_t first = watch(fixture, "a/hanging", &hanging);
    (void)watch(fixture, "a/hanging-too", &hanging);
    (void)watch(fixture, "b/other", &other);
    end_sweep(fixture, "a/hanging");
    end_sweep(fixture, "a/hanging-too");
    OK(courier_start(fixture->store, NULL, &courier, &err));
    int silent = take(&hanging); /* and says nothing */
    for (int i = 0; i < 3; i++) {
        end_sweep(fixture, "b/other");
        answer(take(&other));
    }
    /* All that while the first attempt lasted; and to one host goes one message at a time. */
    OK(deliveries_list(fixture->store, first, 0, 10, add, &attempts, &err));
    assert_int_equal(attempts.count, 1);
    assert_int_equal(attempts.tried, 0);
    assert_int_equal(fcntl(hanging.listener, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(accept(hanging.listener, NULL, NULL), -1);
    courier_stop(courier); /* in mid-attempt, which counts as not made */
    attempts = (struct attempts){0};
    OK(deliveries_list(fixture->store, first, 0, 10, add, &attempts, &err));
    assert_int_equal(attempts.tried, 0);
    (void)close(silent);
    (void)close(hanging.listener);
    (void)close(other.listener);
}

/* The message that is on its way to the old place is not sent to the new one meanwhile. */
static void test_a_webhook_that_moves_is_told_once(void **state)
{
    struct fixture *fixture = *state;
    struct receiver old, new;
    struct courier *courier = NULL;
    struct attempts attempts = {0};
    listen_on(&old);
    listen_on(&new);
    int64_t id = watch(fixture, "a/moving", &old);
    end_sweep(fixture, "a/moving");
    OK(courier_start(fixture->store, NULL, &courier, &err));
    int first = take(&old);
    (void)watch(fixture, "a/moving", &new);
    end_sweep(fixture, "a/moving"); /* of two messages the later one alone is free to go */
    answer(take(&new));
    answer(first);
    int64_t end_ms = clock_monotonic_ms() + WAIT_S * 1000;
    do {
        clock_sleep_ms(10);
        attempts = (struct attempts){0};
        OK(deliveries_list(fixture->store, id, 0, 10, add, &attempts, &err));
    } while (attempts.tried < 2 && clock_monotonic_ms() < end_ms);
    courier_stop(courier);
    assert_int_equal(attempts.count, 2);
    assert_int_equal(attempts.tried, 2);
    assert_int_equal(fcntl(new.listener, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(accept(new.listener, NULL, NULL), -1);
    (void)close(old.listener);
    (void)close(new.listener);
}

/* The machine booted without a time, and its clock was put forward after the event: that is no day of
 * attempts. */
static void test_a_clock_put_forward_is_no_reason_to_give_up(void **state)
{
    struct fixture *fixture = *state;
    struct receiver refusing;
    struct courier *courier = NULL;
    struct attempts attempts = {0};
    listen_on(&refusing);
    int64_t id = watch(fixture, "a/early", &refusing);
    end_sweep(fixture, "a/early");
    assert_int_equal(sql_run(fixture->path, "UPDATE deliveries SET created_ms = 60000, next_ms = 60000"), 1);
    OK(courier_start(fixture->store, NULL, &courier, &err));
    (void)close(take(&refusing)); /* without an answer */
    int second = take(&refusing);
    courier_stop(courier);
    OK(deliveries_list(fixture->store, id, 0, 10, add, &attempts, &err));
    assert_int_equal(attempts.count, 1);
    assert_int_equal(attempts.tried, 1);
    assert_int_equal(attempts.pending, 1);
    (void)close(second);
    (void)close(refusing.listener);
}

/* One lane tries it again after a pause; the others do not wait for it. */
static void test_a_message_that_cannot_be_noted_delays_no_other(void **state)
{
    struct fixture *fixture = *state;
    struct receiver lost, other;
    struct courier *courier = NULL;
    listen_on(&lost);
    listen_on(&other);
    (void)watch(fixture, "a/lost", &lost);
    (void)watch(fixture, "b/other", &other);
    end_sweep(fixture, "a/lost");
    atomic_store(&faults, 0);
    atomic_store(&has_lost_body, 1);
    const int64_t begin_ms = clock_monotonic_ms();
    OK(courier_start(fixture->store, NULL, &courier, &err));
    for (int i = 0; i < 5; i++) {
        end_sweep(fixture, "b/other");
        answer(take(&other));
    }
    courier_stop(courier);
    const int64_t pauses = (clock_monotonic_ms() - begin_ms) / FAULT_PAUSE_MS;
    atomic_store(&has_lost_body, 0);
    assert_in_range(atomic_load(&faults), 1, 1 + pauses);
    (void)close(lost.listener);
    (void)close(other.listener);
}

static void test_a_watch_that_cannot_be_noted_delays_no_announcement(void **state)
{
    struct fixture *fixture = *state;
    struct receiver receiver;
    struct watch_row row;
    struct err fault = ERR_INIT;
    atomic_bool is_stopping = 1;
    int is_announced = 0;
    listen_on(&receiver);
    (void)watch(fixture, "a/lost", &receiver);
    (void)watch(fixture, "b/other", &receiver);
    end_sweep(fixture, "a/lost");
    end_sweep(fixture, "b/other");
    (void)sql_run(fixture->path, "CREATE TRIGGER lost BEFORE UPDATE OF sweeps_announced ON watches "
                                 "WHEN old.id = 1 BEGIN SELECT RAISE(ABORT, 'lost'); END");
    OK(announce_run_once(fixture->store, &is_stopping, &is_announced, &err)); /* begins none */
    assert_int_equal(is_announced, 0);
    atomic_store(&is_stopping, 0);
    OK(announce_run_once(fixture->store, &is_stopping, &is_announced, &err));
    assert_int_equal(is_announced, 1);
    OK(watches_find(fixture->store, "b/other", &row, &err));
    assert_int_equal(row.sweeps_announced, 1);
    assert_true(err_is_of_the_store(announce_run_once(fixture->store, &is_stopping, &is_announced, &fault)));
    assert_int_equal(is_announced, 0);
    assert_non_null(strstr(fault.message, "lost"));
    (void)sql_run(fixture->path, "DROP TRIGGER lost");
    OK(announce_run_once(fixture->store, &is_stopping, &is_announced, &err));
    assert_int_equal(is_announced, 1);
    OK(announce_run_once(fixture->store, &is_stopping, &is_announced, &err));
    assert_int_equal(is_announced, 0);
    (void)close(receiver.listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_receiver_that_hangs_delays_no_other, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_a_webhook_that_moves_is_told_once, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_a_clock_put_forward_is_no_reason_to_give_up, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_a_message_that_cannot_be_noted_delays_no_other, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_a_watch_that_cannot_be_noted_delays_no_announcement,
                                        fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
