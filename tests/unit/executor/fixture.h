/*
 * For tests of the Slurm executor: a store with a sweep of some tasks, a round over it, and programs that say
 * what Slurm says in each case.
 */
#ifndef BIFURCATED_TESTS_UNIT_EXECUTOR_FIXTURE_H
#define BIFURCATED_TESTS_UNIT_EXECUTOR_FIXTURE_H

#include "tests/unit/slurm/fake.h"
#include "tests/unit/store/empty_store.h"

#include "daemon/executor/executor_round.h"
#include "store/jobs.h"
#include "store/models.h"
#include "store/revisions.h"
#include "store/sweeps.h"
#include "store/tasks.h"

#include <stdbool.h>

#define REVISIONS 6

struct fixture {
    void *folder;
    struct store *store;
    int64_t sweep;
    int64_t revisions[REVISIONS];
    int64_t model_id;
    struct executor_round round;
};

static inline int64_t add_sweep(struct fixture *fixture, int count)
{
    struct sweep_request request = {.model_id = fixture->model_id, .request = "{}"};
    struct task_plan plans[REVISIONS] = {0};
    int64_t id = 0;
    for (int i = 0; i < count; i++)
        plans[i] = (struct task_plan){.revision_id = fixture->revisions[i], .ordinal = i};
    OK(sweeps_create(fixture->store, &request, &id, NULL, &err));
    OK(tasks_plan(fixture->store, id, plans, (size_t)count, &err));
    OK(sweeps_start(fixture->store, id, &err));
    return id;
}

static inline void open_store(struct fixture *fixture)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/" STORE_FILE_NAME, (char *)fixture->folder);
    OK(empty_store_open(path, &fixture->store, &err));
    fixture->round = (struct executor_round){.store = fixture->store, .backoff_ms = 0};
    fake_options(fixture->folder, &fixture->round.slurm);
}

static inline int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct revision_row rows[REVISIONS] = {0};
    if (fixture_make_folder(&fixture->folder))
        return -1;
    open_store(fixture);
    OK(models_ensure(fixture->store, "a/b", MODEL_KIND_HUB, &fixture->model_id, &err));
    for (int i = 0; i < REVISIONS; i++) {
        rows[i].step = i;
        (void)snprintf(rows[i].name, sizeof rows[i].name, "step%d", i);
        (void)snprintf(rows[i].commit, sizeof rows[i].commit, "%040d", i);
    }
    OK(revisions_update(fixture->store, fixture->model_id, rows, REVISIONS, 1, NULL, &err));
    for (int i = 0; i < REVISIONS; i++)
        fixture->revisions[i] = rows[i].id;
    fixture->sweep = add_sweep(fixture, REVISIONS);
    fake_does(fixture->folder, "sbatch", "echo 17");
    fake_does(fixture->folder, "squeue", "");
    fake_does(fixture->folder, "scancel", "");
    fake_does(fixture->folder, "sacct", "echo disabled >&2; exit 1");
    *state = fixture;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    (void)fixture_remove_folder(&fixture->folder);
    free(fixture);
    return 0;
}

static inline int take(void *context, const struct job_row *row)
{
    *(struct job_row *)context = *row;
    return 1;
}

static inline struct job_row newest(struct fixture *fixture)
{
    struct job_row job = {0};
    OK(jobs_list(fixture->store, fixture->sweep, 1, take, &job, &err));
    return job;
}

static inline struct sweep_row sweep_of(struct fixture *fixture)
{
    struct sweep_row row;
    OK(sweeps_get(fixture->store, fixture->sweep, &row, &err));
    return row;
}

/* squeue lists this array, one word a state. */
static inline void queue(struct fixture *fixture, const struct job_row *job, const char *states,
                         const char *reason)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "for s in %s; do echo \"17|$s|bifurcated-%.8s-%lld|%s\"; done", states,
                   store_instance(fixture->store), (long long)job->id, reason);
    fake_does(fixture->folder, "squeue", text);
}

static inline int count_calls(struct fixture *fixture, const char *program)
{
    char *calls = fake_calls(fixture->folder, program);
    int count = 0;
    for (const char *p = strstr(calls, "\n.\n"); p; p = strstr(p + 1, "\n.\n"))
        count++;
    count += strncmp(calls, ".\n", 2) == 0;
    free(calls);
    return count;
}

static inline void run(struct fixture *fixture, int watches)
{
    OK(executor_round_run(&fixture->round, watches, &err));
}

static inline void finish_task(struct fixture *fixture)
{
    struct task_row task;
    struct task_lease lease;
    struct task_result result = {0};
    OK(tasks_claim(fixture->store, &(struct tasks_claimant){"slurm-17_0@n1/0", 60000, NULL}, NULL, &task,
                   NULL, &err));
    task_lease_of(&task, &lease);
    OK(tasks_record(fixture->store, &lease, &result, &err));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif
