/*
 * What the tests of the store share: a state folder of their own, a model with revisions, a running sweep,
 * and results whose numbers can be recognised.
 */
#ifndef BIFURCATED_TESTS_STORE_FIXTURE_H
#define BIFURCATED_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "store/backup.h"
#include "store/models.h"
#include "store/revisions.h"
#include "store/series.h"
#include "store/store.h"
#include "store/sweeps.h"
#include "store/tasks.h"
#include "tests/unit/scratch.h"
#include "tests/unit/store/empty_store.h"

#define TENSOR "embed_out.weight"
#define LEASE_MS 60000

/* Who claims: a worker, for so long, under a policy or NULL. */
#define BY(worker_, lease_ms_, policy_) (&(struct tasks_claimant){worker_, lease_ms_, policy_})

struct fixture {
    char folder[64];
    char path[128];
    struct store *store;
    int64_t model_id;
};

/* Fails the test with the error's message. */
#define OK(call)                                                                                             \
    do {                                                                                                     \
        struct err err = ERR_INIT;                                                                           \
        int rc_ = (call);                                                                                    \
        if (rc_)                                                                                             \
            fail_msg("%s: %s: %s", #call, err_name(rc_), err.message);                                       \
    } while (0)

#define FAILS(code_, call)                                                                                   \
    do {                                                                                                     \
        struct err err = ERR_INIT;                                                                           \
        int rc_ = (call);                                                                                    \
        if (rc_ != (code_))                                                                                  \
            fail_msg("%s: %s (%s) instead of %s", #call, err_name(rc_), err.message, err_name(code_));       \
        assert_int_equal(err.code, code_);                                                                   \
        assert_true(err.message[0] != 0);                                                                    \
        assert_null(strchr(err.message, '\n'));                                                              \
    } while (0)

static inline void fixture_remove_folder(const char *folder)
{
    char path[512];
    DIR *directory = opendir(folder);
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        (void)unlink(path);
    }
    if (directory)
        (void)closedir(directory);
    (void)rmdir(folder);
}

static inline int fixture_folder(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (scratch_make(fixture->folder))
        return -1;
    (void)snprintf(fixture->path, sizeof fixture->path, "%s/" STORE_FILE_NAME, fixture->folder);
    *state = fixture;
    return 0;
}

static inline int fixture_open(void **state)
{
    if (fixture_folder(state))
        return -1;
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    struct model_row model = {.vocabulary_size = 64, .token_rows = 50, .hidden_size = 8};
    if (empty_store_open(fixture->path, &fixture->store, &err) ||
        models_ensure(fixture->store, "garden/neox-tiny", MODEL_KIND_HUB, &fixture->model_id, &err)) {
        (void)fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    model.id = fixture->model_id;
    (void)snprintf(model.model_type, sizeof model.model_type, "gpt_neox");
    (void)snprintf(model.tensor, sizeof model.tensor, TENSOR);
    return models_describe(fixture->store, &model, &err);
}

/* As `bifurcated check` does it, beside the open store: pages, indexes, foreign keys. */
static inline void fixture_check_database(const struct fixture *fixture)
{
    struct backup_facts facts;
    OK(backup_check(fixture->path, &facts, &err));
}

static inline int fixture_close(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    fixture_remove_folder(fixture->folder);
    free(fixture);
    return 0;
}

static inline void fixture_reopen(struct fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = NULL;
    OK(store_open(fixture->path, &fixture->store, &err));
}

/* A digest that names `text`. */
static inline void fixture_digest(const char *text, char *hex)
{
    OK(digest_sha256_hex(text, strlen(text), hex, &err));
}

static inline void fixture_revision(struct revision_row *row, int64_t step, const char *commit)
{
    char hex[STORE_DIGEST_SIZE];
    *row = (struct revision_row){.step = step};
    if (step == REVISIONS_STEP_NONE)
        (void)snprintf(row->name, sizeof row->name, "main");
    else
        (void)snprintf(row->name, sizeof row->name, "step%lld", (long long)step);
    fixture_digest(commit, hex);
    (void)snprintf(row->commit, sizeof row->commit, "%.40s", hex);
}

/* Adds the revisions step0 .. step(count - 1) and main; ids[count + 1]. */
static inline void fixture_add_revisions(struct fixture *fixture, size_t count, int64_t *ids)
{
    struct revision_row *rows = calloc(count + 1, sizeof *rows);
    for (size_t i = 0; i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "commit %zu", i);
        fixture_revision(&rows[i], (int64_t)i, name);
    }
    fixture_revision(&rows[count], REVISIONS_STEP_NONE, "commit main");
    OK(revisions_update(fixture->store, fixture->model_id, rows, count + 1, 1, NULL, &err));
    for (size_t i = 0; i <= count; i++)
        ids[i] = rows[i].id;
    free(rows);
}

/* A running sweep over the revisions, 1,000 bytes expected of each. */
static inline int64_t fixture_sweep(struct fixture *fixture, const int64_t *revisions, size_t count,
                                    int priority)
{
    int64_t id = 0;
    struct sweep_request request = {.model_id = fixture->model_id,
                                    .request = "{\"metrics\":[\"statistics\"]}"};
    request.priority = priority;
    struct task_plan *plans = calloc(count ? count : 1, sizeof *plans);
    for (size_t i = 0; i < count; i++)
        plans[i] = (struct task_plan){
            .revision_id = revisions[i],
            .ordinal = (int64_t)i,
            .reference_revision_id = revisions[0],
            .previous_revision_id = i ? revisions[i - 1] : 0,
            .bytes_expected = 1000,
        };
    OK(sweeps_create(fixture->store, &request, &id, NULL, &err));
    OK(tasks_plan(fixture->store, id, plans, count, &err));
    OK(sweeps_start(fixture->store, id, &err));
    free(plans);
    return id;
}

static inline void fixture_claim(struct fixture *fixture, const char *worker, struct task_row *task)
{
    OK(tasks_claim(fixture->store, BY(worker, LEASE_MS, NULL), NULL, task, NULL, &err));
}

/* A result of the tensor with the content that `name` names: numbers that begin with `base`. All storage is
 * inside. */
struct fixture_result {
    struct task_result result;
    struct task_tensor tensor;
    struct statistics_row statistics[4];
    struct task_displacement displacements[2];
    struct displacement_row rows[2][2];
};

static inline void fixture_result(struct fixture_result *made, const char *name, double base)
{
    *made = (struct fixture_result){0};
    struct task_tensor *tensor = &made->tensor;
    (void)snprintf(tensor->tensor, sizeof tensor->tensor, TENSOR);
    tensor->content = (struct content_row){.dtype = "float16", .rows = 64, .columns = 8, .size_bytes = 1024};
    fixture_digest(name, tensor->content.digest);
    tensor->token_rows = 50;
    tensor->definition = 1;
    (void)snprintf(tensor->backend, sizeof tensor->backend, "cpu");
    (void)snprintf(tensor->file_path, sizeof tensor->file_path, "model.safetensors");
    char file[128];
    (void)snprintf(file, sizeof file, "file of %s", name);
    fixture_digest(file, tensor->file_digest);
    tensor->fetched_bytes = 1024;
    for (int i = 0; i < 4; i++) {
        struct statistics_row *row = &made->statistics[i];
        statistics_row_init(row);
        row->row_set = i % 2 ? ROW_SET_TOKENS : ROW_SET_ALL;
        row->token_rows = i % 2 ? 50 : 0;
        row->is_centred = i / 2;
        row->definition = 1;
        (void)snprintf(row->backend, sizeof row->backend, "cpu");
        row->elements = i % 2 ? 400 : 512;
        row->nan_count = 1 + i;
        row->mean = base + i;
        row->variance = base + 10 + i;
        row->valley_to_peak = base + 20 + i;
    }
    tensor->statistics = made->statistics;
    tensor->statistics_count = 4;
    tensor->displacements = made->displacements;
    made->result.tensors = tensor;
    made->result.tensor_count = 1;
    made->result.bytes_fetched = 1024;
}

/* Adds the displacement of the result against a content; its msd is `base`, for the tokens base + 1. */
static inline void fixture_displace(struct fixture_result *made, enum task_link link,
                                    int64_t reference_revision_id, int64_t reference_id, double base)
{
    size_t at = made->tensor.displacement_count++;
    struct task_displacement *displacement = &made->displacements[at];
    *displacement = (struct task_displacement){.link = link,
                                               .reference_revision_id = reference_revision_id,
                                               .reference_id = reference_id,
                                               .token_rows = 50,
                                               .definition = 1,
                                               .backend = "cpu",
                                               .rows = made->rows[at],
                                               .count = 2};
    for (int i = 0; i < 2; i++) {
        struct displacement_row *row = &made->rows[at][i];
        displacement_row_init(row);
        row->row_set = i ? ROW_SET_TOKENS : ROW_SET_ALL;
        row->token_rows = i ? 50 : 0;
        row->definition = 1;
        (void)snprintf(row->backend, sizeof row->backend, "cpu");
        row->elements = 512;
        row->msd = base + i;
        row->cosine = 1 / (1 + base);
    }
}

/* Claims the next task and records a result with this content. Returns the content's id. */
static inline int64_t fixture_measure(struct fixture *fixture, const char *name, double base)
{
    struct task_row task;
    struct task_lease lease;
    struct fixture_result *made = malloc(sizeof *made);
    struct content_row content;
    fixture_claim(fixture, "local/1", &task);
    task_lease_of(&task, &lease);
    fixture_result(made, name, base);
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    OK(contents_find(fixture->store, &made->tensor.content, &content, &err));
    free(made);
    return content.id;
}

#endif
