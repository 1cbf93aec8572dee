/* Analysis, audit, pictures and scaling over the store: what they say of little, and what they refuse. */
#include "tests/unit/api/fixture.h"
#include "tests/unit/store/sql.h"

static struct fixture *store_of(void **state)
{
    return *state;
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

static int64_t integer_of(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

#define HERE "/v1/models/garden/neox-tiny"

/* Revisions at these steps, each with one weight file of 10 bytes whose digest `contents` names. */
static void add_run(struct fixture *fixture, const int64_t *steps, const char *contents, size_t count)
{
    struct revision_row *rows = calloc(count, sizeof *rows);
    for (size_t i = 0; i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "commit %zu", i);
        fixture_revision(&rows[i], steps[i], name);
    }
    OK(revisions_update(fixture->store, fixture->model_id, rows, count, 1, NULL, &err));
    for (size_t i = 0; i < count; i++) {
        char content[2] = {contents[i], '\0'};
        struct revision_file_row files[] = {{.path = "README.md", .size_bytes = 20},
                                            {.path = "model.safetensors", .size_bytes = 10},
                                            {.path = "old/model.safetensors", .size_bytes = 30}};
        fixture_digest(rows[i].name, files[0].digest); /* each has its own */
        fixture_digest(content, files[1].digest);
        fixture_digest(rows[i].name, files[2].digest);
        OK(revisions_set_files(fixture->store, rows[i].id, files, 3, &err));
    }
    free(rows);
}

static void test_nothing_measured(void **state)
{
    struct api_fixture *fixture = *state;
    int64_t ids[6];
    fixture_add_revisions(store_of(state), 5, ids);
    json_t *json = fixture_get(fixture, HERE "/analysis", 200);
    assert_int_equal(integer_of(json, "revisions_known"), 5);
    assert_int_equal(integer_of(json, "revisions_measured"), 0);
    size_t i;
    const json_t *onset;
    json_array_foreach(json_object_get(json, "onsets"), i, onset)
    {
        assert_string_equal(text_of(onset, "verdict"), "insufficient");
        assert_non_null(strstr(text_of(onset, "reason"), "0 measured revisions"));
    }
    assert_string_equal(text_of(json_object_get(json, "stop"), "verdict"), "insufficient");
    json_decref(json);
    json = fixture_get(fixture, HERE "/distribution", 200);
    assert_int_equal(json_array_size(json_object_get(json, "revisions")), 0);
    json_decref(json);
    json = fixture_get(fixture, HERE "/trajectories", 200);
    assert_int_equal(json_array_size(json_object_get(json, "entries")), 0);
    json_decref(json);
    json = fixture_get(fixture, HERE "/displacement", 200);
    assert_int_equal(json_array_size(json_object_get(json, "msd")), 0);
    json_decref(json);
    json = fixture_get(fixture, "/v1/scaling", 200);
    assert_string_equal(text_of(json, "view"), "centred"); /* as the analysis' own onset */
    assert_int_equal(json_array_size(json_object_get(json, "models")), 0);
    assert_non_null(strstr(text_of(json_object_get(json, "fit"), "reason"), "at least 3 sizes"));
    json_decref(json);
}

/* By files alone: a late revision under an early name, a run that stood still, and a hole in the grid. */
static void test_audit(void **state)
{
    struct api_fixture *fixture = *state;
    static const int64_t steps[] = {0, 1, 1000, 2000, 3000, 5000, 6000, 7000};
    static const char *const wanted[][4] = {{"unchanged", "step1", "step0", "files"},
                                            {"duplicate", "step2000", "step7000", "files"},
                                            {"missing", "", "", "steps"}};
    char digest[STORE_DIGEST_SIZE];
    struct revision_row nobodys; /* was asked for by name: the hole stays one */
    add_run(store_of(state), steps, "aabzcdez", 8);
    fixture_revision(&nobodys, 4000, "none");
    (void)snprintf(nobodys.commit, sizeof nobodys.commit, "%s", REVISION_NO_COMMIT);
    OK(revisions_update(store_of(state)->store, store_of(state)->model_id, &nobodys, 1, 0, NULL, &err));
    json_t *json = fixture_get(fixture, HERE "/audit", 200);
    const json_t *findings = json_object_get(json, "findings");
    assert_int_equal(integer_of(json, "revisions_known"), 8);
    assert_int_equal(integer_of(json, "revisions_with_files"), 8);
    assert_int_equal(integer_of(json, "distinct_files"), 6);
    assert_int_equal(integer_of(json, "distinct_tensors"), 0);
    assert_int_equal(json_array_size(findings), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *finding = json_array_get(findings, i);
        assert_string_equal(text_of(finding, "kind"), wanted[i][0]);
        assert_string_equal(text_of(finding, "revision"), wanted[i][1]);
        assert_string_equal(text_of(finding, "other"), wanted[i][2]);
        assert_string_equal(text_of(finding, "basis"), wanted[i][3]);
        assert_true(json_is_null(json_object_get(finding, "is_tensor_equal")));
    }
    fixture_digest("z", digest);
    assert_string_equal(text_of(json_array_get(findings, 1), "digest"), digest);
    assert_int_equal(integer_of(json_array_get(findings, 2), "step"), 4000);
    json_decref(json);
}

/* Shards whose names do not tell that they are all of the checkpoint: an equal index says nothing then. */
static void test_audit_of_odd_shards(void **state)
{
    struct api_fixture *fixture = *state;
    struct fixture *store = store_of(state);
    int64_t ids[4];
    fixture_add_revisions(store, 3, ids);
    for (int i = 0; i < 3; i++) {
        struct revision_file_row files[] = {{.path = "model.safetensors.index.json", .size_bytes = 20},
                                            {.path = "part-one.safetensors", .size_bytes = 10}};
        fixture_digest("index", files[0].digest);
        fixture_digest(i == 1 ? "one" : "other", files[1].digest);
        OK(revisions_set_files(store->store, ids[i], files, 2, &err));
    }
    json_t *json = fixture_get(fixture, HERE "/audit", 200);
    const json_t *findings = json_object_get(json, "findings");
    assert_int_equal(integer_of(json, "distinct_files"), 2);
    assert_int_equal(json_array_size(findings), 1);
    assert_string_equal(text_of(json_array_get(findings, 0), "kind"), "duplicate");
    json_decref(json);
}

/* Measures the next task: tensor and all weights have the bytes that the names say. */
static void measure_both(struct fixture *fixture, const char *tensor, const char *weights)
{
    struct task_row task;
    struct task_lease lease;
    struct perplexity_row row = {
        .definition = 1, .parameters = "{}", .precision = "float32", .backend = "cpu", .perplexity = 9};
    struct fixture_result *made = malloc(sizeof *made);
    fixture_claim(fixture, "local/1", &task);
    task_lease_of(&task, &lease);
    fixture_result(made, tensor, 1);
    fixture_digest(weights, row.weights_digest);
    fixture_digest("data", row.dataset_digest);
    fixture_digest("tokenizer", row.tokenizer_digest);
    memcpy(made->result.weights_digest, row.weights_digest, sizeof row.weights_digest);
    made->result.perplexities = &row;
    made->result.perplexity_count = 1;
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    free(made);
}

/* An equal tensor in equal models, in other ones (it is not trained), and where files hide which of both. */
struct whole_model {
    const char *revision, *says;
    int is_equal; /* -1: not known */
};

static void audit_whole_models(void **state, const char *audit, const struct whole_model wanted[3])
{
    struct api_fixture *fixture = *state;
    struct fixture *store = store_of(state);
    int64_t ids[8];
    fixture_add_revisions(store, 7, ids);
    (void)fixture_sweep(store, ids, 6, 0);
    measure_both(store, "a", "one");
    measure_both(store, "a", "one");
    measure_both(store, "b", "two");
    measure_both(store, "b", "three");
    measure_both(store, "c", "four");
    measure_both(store, "c", "five"); /* by a digest of files, which may hold more than weights */
    struct revision_file_row file = {.path = "model.safetensors", .size_bytes = 10};
    fixture_digest("file", file.digest);
    OK(revisions_set_files(store->store, ids[5], &file, 1, &err));
    json_t *json = fixture_get(fixture, audit, 200);
    const json_t *finding;
    size_t i, found = 0;
    json_array_foreach(json_object_get(json, "findings"), i, finding)
    {
        const json_t *is_equal = json_object_get(finding, "is_model_equal");
        if (strcmp(text_of(finding, "kind"), "unchanged") != 0)
            continue; /* the fixture's numbers have NaN */
        assert_true(found < 3);
        assert_string_equal(text_of(finding, "revision"), wanted[found].revision);
        assert_true(json_is_true(json_object_get(finding, "is_tensor_equal")));
        assert_non_null(strstr(text_of(finding, "text"), wanted[found].says));
        assert_int_equal(json_is_null(is_equal) ? -1 : json_is_true(is_equal), wanted[found].is_equal);
        found++;
    }
    assert_int_equal(found, 3);
    json_decref(json);
}

static void test_audit_of_whole_models(void **state)
{
    static const struct whole_model wanted[] = {{"step1", "no update happened yet", 1},
                                                {"step3", "this tensor alone was not trained", 0},
                                                {"step5", "no update happened yet", -1}};
    struct fixture *store = store_of(state);
    struct model_row model = {.vocabulary_size = 64, .token_rows = 50, .hidden_size = 8, .tensor = TENSOR};
    OK(models_ensure(store->store, "file:/run", MODEL_KIND_FOLDER, &store->model_id, &err));
    model.id = store->model_id;
    OK(models_describe(store->store, &model, &err));
    audit_whole_models(state, "/v1/models/file/%2Frun/audit", wanted);
}

/* On the hub digests are of files, also where their list is not known: offline. */
static void test_audit_of_whole_models_on_the_hub(void **state)
{
    static const struct whole_model wanted[] = {{"step1", "no update happened yet", 1},
                                                {"step3", "no update happened yet", -1},
                                                {"step5", "no update happened yet", -1}};
    audit_whole_models(state, HERE "/audit", wanted);
}

/* Stages begin anew at step 0: the points that do not ascend are left out, and counted. */
static void test_stages(void **state)
{
    struct api_fixture *fixture = *state;
    struct revision_row rows[4];
    for (int i = 0; i < 4; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "commit %d", i);
        fixture_revision(&rows[i], i % 2 * 10, name);
        rows[i].stage = i / 2;
        rows[i].stated = REVISION_STATES_STAGE;
        if (i == 3) {
            rows[i].stated |= REVISION_STATES_TOKENS;
            rows[i].tokens = 5000000000;
        }
        (void)snprintf(rows[i].name, sizeof rows[i].name, "stage%d-step%d", i / 2, i % 2 * 10);
    }
    OK(revisions_update(store_of(state)->store, store_of(state)->model_id, rows, 4, 1, NULL, &err));
    json_t *json = fixture_get(fixture, HERE "/analysis", 200);
    assert_int_equal(integer_of(json, "revisions_known"), 2);
    assert_int_equal(integer_of(json, "revisions_left_out"), 2);
    json_decref(json);
    /* a stage 0 is one; what a name does not say is null */
    json = fixture_get(fixture, HERE "/revisions?fields=stage,ingredient,training_tokens", 200);
    json_t *first = json_pack("{s:i, s:n, s:n}", "stage", 0, "ingredient", "training_tokens");
    json_t *last =
        json_pack("{s:i, s:n, s:I}", "stage", 1, "ingredient", "training_tokens", (json_int_t)5000000000);
    assert_true(json_equal(json_array_get(json_object_get(json, "revisions"), 0), first));
    assert_true(json_equal(json_array_get(json_object_get(json, "revisions"), 3), last));
    json_decref(first);
    json_decref(last);
    json_decref(json);
}

/* What is left out, however much, hides nothing of the points behind it. */
static void test_more_left_out_than_a_run_holds(void **state)
{
    struct api_fixture *fixture = *state;
    static const int64_t steps[] = {0, 1, 2, 3};
    add_run(store_of(state), steps, "abcc", 4);
    assert_int_equal(
        sql_run(store_of(state)->path,
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20001) "
                "INSERT INTO revisions (model_id, name, commit_sha, step, first_seen_ms) "
                "SELECT model_id, name || '-' || i, commit_sha, step, 1 FROM revisions, n WHERE step = 0"),
        20001);
    json_t *json = fixture_get(fixture, HERE "/audit", 200);
    assert_int_equal(integer_of(json, "revisions_known"), 4);
    assert_int_equal(integer_of(json, "revisions_left_out"), 20001);
    assert_int_equal(integer_of(json, "revisions_with_files"), 4);
    const json_t *findings = json_object_get(json, "findings");
    assert_int_equal(json_array_size(findings), 1);
    assert_string_equal(text_of(json_array_get(findings, 0), "revision"), "step3");
    json_decref(json);
}

/* As many files as a revision may have. */
static void test_many_files(void **state)
{
    struct api_fixture *fixture = *state;
    static const int64_t steps[] = {0, 1};
    add_run(store_of(state), steps, "aa", 2);
    assert_int_equal(
        sql_run(store_of(state)->path,
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99997) "
                "INSERT INTO files (revision_id, path, size_bytes, digest, digest_kind) "
                "SELECT id, printf('shards/%032d.distcp', i), 1, printf('%064d', i), 'sha256' "
                "FROM revisions, n WHERE step = 1"),
        99997);
    json_t *json = fixture_get(fixture, HERE "/audit", 200);
    assert_int_equal(integer_of(json, "revisions_with_files"), 2);
    assert_int_equal(integer_of(json, "distinct_files"), 1);
    json_decref(json);
}

static void test_refusals(void **state)
{
    static const char *const wrong[][2] = {
        {"/distribution?bins=0", "bins"},
        {"/distribution?bins=2049", "bins"},
        {"/distribution?low=5&high=5", "low"},
        {"/distribution?low=one", "low"},
        {"/distribution?high=1e999", "high"},
        {"/distribution?rows=some", "rows"},
        {"/distribution?view=", "view"},
        {"/distribution?tensor=", "tensor"},
        {"/distribution?cursor=zz", "cursor"},
        {"/trajectories?entries=4097", "entries"},
        {"/displacement?limit=401", "limit"},
        {"/displacement?from=-1", "from"},
        {"/analysis?points=perhaps", "points"},
        {"/analysis?warmup=3", "warmup"},
        {"/analysis?schedule=constant", "peak"},
        {"/analysis?schedule=cosine&peak=1", "total"},
        {"/analysis?stable=3", "stable"},
        {"/analysis?schedule=wsd&peak=1&stable=5", "total"},
        {"/analysis?schedule=wsd&peak=1&total=9&warmup=2", "stable"},
        {"/analysis?schedule=wsd&peak=1&total=9&stable=9", "stable"},
        {"/analysis?schedule=linear&peak=1&total=9&stable=5", "stable"},
        {"/analysis?schedule=wsd_sqrt&peak=1&total=9&stable=9", "stable"},
        {"/analysis?schedule=wsd_exponential&peak=1&total=9&stable=5", "floor"},
        {"/audit?rows=all", "rows"},
    };
    struct api_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char target[256];
        (void)snprintf(target, sizeof target, HERE "%s", wrong[i][0]);
        json_t *json = fixture_get(fixture, target, 400);
        assert_string_equal(text_of(json, "field"), wrong[i][1]);
        json_decref(json);
    }
    json_decref(fixture_get(fixture, "/v1/models/garden/absent/audit", 404));
    json_decref(fixture_get(fixture, "/v1/scaling?view=x", 400));
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, fixture_serve, fixture_unserve)

int main(void)
{
    const struct CMUnitTest tests[] = {SERVED(test_nothing_measured),
                                       SERVED(test_audit),
                                       SERVED(test_audit_of_odd_shards),
                                       SERVED(test_audit_of_whole_models),
                                       SERVED(test_audit_of_whole_models_on_the_hub),
                                       SERVED(test_stages),
                                       SERVED(test_more_left_out_than_a_run_holds),
                                       SERVED(test_many_files),
                                       SERVED(test_refusals)};
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
