/* What tests of removal share: two models of which the first is to go, and how it goes. */
#ifndef BIFURCATED_TESTS_STORE_REMOVAL_SCENE_H
#define BIFURCATED_TESTS_STORE_REMOVAL_SCENE_H

#include "tests/unit/store/fixture.h"
#include "tests/unit/store/sql.h"

#include "store/contents.h"
#include "store/removal.h"
#include "store/watches.h"

#define MODEL "garden/neox-tiny"
#define OTHER "other/run"

/* All that a model may have rows in. */
static const char *const TABLES[] = {"models",
                                     "revisions",
                                     "files",
                                     "contents",
                                     "revision_tensors",
                                     "statistics",
                                     "displacements",
                                     "series_links",
                                     "distributions",
                                     "columns_statistics",
                                     "samples",
                                     "perplexities",
                                     "revision_perplexities",
                                     "scored_files",
                                     "sweeps",
                                     "tasks",
                                     "task_events",
                                     "watches",
                                     "deliveries",
                                     "announcements",
                                     "jobs"};
#define TABLE_COUNT (sizeof TABLES / sizeof TABLES[0])

static inline void count_rows(const struct fixture *fixture, int64_t counts[TABLE_COUNT])
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        char sql[100];
        (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", TABLES[i]);
        counts[i] = sql_ask(fixture->path, sql);
    }
}

/* Records a task of the running sweep: a content with a distribution and columns, and a perplexity of weights
 * called so; against the content `reference_id` (0: none) of a revision. */
static inline int64_t measure(struct fixture *fixture, const char *name, int64_t reference_revision_id,
                              int64_t reference_id)
{
    struct task_row task;
    struct task_lease lease;
    struct content_row content;
    struct fixture_result *made = malloc(sizeof *made);
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof *counts);
    double values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    counts[7] = 512;
    struct distribution_row distribution = {
        .row_set = ROW_SET_ALL, .definition = 1, .code = "float16", .counts = counts};
    struct columns_row columns = {.definition = 1, .columns = 8, .mean = values, .bimodality = values};
    struct perplexity_row perplexity = {
        .mode = PERPLEXITY_MODE_TOKENS, .parameters = "{}", .precision = "float32", .backend = "cpu"};
    perplexity.definition = 1;
    fixture_claim(fixture, "local/1", &task);
    task_lease_of(&task, &lease);
    fixture_result(made, name, 1);
    made->tensor.distributions = &distribution;
    made->tensor.distribution_count = 1;
    made->tensor.columns = &columns;
    made->tensor.columns_count = 1;
    if (reference_id)
        fixture_displace(made, TASK_LINK_FIRST, reference_revision_id, reference_id, 2);
    fixture_digest(name, perplexity.weights_digest);
    fixture_digest("texts", perplexity.dataset_digest);
    (void)snprintf(made->result.weights_digest, sizeof made->result.weights_digest, "%s",
                   perplexity.weights_digest);
    made->result.perplexities = &perplexity;
    made->result.perplexity_count = 1;
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    OK(contents_find(fixture->store, &made->tensor.content, &content, &err));
    free(counts);
    free(made);
    return content.id;
}

static inline void watch(struct fixture *fixture)
{
    struct watch_setting setting = {.model_id = fixture->model_id,
                                    .timetable = {.every_minutes = 60},
                                    .request = "{}",
                                    .webhook_url = "http://127.0.0.1:9/",
                                    .webhook_secret = "0123456789abcdef"};
    OK(watches_put(fixture->store, &setting, NULL, &err));
}

/* Two models, the second with two of the three contents of the first; both measured, the first watched. */
static inline void plant(struct fixture *fixture, int64_t revisions[2][4])
{
    int64_t first = fixture->model_id, reference_id = 0;
    struct revision_file_row file = {.path = "model.safetensors", .size_bytes = 1024};
    watch(fixture);
    for (int model = 0; model < 2; model++) {
        if (model)
            OK(models_ensure(fixture->store, OTHER, MODEL_KIND_HUB, &fixture->model_id, &err));
        fixture_add_revisions(fixture, 3, revisions[model]);
        (void)fixture_sweep(fixture, revisions[model], 3, 0);
        for (int i = 0; i < 3; i++) {
            const char *own = model ? "b2" : "a2", *const names[] = {"shared0", "shared1", own};
            int64_t id = measure(fixture, names[i], revisions[model][0], i ? reference_id : 0);
            reference_id = i ? reference_id : id;
            fixture_digest(names[i], file.digest);
            OK(revisions_set_files(fixture->store, revisions[model][i], &file, 1, &err));
        }
    }
    fixture->model_id = first;
}

static inline void finish_all(struct fixture *fixture)
{
    int64_t id = 0;
    int is_gone = 0;
    char name[LIMIT_MODEL_NAME_BYTES + 1];
    struct err reason = ERR_INIT;
    while (removal_next(fixture->store, 0, &id, name, sizeof name, &reason) == 0) {
        assert_string_equal(name, MODEL);
        OK(removal_finish(fixture->store, id, NULL, NULL, &is_gone, &err));
        assert_true(is_gone);
    }
    assert_int_equal(reason.code, ERR_NOT_FOUND);
}

static inline int never(void *context, const struct model_row *row)
{
    (void)context;
    fail_msg("%s is still shown", row->name);
    return 0;
}

#endif
