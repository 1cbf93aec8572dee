/*
 * A server whose claims are asked for, and what a worker says to it.
 */
#ifndef BIFURCATED_TESTS_API_WORKERS_CLAIMS_FIXTURE_H
#define BIFURCATED_TESTS_API_WORKERS_CLAIMS_FIXTURE_H

#include "tests/unit/api/fixture.h"
#include "tests/unit/api/wire/wire_sample.h"

#define STATISTICS_BY SAMPLE_DEFINITION_OF
#define SCORING_BY 1
#define KEY "00000000000000000000000000000000"
#define KEY_MARK "84e0c0eafaa95a34" /* what of it is in names */
#define OTHER_KEY "00112233445566778899aabbccddeeff"

/* What the daemon would know, and was told, of the hub; the hooks may be called on several threads. */
static atomic_int is_endured, doubt_count;
static char said_of_all[256]; /* by requests that were answered before it is read */

static void read_hub_wait(void *context, struct api_hub_wait *ret_wait)
{
    (void)context;
    ret_wait->is_endured = atomic_load(&is_endured);
}

static void doubt_hub(void *context)
{
    (void)context;
    atomic_fetch_add(&doubt_count, 1);
}

static void note_hub_of_workers(void *context, const char *problem)
{
    (void)context;
    (void)snprintf(said_of_all, sizeof said_of_all, "%s", problem);
}

static int serve(void **state)
{
    struct api_options options;
    struct err err = ERR_INIT;
    if (fixture_serve(state))
        return -1;
    struct api_fixture *fixture = *state;
    api_server_stop(fixture->server, 0);
    fixture_options(fixture, &options);
    options.claims.definition = STATISTICS_BY;
    options.claims.scoring_definition = SCORING_BY;
    options.hooks.hub_wait = read_hub_wait;
    options.hooks.doubt_hub = doubt_hub;
    options.hooks.note_hub_of_workers = note_hub_of_workers;
    atomic_store(&is_endured, 0);
    return api_server_start(&options, &fixture->server, &err);
}

/* -- The worker's side -- */

static struct wire_offer an_offer(const char *worker)
{
    struct wire_offer offer = {.protocol = WIRE_PROTOCOL,
                               .definition = STATISTICS_BY,
                               .scoring = SCORING_BY,
                               .version = "test",
                               .key = KEY,
                               .device = "cpu",
                               .backend = SAMPLE_BACKEND};
    (void)snprintf(offer.worker, sizeof offer.worker, "%s", worker);
    return offer;
}

static const char *const json_headers[] = {"Content-Type: application/json", NULL};

/* POST /v1/claims; the task if the status is 201. */
static void offer(const struct api_fixture *fixture, const struct wire_offer *given, long status,
                  struct wire_task *task)
{
    struct exchange exchange;
    struct buf body;
    buf_init(&body, 65536);
    OK(wire_offer_append(given, &body, &err));
    fixture_request(fixture, "POST", "/v1/claims", buf_text(&body), json_headers, &exchange);
    if (exchange.status != status)
        fail_msg("%ld instead of %ld: %s", exchange.status, status, exchange.body ? exchange.body : "");
    if (status == 201)
        OK(wire_task_parse(exchange.body, exchange.size, task, &err));
    free(exchange.body);
    buf_free(&body);
}

static void claim(const struct api_fixture *fixture, const char *worker, struct wire_task *task)
{
    struct wire_offer given = an_offer(worker);
    offer(fixture, &given, 201, task);
}

static void put(const struct api_fixture *fixture, const char *id, const char *what, const char *body,
                long status)
{
    char target[256];
    struct exchange exchange;
    (void)snprintf(target, sizeof target, "/v1/claims/%s/%s", id, what);
    fixture_request(fixture, "PUT", target, body, json_headers, &exchange);
    if (exchange.status != status)
        fail_msg("%s: %ld instead of %ld: %s", target, exchange.status, status,
                 exchange.body ? exchange.body : "");
    free(exchange.body);
}

static int64_t start(struct api_fixture *fixture, size_t count, int64_t *ids)
{
    fixture_add_revisions(&fixture->store, count, ids);
    return fixture_sweep(&fixture->store, ids, count, 0);
}

static void get_task(const struct api_fixture *fixture, const struct wire_task *task, struct task_row *row)
{
    OK(tasks_get(fixture->store.store, task->task_id, row, &err));
}

struct events {
    int count;
    const char *name;
};

static int count_event(void *context, const struct task_event_row *row)
{
    struct events *events = context;
    events->count += strcmp(row->event, events->name) == 0 || strcmp(row->detail, events->name) == 0;
    return 0;
}

static int count_events(const struct api_fixture *fixture, int64_t task_id, const char *name)
{
    struct events events = {.name = name};
    OK(tasks_list_events(fixture->store.store, task_id, 0, 100, count_event, &events, &err));
    return events.count;
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, serve, fixture_unserve)

#endif
