/* For tests of tasks and their queue: claims, results and sweeps in one line each. */
#ifndef BIFURCATED_TESTS_STORE_LEASES_H
#define BIFURCATED_TESTS_STORE_LEASES_H

#include "tests/unit/store/fixture.h"

static const struct tasks_policy QUICK = {
    .failures_max = 3, .interruptions_max = 3, .backoff_ms = 1, .backoff_max_ms = 4, .seed = 7};

static inline void lease_task(struct fixture *fixture, const char *worker, int64_t lease_ms,
                              struct task_row *task, struct task_lease *lease)
{
    OK(tasks_claim(fixture->store, BY(worker, lease_ms, &QUICK), NULL, task, NULL, &err));
    task_lease_of(task, lease);
}

static inline int record(struct fixture *fixture, const struct task_lease *lease, struct err *err)
{
    struct fixture_result *made = malloc(sizeof *made);
    char name[64];
    (void)snprintf(name, sizeof name, "task %lld", (long long)lease->task_id);
    fixture_result(made, name, 1);
    made->result.caution = "the reference cannot be read";
    int code = tasks_record(fixture->store, lease, &made->result, err);
    free(made);
    return code;
}

static inline struct sweep_row get_sweep(struct fixture *fixture, int64_t id)
{
    struct sweep_row sweep;
    OK(sweeps_get(fixture->store, id, &sweep, &err));
    return sweep;
}

#endif
