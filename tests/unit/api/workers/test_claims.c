/*
 * The routes of remote workers over a store: what a claim tells, and what becomes of it.
 */
#include "tests/unit/api/workers/claims_fixture.h"

#include "api/workers/claim_task.h"
#include "daemon/base/clock.h"
#include "store/sweeps.h"

/* Words that are not as described are refused by name, and leave the claim as it was. */
static void put_bad(const struct api_fixture *fixture, const char *id, const char *what, const char *body,
                    const char *field)
{
    char target[256];
    struct exchange exchange;
    (void)snprintf(target, sizeof target, "/v1/claims/%s/%s", id, what);
    fixture_request(fixture, "PUT", target, body, json_headers, &exchange);
    assert_int_equal(exchange.status, 400);
    json_t *problem = json_loads(exchange.body, 0, NULL);
    if (strcmp(json_string_value(json_object_get(problem, "field")), field) != 0)
        fail_msg("%s %s: %s", target, body, exchange.body);
    json_decref(problem);
    free(exchange.body);
}

/* PUT of a result, which is no text. */
static void put_result(const struct api_fixture *fixture, const char *id, const struct wire_result *result,
                       long status)
{
    char url[512];
    long given = 0;
    struct exchange answer = {0};
    struct buf body;
    buf_init(&body, LIMIT_CLAIM_RESULT_BYTES);
    OK(wire_result_append(result, &body, &err));
    (void)snprintf(url, sizeof url, "%s/v1/claims/%s/result", api_server_url(fixture->server), id);
    CURL *curl = curl_easy_init();
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: " WIRE_RESULT_TYPE);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "PUT");
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    assert_int_equal(curl_easy_perform(curl), 0);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &given);
    if (given != status)
        fail_msg("%ld instead of %ld: %s", given, status, answer.body ? answer.body : "");
    free(answer.body);
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    buf_free(&body);
}

/* Statistics alone, without references. */
static struct wire_sample *a_result(void)
{
    struct wire_sample *sample = calloc(1, sizeof *sample);
    wire_sample_make(sample);
    sample->tensor.displacement_count = 0;
    sample->result.result.perplexity_count = 0;
    sample->result.result.weights_digest[0] = 0;
    return sample;
}

static void test_what_a_claim_tells(void **state)
{
    struct api_fixture *fixture = *state;
    struct wire_sample *sample = a_result();
    struct wire_task first, second;
    int64_t ids[4];
    int64_t sweep = start(fixture, 3, ids);
    claim(fixture, "w/00", &first);
    assert_int_equal(first.sweep_id, sweep);
    assert_int_equal(first.lease_ms, 60000);
    assert_string_equal(first.model.name, "garden/neox-tiny");
    assert_string_equal(first.model.tensor, TENSOR);
    assert_string_equal(first.revisions[0].row.name, "step0");
    assert_int_equal(first.revision_count, 1); /* its reference is itself */
    assert_int_equal(first.reference, 0);
    assert_int_equal(first.previous, -1);
    assert_int_equal(first.revisions[0].tensor_count, 0);
    put_result(fixture, first.id, &sample->result, 200);
    claim(fixture, "w/00", &second);
    assert_string_equal(second.revisions[0].row.name, "step1");
    assert_int_equal(second.revision_count, 2);
    assert_int_equal(second.reference, 1);
    assert_int_equal(second.previous, 1);
    const struct wire_revision *reference = &second.revisions[1];
    assert_string_equal(reference->row.name, "step0");
    assert_int_equal(reference->tensor_count, 1);
    assert_string_equal(reference->tensors[0].content.digest, SAMPLE_CONTENT);
    assert_int_equal(reference->tensors[0].statistics_count, 0);
    wire_task_free(&first);
    wire_task_free(&second);
    free(sample);
}

static void test_recorded_once(void **state)
{
    struct api_fixture *fixture = *state;
    struct wire_sample *sample = a_result();
    struct wire_task task;
    struct task_row row;
    int64_t ids[2];
    (void)start(fixture, 1, ids);
    claim(fixture, "w/00", &task);
    put(fixture, task.id, "heartbeat", "{\"bytes_fetched\":77}", 200);
    get_task(fixture, &task, &row);
    assert_int_equal(row.bytes_fetched, 77);
    assert_string_equal(row.worker, "w-" KEY_MARK "/00");
    put_result(fixture, task.id, &sample->result, 200);
    put_result(fixture, task.id, &sample->result, 200); /* the answer was lost: sent again */
    assert_int_equal(count_events(fixture, task.task_id, "record"), 1);
    get_task(fixture, &task, &row);
    assert_int_equal(row.state, TASK_STATE_DONE);
    assert_int_equal(row.bytes_fetched, 4321);
    put(fixture, task.id, "heartbeat", "{\"bytes_fetched\":0}", 409);
    put(fixture, task.id, "failure", "{\"code\":\"io\",\"message\":\"late\"}", 409);
    put(fixture, task.id, "release", "{}", 409);
    wire_task_free(&task);
    free(sample);
}

/* A lease that is over and was taken by another counts no more; nothing of its result is kept. */
static void test_lost_lease(void **state)
{
    struct api_fixture *fixture = *state;
    struct wire_sample *sample = a_result();
    struct wire_task slow, quick;
    struct task_lease lease;
    struct task_row row;
    struct content_row content;
    int64_t ids[2];
    (void)start(fixture, 1, ids);
    claim(fixture, "slow/00", &slow);
    get_task(fixture, &slow, &row);
    task_lease_of(&row, &lease);
    OK(tasks_heartbeat(fixture->store.store, &lease, 1, 0, &err));
    clock_sleep_ms(5);
    claim(fixture, "quick/00", &quick);
    assert_int_equal(quick.task_id, slow.task_id);
    assert_string_not_equal(quick.id, slow.id);
    put_result(fixture, slow.id, &sample->result, 409);
    put(fixture, slow.id, "heartbeat", "{\"bytes_fetched\":0}", 409);
    FAILS(ERR_NOT_FOUND, contents_find(fixture->store.store, &sample->tensor.content, &content, &err));
    put_result(fixture, quick.id, &sample->result, 200);
    assert_int_equal(count_events(fixture, quick.task_id, "record"), 1);
    /* Ids that nobody was given. */
    put(fixture, "1.2.0123456789abcdef01234567", "release", "{}", 404);
    put(fixture, "99.1.0123456789abcdef01234567", "release", "{}", 404);
    put(fixture, "x", "release", "{}", 404);
    put(fixture, "9999999999999999999999.1.0", "release", "{}", 404);
    wire_task_free(&slow);
    wire_task_free(&quick);
    free(sample);
}

static void test_failed_released_declined(void **state)
{
    struct api_fixture *fixture = *state;
    struct wire_task task;
    struct task_row row;
    int64_t ids[4];
    int64_t sweep = start(fixture, 3, ids);
    claim(fixture, "w/00", &task);
    put(fixture, task.id, "release", "{}", 200);
    get_task(fixture, &task, &row);
    assert_int_equal(row.state, TASK_STATE_QUEUED);
    assert_int_equal(row.interruptions, 1);
    wire_task_free(&task);
    claim(fixture, "w/00", &task);
    put(fixture, task.id, "release", "{\"declined\":\"it is not here\"}", 200);
    get_task(fixture, &task, &row);
    assert_int_equal(row.interruptions, 1); /* not counted */
    wire_task_free(&task);
    claim(fixture, "w/00", &task);
    put(fixture, task.id, "failure", "{\"code\":\"network\",\"message\":\"passing\"}", 200);
    get_task(fixture, &task, &row);
    assert_int_equal(row.state, TASK_STATE_QUEUED);
    assert_int_equal(row.failures, 1);
    assert_true(row.not_before_ms > 0);
    wire_task_free(&task);
    OK(api_claim_task(fixture->store.store, &row, "cpu", 1, &task, &err));
    assert_string_equal(task.failure, "network");
    wire_task_free(&task);
    (void)snprintf(row.suspect, sizeof row.suspect, "device_lost"); /* before that */
    OK(api_claim_task(fixture->store.store, &row, "cpu", 1, &task, &err));
    assert_string_equal(task.failure, "device_lost");
    wire_task_free(&task);
    claim(fixture, "w/00", &task); /* the next one */
    static const char *const bad[][3] = {
        {"failure", "{\"code\":\"fame\",\"message\":\"m\"}", "/code"},
        {"failure", "{\"code\":\"ok\",\"message\":\"m\"}", "/code"},
        {"failure", "{\"code\":\"io\",\"message\":\"\"}", "/message"},
        {"failure", "{\"code\":\"io\",\"message\":\"two\\nlines\"}", "/message"},
        {"failure", "{\"code\":\"io\"}", "/message"},
        {"failure", "{\"code\":\"io\",\"message\":\"m\",\"refused\":1}", "/refused"},
        {"failure", "{\"code\":\"io\",\"message\":\"m\",\"final\":true}", "/final"},
        {"failure", "[]", ""},
        {"failure", "{", ""},
        {"release", "{\"declined\":7}", "/declined"},
        {"release", "{\"declined\":\"\"}", "/declined"},
        {"release", "{\"reason\":\"no folder\"}", "/reason"},
        {"heartbeat", "{\"bytes_fetched\":-1}", "/bytes_fetched"},
        {"heartbeat", "{\"bytes_fetched\":70368744177665}", "/bytes_fetched"},
        {"heartbeat", "{\"bytes_fetched\":1,\"rate\":2}", "/rate"},
        {"heartbeat", "{}", "/bytes_fetched"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        put_bad(fixture, task.id, bad[i][0], bad[i][1], bad[i][2]);
    put(fixture, task.id, "failure", "{\"code\":\"format\",\"message\":\"no checkpoint\"}", 200);
    get_task(fixture, &task, &row);
    assert_int_equal(row.state, TASK_STATE_FAILED);
    assert_string_equal(row.error_message, "no checkpoint");
    wire_task_free(&task);
    /* Cancelled under a worker. */
    claim(fixture, "w/00", &task);
    OK(sweeps_cancel(fixture->store.store, sweep, &err));
    put(fixture, task.id, "heartbeat", "{\"bytes_fetched\":0}", 409);
    wire_task_free(&task);
}

/* What may be the fault of one machine is for another to see; what two say is so. Alone, one is believed. */
static void test_failed_elsewhere(void **state)
{
    struct api_fixture *fixture = *state;
    static const char damaged[] = "{\"code\":\"format\",\"message\":\"no checkpoint\"}";
    struct wire_task first, second, again;
    struct task_row row;
    int64_t ids[4];
    int64_t sweep = start(fixture, 2, ids);
    claim(fixture, "first/00", &first);
    claim(fixture, "second/00", &second);
    put(fixture, first.id, "failure", damaged, 200);
    get_task(fixture, &first, &row);
    assert_int_equal(row.state, TASK_STATE_QUEUED);
    assert_int_equal(row.failures, 1);
    put(fixture, second.id, "failure", "{\"code\":\"unsupported\",\"message\":\"no head\"}", 200);
    get_task(fixture, &second, &row);
    assert_int_equal(row.state, TASK_STATE_QUEUED);

    /* After the pause each has the other's. */
    struct wire_offer given = an_offer("first/00");
    given.wait_s = 20;
    offer(fixture, &given, 201, &again);
    assert_int_equal(again.task_id, second.task_id);
    assert_string_equal(again.failure, "mismatch");
    put(fixture, again.id, "failure", "{\"code\":\"unsupported\",\"message\":\"no head\"}", 200);
    get_task(fixture, &again, &row);
    assert_int_equal(row.state, TASK_STATE_FAILED);
    assert_string_equal(row.error_code, "unsupported");
    assert_string_equal(row.error_message, "no head");
    wire_task_free(&again);
    OK(sweeps_cancel(fixture->store.store, sweep, &err));
    wire_task_free(&first);
    wire_task_free(&second);
}

/* Another holder of a token reads all names, and can end nothing under them: what it asks for by another's
 * name it asks for as somebody else. */
static void test_a_name_is_no_key(void **state)
{
    struct api_fixture *fixture = *state;
    struct wire_sample *sample = a_result();
    struct wire_task mine, other;
    struct task_row row;
    int64_t ids[2];
    (void)start(fixture, 1, ids);
    claim(fixture, "w/00", &mine);
    static const char *const names[] = {"w/00", "w-" KEY_MARK "/00"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct wire_offer foreign = an_offer(names[i]);
        memcpy(foreign.key, OTHER_KEY, sizeof foreign.key);
        foreign.is_again = 1;
        offer(fixture, &foreign, 204, NULL);
        foreign.is_leaving = 1;
        offer(fixture, &foreign, 204, NULL);
    }
    get_task(fixture, &mine, &row);
    assert_int_equal(row.state, TASK_STATE_CLAIMED);
    assert_int_equal(row.interruptions, 0);
    assert_int_equal(row.attempts, 1);
    put_result(fixture, mine.id, &sample->result, 200);
    /* A process that was started anew is another one, too: it waits for the lease of the one before. */
    (void)start(fixture, 1, ids);
    struct wire_offer given = an_offer("w/00");
    offer(fixture, &given, 201, &other);
    given.is_again = 1;
    memcpy(given.key, OTHER_KEY, sizeof given.key);
    offer(fixture, &given, 204, NULL);
    memcpy(given.key, KEY, sizeof given.key);
    wire_task_free(&mine);
    offer(fixture, &given, 201, &mine);
    assert_int_equal(mine.task_id, other.task_id);
    wire_task_free(&mine);
    wire_task_free(&other);
    free(sample);
}

/* Asks for work, and does not wait for the answer. */
static int ask(const struct api_fixture *fixture, const struct wire_offer *given)
{
    char head[256];
    struct buf body;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(api_server_port(fixture->server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    buf_init(&body, 65536);
    OK(wire_offer_append(given, &body, &err));
    int length = snprintf(head, sizeof head,
                          "POST /v1/claims HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n\r\n",
                          body.size);
    assert_int_equal(send(fd, head, (size_t)length, MSG_NOSIGNAL), length);
    assert_int_equal(send(fd, body.data, body.size, MSG_NOSIGNAL), (ssize_t)body.size);
    buf_free(&body);
    return fd;
}

static void await_waiting(const struct api_fixture *fixture)
{
    int is_there = 0;
    for (int64_t end_ms = clock_monotonic_ms() + 60000; !is_there && clock_monotonic_ms() < end_ms;) {
        struct exchange exchange;
        fixture_request(fixture, "GET", "/metrics", NULL, NULL, &exchange);
        is_there = strstr(exchange.body, "\nbifurcated_remote_workers_waiting 1\n") != NULL;
        free(exchange.body);
    }
    assert_true(is_there);
}

/* Nobody hears the answer to what a slot has asked before it asked anew, or left, although its connection may
 * still look open: it gets no task, which would be its worker's until the lease is over. */
static void test_what_was_asked_before_gets_nothing(void **state)
{
    struct api_fixture *fixture = *state;
    char answer[13] = "";
    struct task_row row;
    int64_t ids[2];
    for (int is_leaving = 0; is_leaving < 2; is_leaving++) {
        struct wire_offer given = an_offer("w/00");
        struct wire_task task;
        given.wait_s = 50;
        int fd = ask(fixture, &given);
        await_waiting(fixture);
        given.wait_s = 0;
        given.is_again = 1;
        given.is_leaving = is_leaving;
        offer(fixture, &given, 204, NULL);
        (void)start(fixture, 1, ids);
        assert_int_equal(recv(fd, answer, sizeof answer - 1, MSG_WAITALL), sizeof answer - 1);
        assert_string_equal(answer, "HTTP/1.1 204");
        (void)close(fd);
        claim(fixture, "other/00", &task);
        get_task(fixture, &task, &row);
        assert_int_equal(row.attempts, 1);
        put(fixture, task.id, "failure", "{\"code\":\"cancelled\",\"message\":\"over\"}", 200);
        wire_task_free(&task);
        OK(sweeps_cancel(fixture->store.store, row.sweep_id, &err));
    }
}

static atomic_int is_held, has_claimed; /* whether the next claim waits once it has its task; that it does */

/* The linker puts this in the place of tasks_claim(). */
int __real_tasks_claim(struct store *store, const struct tasks_claimant *claimant,
                       const struct tasks_choice *choice, struct task_row *ret_task, int64_t *ret_wait_ms,
                       struct err *err);
int __wrap_tasks_claim(struct store *store, const struct tasks_claimant *claimant,
                       const struct tasks_choice *choice, struct task_row *ret_task, int64_t *ret_wait_ms,
                       struct err *err);

int __wrap_tasks_claim(struct store *store, const struct tasks_claimant *claimant,
                       const struct tasks_choice *choice, struct task_row *ret_task, int64_t *ret_wait_ms,
                       struct err *err)
{
    int code = __real_tasks_claim(store, claimant, choice, ret_task, ret_wait_ms, err);
    atomic_store(&has_claimed, atomic_load(&is_held));
    while (atomic_load(&is_held))
        clock_sleep_ms(1);
    return code;
}

/* The same where it has its task already, and is about to be told. */
static void test_what_is_claimed_too_late_is_given_back(void **state)
{
    struct api_fixture *fixture = *state;
    struct wire_offer given = an_offer("w/00");
    struct wire_task task;
    struct task_row row;
    char answer[13] = "";
    int64_t ids[2];
    (void)start(fixture, 1, ids);
    atomic_store(&is_held, 1);
    int fd = ask(fixture, &given);
    while (!atomic_load(&has_claimed))
        clock_sleep_ms(1);
    given.is_leaving = 1;
    offer(fixture, &given, 204, NULL);
    atomic_store(&is_held, 0);
    assert_int_equal(recv(fd, answer, sizeof answer - 1, MSG_WAITALL), sizeof answer - 1);
    assert_string_equal(answer, "HTTP/1.1 204");
    (void)close(fd);
    claim(fixture, "other/00", &task);
    get_task(fixture, &task, &row);
    assert_int_equal(row.attempts, 2);
    assert_int_equal(row.failures + row.interruptions, 0);
    wire_task_free(&task);
}

static void test_other_versions(void **state)
{
    struct api_fixture *fixture = *state;
    struct wire_offer given = an_offer("w/00");
    given.definition++;
    offer(fixture, &given, 409, NULL);
    given = an_offer("w/00");
    given.scoring++;
    offer(fixture, &given, 409, NULL);
    static const char *const bad[] = {
        "w",          "/0",
        "w/",         "w/x",
        "w/00000",    "a b/0",
        "w\nv/0",     "local/00",
        "local/1/00", "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn/0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        given = an_offer(bad[i]);
        offer(fixture, &given, 400, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(test_what_a_claim_tells),
        SERVED(test_recorded_once),
        SERVED(test_lost_lease),
        SERVED(test_failed_released_declined),
        SERVED(test_failed_elsewhere),
        SERVED(test_a_name_is_no_key),
        SERVED(test_other_versions),
        SERVED(test_what_was_asked_before_gets_nothing),
        SERVED(test_what_is_claimed_too_late_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
