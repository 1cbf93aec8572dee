/*
 * score_probe: scores a local revision, or a model of random numbers, and prints what it found as JSON, for
 * tests that compare with other implementations.
 *
 *     score_probe FOLDER DATA [name=value ...]     a folder with config.json, tokenizer.json and weights
 *     score_probe random:SIZE COUNT [name=value ...]   Pythia's shape SIZE, COUNT documents (random_model.h)
 *     score_probe -                                a request from each line of the input
 *
 * Names: mode, window, stride, tokenizer, limit, field, threads, digest_threads, read_threads, budget_mib,
 * longest; stop=1 ends after the identity, for tests/bench/weights.py. An error is printed as {"error": name,
 * "message": text}, with exit status 1.
 */
#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/hub/hub.h"
#include "daemon/measure/scoring.h"
#include "gpu/cpu/backend.h"
#include "tests/tools/random_model.h"

#include <inttypes.h>
#include <jansson.h>

#define WORDS_MAX 16

struct arguments {
    struct scoring_request request;
    int threads;
    size_t longest;
    int stops;
};

static int read_arguments(struct arguments *arguments, int count, char **words, struct err *err)
{
    for (int i = 0; i < count; i++) {
        const char *value = strchr(words[i], '=');
        if (!value)
            return err_set(err, ERR_INVALID, "%s is not name=value", words[i]);
        size_t length = (size_t)(value++ - words[i]);
        unsigned long long number = strtoull(value, NULL, 10);
        if (strncmp(words[i], "mode", length) == 0) {
            int code = passages_mode_parse(value, &arguments->request.mode, err);
            if (code)
                return code;
        } else if (strncmp(words[i], "window", length) == 0)
            arguments->request.window_tokens = (uint32_t)number;
        else if (strncmp(words[i], "stride", length) == 0)
            arguments->request.stride_tokens = (uint32_t)number;
        else if (strncmp(words[i], "limit", length) == 0)
            arguments->request.dataset.limit = number;
        else if (strncmp(words[i], "field", length) == 0)
            arguments->request.dataset.field = value;
        else if (strncmp(words[i], "threads", length) == 0)
            arguments->threads = (int)number;
        else if (strncmp(words[i], "digest_threads", length) == 0)
            arguments->request.digest_threads = (int)number;
        else if (strncmp(words[i], "read_threads", length) == 0)
            arguments->request.read_threads = (int)number;
        else if (strncmp(words[i], "tokenizer", length) == 0)
            arguments->request.takes_file = strcmp(value, "file") == 0;
        else if (strncmp(words[i], "stop", length) == 0)
            arguments->stops = number != 0;
        else if (strncmp(words[i], "budget_mib", length) == 0)
            arguments->request.memory_budget_bytes = number * MIB;
        else if (strncmp(words[i], "longest", length) == 0)
            arguments->longest = (size_t)number;
        else
            return err_set(err, ERR_INVALID, "unknown name in %s", words[i]);
    }
    return 0;
}

static json_t *number_of(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static void add_results(json_t *root, const struct score_request *request, const struct score_result *result)
{
    json_t *documents = json_array();
    size_t target = 0;
    for (size_t i = 0; i < request->document_count; i++) {
        json_t *logprobs = json_array();
        int hits = 1;
        for (uint32_t j = 0; j < request->target_count[i]; j++, target++) {
            (void)json_array_append_new(logprobs, number_of(result->logprobs[target]));
            hits = hits && result->is_argmax[target];
        }
        (void)json_array_append_new(documents, json_pack("{s:o, s:b}", "logprobs", logprobs, "greedy", hits));
    }
    (void)json_object_set_new(root, "documents", documents);
    (void)json_object_set_new(root, "memory_bytes", json_integer((json_int_t)result->memory_bytes));
    (void)json_object_set_new(root, "flops", json_real(result->flops));
}

static void add_summary(json_t *root, const struct score_summary *summary)
{
    json_t *json = json_pack("{s:I, s:I, s:I}", "documents", (json_int_t)summary->document_count, "tokens",
                             (json_int_t)summary->token_count, "nan_count", (json_int_t)summary->nan_count);
    (void)json_object_set_new(json, "nll_sum", number_of(summary->nll_sum));
    (void)json_object_set_new(json, "perplexity", number_of(summary->perplexity));
    (void)json_object_set_new(json, "perplexity_stderr", number_of(summary->perplexity_stderr));
    (void)json_object_set_new(json, "accuracy", number_of(summary->accuracy));
    (void)json_object_set_new(json, "accuracy_stderr", number_of(summary->accuracy_stderr));
    (void)json_object_set_new(root, "summary", json);
}

static void add_identity(json_t *root, const struct scoring_identity *identity)
{
    (void)json_object_set_new(root, "identity",
                              json_pack("{s:s, s:s, s:s, s:s}", "weights", identity->weights_digest,
                                        "dataset", identity->dataset_digest, "tokenizer",
                                        identity->tokenizer_digest, "parameters", identity->parameters));
}

static int open_cpu(int threads, struct device **ret_device, struct err *err)
{
    struct registry *registry = NULL;
    struct backend_options options = {.thread_count = threads};
    int code = registry_new(cpu_backend(), NULL, &registry, err);
    if (!code)
        code = device_open(registry, "cpu", &options, ret_device, err);
    registry_free(registry);
    return code;
}

static int probe_random(const char *size, size_t count, const struct arguments *arguments, json_t *root,
                        struct err *err)
{
    struct score_config config;
    struct random_model model = {.tensors = NULL};
    struct random_documents documents = {.tokens = NULL};
    struct score_result result = {.logprobs = NULL};
    struct score_summary summary;
    struct device *device = NULL;
    void *loaded = NULL;
    size_t total = 0;
    if (random_model_config(size, &config))
        return err_set(err, ERR_INVALID, "unknown size %s", size);
    int code = open_cpu(arguments->threads, &device, err);
    if (code)
        return code;
    if (random_model_init(&model, &config) ||
        random_documents_init(&documents, count, arguments->longest, random_model_tokens(&config))) {
        code = err_set(err, ERR_NO_MEMORY, "out of memory");
        goto out;
    }
    struct score_model_source source = {.config = config,
                                        .tensors = model.tensors,
                                        .tensor_count = model.tensor_count,
                                        .memory_budget_bytes = arguments->request.memory_budget_bytes};
    const struct backend_table *backend = device_backend(device);
    if ((code = score_request_check(&config, &documents.request, &total, err)) ||
        (code = score_result_init(&result, total, err)) ||
        (code = backend->model_load(device_context(device), &source, &loaded, err)) ||
        (code = backend->model_score(loaded, &documents.request, &result, err)))
        goto out;
    score_summarize(SCORE_MODE_LAST_WORD, &documents.request, &result, &summary);
    add_summary(root, &summary);
    add_results(root, &documents.request, &result);
out:
    device_backend(device)->model_free(loaded);
    score_result_free(&result);
    random_documents_free(&documents);
    random_model_free(&model);
    device_close(device);
    return code;
}

static int open_folder(const char *folder, struct hub **hub, struct repository **repository,
                       struct repository_tree **tree, struct err *err)
{
    char name[LIMIT_FILE_NAME_BYTES + 8], commit[REPOSITORY_COMMIT_SIZE];
    struct hub_options options;
    (void)snprintf(name, sizeof name, "file:%s", folder);
    int code = hub_options_from_environment(&options, err);
    if (code)
        return code;
    options.is_offline = 1;
    if (!(code = hub_open(&options, hub, err)) &&
        !(code = hub_open_repository(*hub, REPOSITORY_KIND_MODEL, name, NULL, repository, err)) &&
        !(code = repository_resolve(*repository, "main", commit, err)))
        code = repository_list_tree(*repository, commit, tree, err);
    hub_options_free(&options);
    return code;
}

static int probe_folder(const char *folder, const char *data, struct arguments *arguments, json_t *root,
                        struct err *err)
{
    struct hub *hub = NULL;
    struct repository *repository = NULL;
    struct repository_tree *tree = NULL;
    struct source *source = NULL;
    struct device *device = NULL;
    struct device_turns *turns = NULL;
    _Atomic int64_t busy_us = 0;
    struct scoring *scoring = NULL;
    struct passages_cache *passages_cache = NULL;
    struct scoring_outcome outcome;
    int code = open_cpu(arguments->threads, &device, err);
    if (code || (code = device_turns_new(device, NULL, &busy_us, &turns, err)) ||
        (code = passages_cache_new(0, &passages_cache, err)) ||
        (code = open_folder(folder, &hub, &repository, &tree, err)) ||
        (code = source_open_file(data, &source, err)))
        goto out;
    arguments->request.repository = repository;
    arguments->request.tree = tree;
    arguments->request.data = source;
    arguments->request.passages = passages_cache;
    double begin_s = clock_monotonic_s();
    if ((code = scoring_open(&arguments->request, &scoring, err)))
        goto out;
    (void)json_object_set_new(root, "open_seconds", json_real(clock_monotonic_s() - begin_s));
    add_identity(root, scoring_identity(scoring));
    if (arguments->stops || (code = scoring_fetch(scoring, err)) ||
        (code = scoring_run(scoring, turns, SCORE_PRECISION_DEFAULT, 0, &outcome, err)))
        goto out;
    const struct passages *passages = scoring_passages(scoring);
    struct score_request request = {.document_count = passages->count,
                                    .target_count = passages->target_count};
    add_summary(root, &outcome.summary);
    add_results(root, &request, scoring_result(scoring));
    (void)json_object_set_new(root, "skipped", json_integer((json_int_t)outcome.skipped_count));
    (void)json_object_set_new(root, "truncated", json_integer((json_int_t)outcome.truncated_count));
out:
    scoring_close(scoring);
    passages_cache_free(passages_cache);
    source_close(source);
    repository_tree_free(tree);
    repository_close(repository);
    hub_close(hub);
    device_turns_free(turns);
    device_close(device);
    return code;
}

static int answer(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct arguments arguments = {.threads = 1};
    json_t *root = json_object();
    int code = argc < 3 ? err_set(&err, ERR_INVALID, "usage: score_probe FOLDER DATA [name=value ...]")
                        : read_arguments(&arguments, argc - 3, argv + 3, &err);
    if (!code && strncmp(argv[1], "random:", 7) == 0)
        code = probe_random(argv[1] + 7, (size_t)strtoull(argv[2], NULL, 10), &arguments, root, &err);
    else if (!code)
        code = probe_folder(argv[1], argv[2], &arguments, root, &err);
    if (code) {
        json_object_clear(root);
        (void)json_object_set_new(root, "error", json_string(err_name(code)));
        (void)json_object_set_new(root, "message", json_string(err.message));
    }
    (void)json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
    (void)printf("\n");
    json_decref(root);
    return code ? 1 : 0;
}

/* A request from each line of the input, its words apart by tabs. */
static int answer_lines(void)
{
    char *line = NULL, program[] = "score_probe";
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        char *words[WORDS_MAX] = {program}, *rest = line;
        int count = 1;
        line[strcspn(line, "\n")] = '\0';
        while (rest && count < WORDS_MAX)
            words[count++] = strsep(&rest, "\t");
        (void)answer(count, words);
        (void)fflush(stdout);
    }
    free(line);
    return 0;
}

int main(int argc, char **argv)
{
    return argc == 2 && strcmp(argv[1], "-") == 0 ? answer_lines() : answer(argc, argv);
}
