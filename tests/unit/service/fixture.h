/*
 * What the tests of planning and measuring share: a store, a hub that makes no request, and a model of small
 * safetensors files in a local folder.
 */
#ifndef BIFURCATED_TESTS_SERVICE_FIXTURE_H
#define BIFURCATED_TESTS_SERVICE_FIXTURE_H

#include "tests/unit/base/fixture.h"
#include "tests/unit/store/empty_store.h"

#include "daemon/base/file.h"
#include "daemon/hub/hub.h"
#include "daemon/sweep/planner.h"
#include "store/models.h"
#include "store/revisions.h"
#include "store/store.h"
#include "store/sweeps.h"
#include "store/tasks.h"

#include <stdatomic.h>
#include <stdbool.h>

#define ROWS 8
#define COLUMNS 4
#define ELEMENTS (ROWS * COLUMNS)
#define TENSOR "embed_out.weight"

struct fixture {
    void *folder;
    char models[128]; /* the folder of revisions */
    char name[160];   /* "file:<models>" */
    struct store *store;
    struct hub *hub;
    atomic_bool cancel;
};

/* A float16 with this value, which has few bits. */
static inline uint16_t fixture_half(float value)
{
    union {
        float value;
        uint32_t bits;
    } single = {.value = value};
    if (value == 0)
        return 0;
    uint32_t exponent = ((single.bits >> 23) & 255) - 127 + 15;
    return (uint16_t)((single.bits >> 16 & 0x8000) | exponent << 10 | (single.bits >> 13 & 1023));
}

/* What element i of the revision with this seed holds. */
static inline float fixture_value(unsigned seed, unsigned i)
{
    return (float)((i * 7 + seed * 13 + seed * seed * i) % 64) / 16 - 2;
}

static inline void fixture_add_file(const char *path, unsigned seed)
{
    uint16_t data[ELEMENTS];
    char text[256];
    struct buf file;
    buf_init(&file, 4096);
    int length = snprintf(text, sizeof text,
                          "{\"" TENSOR "\":{\"dtype\":\"F16\",\"shape\":[%d,%d],\"data_offsets\":[0,%d]}}",
                          ROWS, COLUMNS, ELEMENTS * 2);
    for (unsigned i = 0; i < ELEMENTS; i++)
        data[i] = fixture_half(fixture_value(seed, i));
    uint64_t size = (uint64_t)length;
    (void)buf_append(&file, &size, sizeof size);
    (void)buf_append(&file, text, (size_t)length);
    (void)buf_append(&file, data, sizeof data);
    assert_int_equal(file.failed, 0);
    fixture_write(path, file.data, file.size);
    buf_free(&file);
}

/* Adds models/<revision>/ with a config and the weights of `seed`. */
static inline void fixture_add_revision(struct fixture *fixture, const char *revision, unsigned seed)
{
    char folder[256], config[256];
    (void)snprintf(folder, sizeof folder, "%s/%s", fixture->models, revision);
    OK(file_make_folders(folder, 0700, &err));
    (void)snprintf(
        config, sizeof config,
        "{\"model_type\":\"gpt_neox\",\"hidden_size\":%d,\"vocab_size\":%d,\"num_hidden_layers\":1,"
        "\"num_attention_heads\":1,\"intermediate_size\":4,\"tie_word_embeddings\":false}",
        COLUMNS, ROWS);
    fixture_write_text(fixture_path(folder, "config.json"), config);
    fixture_add_file(fixture_path(folder, "model.safetensors"), seed);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct hub_options options = {0};
    struct err err = ERR_INIT;
    if (!fixture || fixture_make_folder(&fixture->folder))
        return -1;
    const char *folder = fixture->folder;
    (void)snprintf(fixture->models, sizeof fixture->models, "%s/model", folder);
    (void)snprintf(fixture->name, sizeof fixture->name, "file:%s", fixture->models);
    (void)setenv("HOME", folder, 1);
    if (file_make_folders(fixture->models, 0700, &err) ||
        file_make_folders(fixture_path(folder, "state"), 0700, &err) ||
        empty_store_open(fixture_path(folder, "state/" STORE_FILE_NAME), &fixture->store, &err) ||
        hub_options_from_environment(&options, &err) ||
        hub_options_set(&options.endpoint, "http://127.0.0.1:9", &err) ||
        hub_options_set(&options.cache_folder, fixture_path(folder, "cache"), &err)) {
        (void)fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    options.is_offline = 1;
    int code = hub_open(&options, &fixture->hub, &err);
    hub_options_free(&options);
    *state = fixture;
    return code;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    hub_close(fixture->hub);
    store_close(fixture->store);
    int code = fixture_remove_folder(&fixture->folder);
    free(fixture);
    return code;
}

/* A sweep of the fixture's model that waits for its plan. */
static inline int64_t fixture_ask(struct fixture *fixture, const char *json)
{
    int64_t id = 0;
    struct sweep_request request = {.request = json};
    OK(models_ensure(fixture->store, fixture->name, MODEL_KIND_FOLDER, &request.model_id, &err));
    OK(sweeps_create(fixture->store, &request, &id, NULL, &err));
    return id;
}

static inline struct planner fixture_planner(struct fixture *fixture)
{
    return (struct planner){.store = fixture->store, .hub = fixture->hub, .cancel = &fixture->cancel};
}

static inline void fixture_plan(struct fixture *fixture)
{
    struct planner planner = fixture_planner(fixture);
    int planned = 0;
    OK(planner_run_once(&planner, &planned, &err));
    assert_int_equal(planned, 1);
}

static inline void fixture_get_sweep(struct fixture *fixture, int64_t id, struct sweep_row *sweep)
{
    OK(sweeps_get(fixture->store, id, sweep, &err));
}

struct fixture_tasks {
    struct task_row rows[32];
    size_t count;
};

static inline int fixture_take_task(void *context, const struct task_row *row)
{
    struct fixture_tasks *tasks = context;
    assert_true(tasks->count < COUNT_OF(tasks->rows));
    tasks->rows[tasks->count++] = *row;
    return 0;
}

static inline void fixture_list_tasks(struct fixture *fixture, int64_t sweep, struct fixture_tasks *tasks)
{
    tasks->count = 0;
    OK(tasks_list(fixture->store, &(struct tasks_query){.sweep_id = sweep, .after_ordinal = -1, .limit = 32},
                  fixture_take_task, tasks, &err));
}

/* The name of a revision by id, "" for 0. */
static inline const char *fixture_name_of(struct fixture *fixture, int64_t revision)
{
    static struct revision_row row;
    if (revision == 0)
        return "";
    OK(revisions_get(fixture->store, revision, &row, &err));
    return row.name;
}

#endif
