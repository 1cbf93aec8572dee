/*
 * A model larger than the GPU's memory, streamed layer by layer, on the real memory.
 *
 *     gpu_streamed MODULE [gib=N] [hidden=8192] [vocabulary=50432] [layers=N] [documents=1024] [few=64]
 * [check=0]
 *
 * Layers are views into one piece of random numbers, each from another place on: they differ, and the host
 * needs less than 2 GiB. Without gib= or layers= the weights are 1.2 times the GPU's memory. Rows of CSV as
 * gpu_bench prints them, then one line per check: few documents twice for equal bits, the same among many,
 * and a few short ones beside the CPU backend, which streams the same model (left out with check=0). Exit
 * status 1 if one fails, 77 where there is no GPU.
 */
#include "gpu/cpu/backend.h"
#include "gpu/registry.h"
#include "tests/tools/random_model.h"

#include <cuda_runtime_api.h>

#include <stdbool.h>
#include <time.h>

#define TOLERANCE 0.03 /* of a log-probability, half precision against float32, as in cases_score.c */
#define SHORT 4
#define SHIFT ((size_t)4128) /* elements from layer to layer: no multiple of a row */
#define PINNED_BYTES ((size_t)1 << 30)

struct large {
    struct score_config config;
    struct score_tensor *tensors;
    char (*names)[SCORE_NAME_BYTES];
    size_t count;
    uint16_t *matrices, *norms, *biases; /* what the views look into */
    double bytes, layer_bytes;
};

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void print(const char *name, double value, const char *unit, double ceiling)
{
    if (ceiling > 0)
        printf("%s,%.6g,%s,%.6g,%.3f\n", name, value, unit, ceiling, value / ceiling);
    else
        printf("%s,%.6g,%s,,\n", name, value, unit);
    (void)fflush(stdout);
}

/* -- The model ---------------------------------------------------------------------------------------- */

/* Random numbers; beyond the first million pieces of them are repeated from changing places. */
static uint16_t *numbers(size_t count, uint64_t seed, float offset, float scale)
{
    const size_t pool = (size_t)1 << 20;
    uint16_t *data = malloc(count * sizeof(*data));
    for (size_t i = 0; data && i < count && i < pool; i++)
        data[i] = random_half(seed, i, offset, scale);
    for (size_t at = pool; data && at < count;) {
        size_t from = random_at(seed, at) % (pool / 2), left = count - at;
        size_t size = left < pool / 2 ? left : pool / 2;
        memcpy(data + at, data + from, size * sizeof(*data));
        at += size;
    }
    return data;
}

static size_t elements_of(const struct score_config *config, enum score_role role)
{
    struct tensor_shape shape;
    score_tensor_shape(config, role, &shape);
    return (size_t)(shape.dim[0] * (shape.ndim == 2 ? shape.dim[1] : 1));
}

static double layer_bytes(const struct score_config *config)
{
    double elements = 0;
    for (int role = SCORE_ROLE_LAYER_FIRST; role < SCORE_ROLE_COUNT; role++)
        elements += (double)elements_of(config, (enum score_role)role);
    return 2 * elements;
}

static void add_tensor(struct large *large, enum score_role role, uint64_t layer)
{
    struct score_tensor *tensor = &large->tensors[large->count];
    struct tensor_shape shape;
    score_tensor_name(&large->config, role, layer, large->names[large->count]);
    score_tensor_shape(&large->config, role, &shape);
    if (!large->names[large->count][0])
        return;
    const bool is_norm = strstr(large->names[large->count], "norm.weight") != NULL;
    const uint16_t *data = shape.ndim == 2 ? large->matrices : is_norm ? large->norms : large->biases;
    if (shape.ndim == 2) /* roles of a layer differ too */
        data += SHIFT * (SCORE_ROLE_COUNT * layer + (uint64_t)role);
    else
        data += 8 * layer;
    tensor->name = large->names[large->count++];
    tensor->view = (struct tensor_view){TENSOR_DTYPE_F16, shape, data};
    large->bytes += 2.0 * (double)elements_of(&large->config, role);
}

static int large_init(struct large *large, const struct score_config *config)
{
    const uint64_t layers = config->layer_count;
    size_t wide = elements_of(config, SCORE_ROLE_MLP_UP_WEIGHT);
    size_t table = elements_of(config, SCORE_ROLE_EMBEDDING);
    const float scale = 1.4F / sqrtf((float)config->hidden_size);
    *large = (struct large){.config = *config, .layer_bytes = layer_bytes(config)};
    large->tensors = calloc(SCORE_ROLE_COUNT * (size_t)(layers + 1), sizeof(*large->tensors));
    large->names = calloc(SCORE_ROLE_COUNT * (size_t)(layers + 1), sizeof(*large->names));
    large->matrices = numbers((wide > table ? wide : table) + SHIFT * SCORE_ROLE_COUNT * (size_t)(layers + 1),
                              1, 0.0F, scale);
    large->norms = numbers((size_t)(config->intermediate_size + 8 * layers), 2, 1.0F, 0.1F);
    large->biases = numbers((size_t)(config->intermediate_size + 8 * layers), 3, 0.0F, 0.1F);
    if (!large->tensors || !large->names || !large->matrices || !large->norms || !large->biases)
        return -1;
    for (int role = 0; role < SCORE_ROLE_COUNT; role++)
        for (uint64_t layer = 0; layer < (role < SCORE_ROLE_LAYER_FIRST ? 1 : layers); layer++)
            add_tensor(large, (enum score_role)role, layer);
    return 0;
}

static void large_free(struct large *large)
{
    free(large->tensors);
    free(large->names);
    free(large->matrices);
    free(large->norms);
    free(large->biases);
}

/* -- Scoring ------------------------------------------------------------------------------------------ */

static int prepare_result(const struct large *large, const struct random_documents *documents,
                          struct score_result *result, struct err *err)
{
    size_t total = 0;
    int code = score_request_check(&large->config, &documents->request, &total, err);
    return code ? code : score_result_init(result, total, err);
}

static int score(struct device *device, void *model, const struct random_documents *documents,
                 struct score_result *result, double *ret_seconds, struct err *err)
{
    const double begin = now_s();
    int code = device_backend(device)->model_score(model, &documents->request, result, err);
    *ret_seconds = now_s() - begin;
    return code;
}

static double worst(const struct score_result *a, const struct score_result *b, size_t count)
{
    double difference = 0;
    for (size_t i = 0; i < count; i++) {
        double one = fabs(a->logprobs[i] - b->logprobs[i]);
        difference = isnan(difference) || one <= difference ? difference : one; /* NaN stays */
    }
    return difference;
}

static int failed;

static void check(bool is_good, const char *what, double value)
{
    printf("%s %s (%.3g)\n", is_good ? "passed" : "FAILED", what, value);
    (void)fflush(stdout);
    failed += !is_good;
}

static void check_finite(const struct score_result *result)
{
    size_t bad = 0;
    for (size_t i = 0; i < result->target_total; i++)
        bad += !(isfinite(result->logprobs[i]) && result->logprobs[i] < 0);
    check(bad == 0, "every log-probability is finite and negative", (double)bad);
}

/* Few documents, so that the bus decides, twice. */
static int score_few(const struct large *large, struct device *device, void *model, size_t count,
                     double pinned, struct score_result results[2], struct err *err)
{
    struct random_documents documents = {.tokens = NULL};
    double seconds[2] = {0, 0};
    if (random_documents_init(&documents, count, 0, 500))
        return err_set(err, ERR_NO_MEMORY, "no memory for documents");
    int code = 0;
    for (int i = 0; i < 2 && !code; i++)
        if (!(code = prepare_result(large, &documents, &results[i], err)))
            code = score(device, model, &documents, &results[i], &seconds[i], err);
    random_documents_free(&documents);
    if (code)
        return code;
    const double best_s = seconds[0] < seconds[1] ? seconds[0] : seconds[1];
    const double sent = large->layer_bytes * (double)large->config.layer_count;
    print("streamed, few documents", best_s, "s", 0);
    print("streamed, few documents: weights", sent / best_s / 1e9, "GB/s", pinned / 1e9);
    print("streamed, few documents: inputs", (double)results[0].input_count / best_s, "1/s", 0);
    print("streamed: memory of the device", (double)results[0].memory_bytes / (double)GIB, "GiB", 0);
    check((double)results[0].memory_bytes < large->bytes, "the model is streamed", 0);
    check_finite(&results[0]);
    check(memcmp(results[0].logprobs, results[1].logprobs, results[0].target_total * sizeof(double)) == 0,
          "the second time gives the same bits", 0);
    return 0;
}

/* Many documents, so that the products decide; the few are the first of them. */
static int score_many(const struct large *large, struct device *device, void *model, size_t count,
                      const struct score_result *few, struct err *err)
{
    struct random_documents documents = {.tokens = NULL};
    struct score_result result = {.logprobs = NULL};
    double seconds = 0;
    if (random_documents_init(&documents, count, 0, 500))
        return err_set(err, ERR_NO_MEMORY, "no memory for documents");
    int code = prepare_result(large, &documents, &result, err);
    if (!code && !(code = score(device, model, &documents, &result, &seconds, err))) {
        print("streamed, many documents", (double)count, "documents", 0);
        print("streamed, many documents: time", seconds, "s", 0);
        print("streamed, many documents: inputs", (double)result.input_count / seconds, "1/s", 0);
        print("streamed, many documents: products", result.flops / seconds / 1e12, "TFLOP/s", 0);
        check_finite(&result);
        double difference = worst(
            &result, few, few->target_total < result.target_total ? few->target_total : result.target_total);
        check(difference <= TOLERANCE, "the few have the same log-probabilities among the many", difference);
    }
    score_result_free(&result);
    random_documents_free(&documents);
    return code;
}

/* Both score with the first layers alone, since the processor takes a second for each; the device streams
 * these too. */
static int score_short(const struct large *part, struct device *device, uint64_t budget_bytes,
                       const struct random_documents *documents, struct score_result *result, struct err *err)
{
    const struct score_model_source source = {.config = part->config,
                                              .tensors = part->tensors,
                                              .tensor_count = part->count,
                                              .memory_budget_bytes = budget_bytes};
    void *model = NULL;
    double seconds = 0;
    int code = prepare_result(part, documents, result, err);
    if (!code && !(code = device_backend(device)->model_load(device_context(device), &source, &model, err)))
        code = score(device, model, documents, result, &seconds, err);
    if (model)
        device_backend(device)->model_free(model);
    return code;
}

static int compare_cpu(const struct large *part, struct device *cpu, struct device *device, struct err *err)
{
    struct random_documents documents = {.tokens = NULL};
    struct score_result results[2] = {{.logprobs = NULL}, {.logprobs = NULL}};
    const double begin = now_s();
    if (random_documents_init(&documents, SHORT, 0, 500))
        return err_set(err, ERR_NO_MEMORY, "no memory for documents");
    for (size_t i = 0; i < SHORT; i++) { /* 6 to 12 tokens, the last four are targets */
        documents.length[i] = 6 + 2 * (uint32_t)i;
        documents.target_first[i] = documents.length[i] - 4;
        documents.target_count[i] = 4;
    }
    int code = score_short(part, cpu, 0, &documents, &results[0], err);
    if (!code && !(code = score_short(part, device, (uint64_t)part->bytes, &documents, &results[1], err))) {
        double difference = worst(&results[0], &results[1], results[0].target_total);
        print("beside the processor, short documents", (double)part->config.layer_count, "layers", 0);
        print("beside the processor: time", now_s() - begin, "s", 0);
        check((double)results[1].memory_bytes < part->bytes, "these layers are streamed too",
              (double)results[1].memory_bytes / part->bytes);
        check(difference <= TOLERANCE, "the processor has the same log-probabilities", difference);
        check(difference > 0, "and in another precision", difference);
    }
    for (int i = 0; i < 2; i++)
        score_result_free(&results[i]);
    random_documents_free(&documents);
    return code;
}

/* Bytes a second from pinned memory, the best of five; 0 without a GPU (the module may be an emulated one).
 */
static double measure_pinned(void)
{
    void *host = NULL, *device = NULL;
    double best_s = 0;
    if (cudaHostAlloc(&host, PINNED_BYTES, cudaHostAllocDefault) == cudaSuccess &&
        cudaMalloc(&device, PINNED_BYTES) == cudaSuccess)
        for (int i = 0; i < 6; i++) {
            double begin = now_s();
            if (cudaMemcpy(device, host, PINNED_BYTES, cudaMemcpyHostToDevice) != cudaSuccess)
                break;
            double seconds = now_s() - begin;
            best_s = i == 1 || (i > 1 && seconds < best_s) ? seconds : best_s;
        }
    if (device)
        (void)cudaFree(device);
    if (host)
        (void)cudaFreeHost(host);
    return best_s > 0 ? (double)PINNED_BYTES / best_s : 0;
}

static int run(const struct large *large, struct device *device, size_t few_count, size_t documents,
               struct err *err)
{
    struct score_model_source source = {.config = large->config,
                                        .tensors = large->tensors,
                                        .tensor_count = large->count,
                                        .precision = SCORE_PRECISION_HALF};
    struct score_result few[2] = {{.logprobs = NULL}, {.logprobs = NULL}};
    void *model = NULL;
    const double pinned = measure_pinned(), begin = now_s();
    int code = device_backend(device)->model_load(device_context(device), &source, &model, err);
    if (code)
        return code;
    print("pinned host to device", pinned / 1e9, "GB/s", 0);
    print("streamed: weights", large->bytes / (double)GIB, "GiB",
          (double)device_info(device)->description.memory_bytes / (double)GIB);
    print("streamed: load", now_s() - begin, "s", 0);
    if (!(code = score_few(large, device, model, few_count, pinned, few, err)) && documents)
        code = score_many(large, device, model, documents, &few[0], err);
    device_backend(device)->model_free(model);
    for (int i = 0; i < 2; i++)
        score_result_free(&few[i]);
    return code;
}

/* "name=N" */
static void read_number(const char *word, const char *name, double *number)
{
    const size_t length = strlen(name);
    if (strncmp(word, name, length) == 0 && word[length] == '=')
        *number = strtod(word + length + 1, NULL);
}

int main(int count, char **words)
{
    struct registry *registry = NULL;
    struct device *cpu = NULL, *device = NULL;
    struct large large = {.tensors = NULL};
    struct err err = ERR_INIT;
    double gib = 0, hidden = 8192, vocabulary = 50432, layers = 0, documents = 1024, few = 64,
           check_layers = 4;
    if (count < 2) {
        (void)fprintf(stderr, "usage: gpu_streamed MODULE [gib=N] [hidden=N] [vocabulary=N] [layers=N] "
                              "[documents=N] [few=N] [check=N]\n");
        return 2;
    }
    for (int i = 2; i < count; i++) {
        read_number(words[i], "gib", &gib);
        read_number(words[i], "hidden", &hidden);
        read_number(words[i], "vocabulary", &vocabulary);
        read_number(words[i], "layers", &layers);
        read_number(words[i], "documents", &documents);
        read_number(words[i], "few", &few);
        read_number(words[i], "check", &check_layers);
    }
    if (registry_new(cpu_backend(), words[1], &registry, &err) ||
        device_open(registry, "cpu", NULL, &cpu, &err) ||
        device_open(registry, "cuda:0", NULL, &device, &err)) {
        printf("%s\n", err.message);
        device_close(cpu);
        registry_free(registry);
        return err.code == ERR_NOT_FOUND ? 77 : 1;
    }
    struct score_config config = {.architecture = "gpt_neox",
                                  .vocabulary_rows = (uint64_t)vocabulary,
                                  .hidden_size = (uint64_t)hidden,
                                  .head_count = hidden >= 1024 ? (uint64_t)hidden / 128 : 4,
                                  .intermediate_size = 4 * (uint64_t)hidden,
                                  .max_positions = 256,
                                  .rotary_dimensions = hidden >= 1024 ? 32 : 4,
                                  .rotary_base = 10000,
                                  .norm_epsilon = 1e-5,
                                  .activation = SCORE_ACTIVATION_GELU,
                                  .has_parallel_residual = 1,
                                  .has_attention_bias = 1};
    if (gib <= 0)
        gib = 1.2 * (double)device_info(device)->description.memory_bytes / (double)GIB;
    config.layer_count =
        layers > 0 ? (uint64_t)layers : (uint64_t)(gib * (double)GIB / layer_bytes(&config)) + 1;
    printf("name,value,unit,ceiling,share\n# %s, %llu layers of %.3f GiB\n",
           device_info(device)->description.name, (unsigned long long)config.layer_count,
           layer_bytes(&config) / (double)GIB);
    if (large_init(&large, &config))
        (void)err_set(&err, ERR_NO_MEMORY, "no memory for the weights");
    if (!err.code && !run(&large, device, (size_t)few, (size_t)documents, &err) && check_layers >= 3) {
        large_free(&large);
        config.layer_count = (uint64_t)check_layers;
        if (large_init(&large, &config))
            (void)err_set(&err, ERR_NO_MEMORY, "no memory for the weights");
        else
            (void)compare_cpu(&large, cpu, device, &err);
    }
    if (err.code) {
        printf("FAILED %s: %s\n", err_name((enum err_code)err.code), err.message);
        failed++;
    }
    large_free(&large);
    device_close(device);
    device_close(cpu);
    registry_free(registry);
    printf("%s\n", failed ? "failed" : "all checks passed");
    return failed ? 1 : 0;
}
