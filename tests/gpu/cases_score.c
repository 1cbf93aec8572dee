#include "tests/gpu/cases_score.h"

#include "tests/tools/random_model.h"

/* Largest difference of a log-probability against the CPU's float32, by precision and stored type. */
#define TOLERANCE_F32 1e-3
#define TOLERANCE_F16 0.03
#define TOLERANCE_BF16 0.25

static const struct score_case {
    const char *what;
    enum score_precision precision;
    enum tensor_dtype dtype; /* of the stored tensors */
    uint64_t layers, hidden, heads, intermediate, vocabulary, rotary;
    enum score_activation activation;
    int is_parallel, has_attention_bias, is_tied;
    size_t documents, longest;
    int is_streamed; /* the budget holds two layers at a time */
    enum case_cost cost;
} table[] = {
    {"head 32", SCORE_PRECISION_F32, TENSOR_DTYPE_F16, 2, 64, 2, 256, 500, 8, SCORE_ACTIVATION_GELU, 1, 1, 0,
     5, 70, 0, CASE_COST_SMALL},
    {"head 32", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 2, 64, 2, 256, 500, 8, SCORE_ACTIVATION_GELU, 1, 1, 0,
     5, 70, 0, CASE_COST_SMALL},
    {"head 32", SCORE_PRECISION_HALF, TENSOR_DTYPE_BF16, 2, 64, 2, 256, 500, 8, SCORE_ACTIVATION_GELU, 1, 1,
     0, 5, 70, 0, CASE_COST_SMALL},
    {"head 32 from float32", SCORE_PRECISION_HALF, TENSOR_DTYPE_F32, 2, 64, 2, 256, 500, 8,
     SCORE_ACTIVATION_GELU, 1, 1, 0, 5, 70, 0, CASE_COST_SMALL},
    {"head 64, serial, tied, no bias", SCORE_PRECISION_F32, TENSOR_DTYPE_F16, 3, 128, 2, 512, 9000, 64,
     SCORE_ACTIVATION_GELU_TANH, 0, 0, 1, 7, 129, 0, CASE_COST_QUICK},
    {"head 64, serial, tied, no bias", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 3, 128, 2, 512, 9000, 64,
     SCORE_ACTIVATION_GELU_TANH, 0, 0, 1, 7, 129, 0, CASE_COST_QUICK},
    {"head 80, relu", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 2, 160, 2, 640, 1000, 20, SCORE_ACTIVATION_RELU,
     1, 1, 0, 4, 65, 0, CASE_COST_QUICK},
    {"head 128, silu", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 2, 256, 2, 1024, 1000, 32,
     SCORE_ACTIVATION_SILU, 1, 1, 0, 4, 64, 0, CASE_COST_QUICK},
    {"head 256", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 2, 512, 2, 512, 1000, 64, SCORE_ACTIVATION_GELU, 1,
     1, 0, 4, 128, 0, CASE_COST_QUICK},
    {"head 20, plain attention", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 2, 80, 4, 160, 301, 0,
     SCORE_ACTIVATION_GELU, 1, 1, 0, 4, 70, 0, CASE_COST_SMALL},
    {"one layer, one document", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 1, 64, 2, 256, 500, 8,
     SCORE_ACTIVATION_GELU, 1, 1, 0, 1, 0, 0, CASE_COST_SMALL},
    {"streamed", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 5, 256, 4, 1024, 2000, 16, SCORE_ACTIVATION_GELU, 1,
     1, 0, 40, 300, 1, CASE_COST_QUICK},
    {"streamed from float32", SCORE_PRECISION_HALF, TENSOR_DTYPE_F32, 4, 256, 4, 1024, 2000, 16,
     SCORE_ACTIVATION_GELU, 1, 1, 0, 40, 300, 1, CASE_COST_QUICK},
    {"14m", SCORE_PRECISION_F32, TENSOR_DTYPE_F16, 6, 128, 4, 512, 50304, 8, SCORE_ACTIVATION_GELU, 1, 1, 0,
     300, 2048, 0, CASE_COST_LARGE},
    {"14m", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 6, 128, 4, 512, 50304, 8, SCORE_ACTIVATION_GELU, 1, 1, 0,
     300, 2048, 0, CASE_COST_LARGE},
    {"14m", SCORE_PRECISION_HALF, TENSOR_DTYPE_BF16, 6, 128, 4, 512, 50304, 8, SCORE_ACTIVATION_GELU, 1, 1, 0,
     300, 2048, 0, CASE_COST_LARGE},
    {"70m", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 6, 512, 8, 2048, 50304, 16, SCORE_ACTIVATION_GELU, 1, 1,
     0, 100, 2048, 0, CASE_COST_LARGE},
    {"head 8, serial, gelu_tanh, tied", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 2, 24, 3, 40, 101, 4,
     SCORE_ACTIVATION_GELU_TANH, 0, 0, 1, 9, 20, 0, CASE_COST_SMALL},
    {"head 80, relu, small", SCORE_PRECISION_HALF, TENSOR_DTYPE_BF16, 1, 80, 1, 96, 101, 20,
     SCORE_ACTIVATION_RELU, 0, 1, 0, 3, 67, 0, CASE_COST_SMALL},
    {"head 128, silu, small", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 1, 128, 1, 128, 101, 32,
     SCORE_ACTIVATION_SILU, 1, 1, 0, 2, 66, 0, CASE_COST_SMALL},
    {"head 248, small", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 1, 248, 1, 64, 101, 64, SCORE_ACTIVATION_GELU,
     1, 1, 0, 2, 66, 0, CASE_COST_SMALL},
    {"head 8, odd MLP", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 2, 24, 3, 33, 101, 4, SCORE_ACTIVATION_GELU,
     1, 1, 0, 9, 20, 0, CASE_COST_SMALL},
    {"odd width", SCORE_PRECISION_F32, TENSOR_DTYPE_BF16, 2, 21, 3, 33, 67, 2, SCORE_ACTIVATION_GELU, 1, 1, 0,
     5, 40, 0, CASE_COST_SMALL},
    {"streamed, small", SCORE_PRECISION_HALF, TENSOR_DTYPE_F16, 5, 16, 1, 32, 101, 8, SCORE_ACTIVATION_GELU,
     1, 1, 0, 3, 20, 1, CASE_COST_SMALL},
    {"streamed from float32, small", SCORE_PRECISION_HALF, TENSOR_DTYPE_F32, 4, 16, 1, 32, 101, 8,
     SCORE_ACTIVATION_GELU, 0, 1, 0, 3, 20, 1, CASE_COST_SMALL},
};

/* The random tensors are float16; others are made of them. */
static int change_dtype(struct random_model *model, enum tensor_dtype dtype, const char *other)
{
    for (size_t i = 0; i < model->tensor_count && dtype != TENSOR_DTYPE_F16; i++) {
        if (other && strstr(model->tensors[i].name, other))
            continue;
        struct tensor_view *view = &model->tensors[i].view;
        uint64_t count = view->shape.dim[0] * (view->shape.ndim == 2 ? view->shape.dim[1] : 1);
        const uint16_t *from = view->data;
        float *to = malloc(count * sizeof(float));
        if (!to)
            return -1;
        for (uint64_t j = 0; j < count; j++) {
            float value = half_from_f16(from[j]);
            uint16_t top = (uint16_t)(half_bits_of_float(value) >> 16);
            if (dtype == TENSOR_DTYPE_F32)
                to[j] = value;
            else
                memcpy((unsigned char *)to + 2 * j, &top, sizeof(top));
        }
        free((void *)(uintptr_t)view->data);
        view->data = to;
        view->dtype = dtype;
    }
    return 0;
}

static struct score_config config_of(const struct score_case *row)
{
    return (struct score_config){.architecture = "gpt_neox",
                                 .vocabulary_rows = row->vocabulary,
                                 .hidden_size = row->hidden,
                                 .layer_count = row->layers,
                                 .head_count = row->heads,
                                 .intermediate_size = row->intermediate,
                                 .max_positions = 2048,
                                 .rotary_dimensions = row->rotary,
                                 .rotary_base = 10000,
                                 .norm_epsilon = 1e-5,
                                 .activation = row->activation,
                                 .has_parallel_residual = row->is_parallel,
                                 .has_attention_bias = row->has_attention_bias,
                                 .is_tied = row->is_tied};
}

/* Loads, scores into `results` (one after the other) and frees. */
static int score(struct device *device, const struct score_model_source *source,
                 const struct score_request *request, struct score_result *results, int count,
                 struct err *err)
{
    const struct backend_table *backend = device_backend(device);
    void *model = NULL;
    int code = backend->model_load(device_context(device), source, &model, err);
    for (int i = 0; i < count && !code; i++)
        code = backend->model_score(model, request, &results[i], err);
    if (model)
        backend->model_free(model);
    return code;
}

/* Before the dtype is changed. */
static void spoil(struct random_model *model, const char *spoilt, const char *zeroed)
{
    for (size_t i = 0; i < model->tensor_count; i++) {
        const struct score_tensor *tensor = &model->tensors[i];
        uint16_t *elements = (uint16_t *)(uintptr_t)tensor->view.data;
        if (spoilt && strstr(tensor->name, spoilt))
            elements[0] = 0x7e00;
        if (zeroed && strstr(tensor->name, zeroed))
            memset(elements, 0, tensor->view.shape.dim[0] * tensor->view.shape.dim[1] * sizeof(*elements));
    }
}

static void compare(struct cases *cases, const struct scored *row, const char *name,
                    const struct score_result *results)
{
    double tolerance = row->precision == SCORE_PRECISION_F32 ? TOLERANCE_F32
                       : row->dtype == TENSOR_DTYPE_BF16     ? TOLERANCE_BF16
                                                             : TOLERANCE_F16;
    double worst = 0;
    size_t hits = 0, total = results[0].target_total;
    for (size_t i = 0; i < total; i++) {
        if (row->spoilt && isnan(results[0].logprobs[i]) && isnan(results[1].logprobs[i]))
            continue;
        double difference = row->spoilt ? INFINITY : fabs(results[0].logprobs[i] - results[1].logprobs[i]);
        worst = isnan(worst) || difference <= worst ? worst : difference; /* NaN stays */
        hits += results[0].is_argmax[i] != results[1].is_argmax[i];
    }
    cases->slow += results[1].slow[0] != 0;
    if (memcmp(results[1].logprobs, results[2].logprobs, total * sizeof(double)) ||
        memcmp(results[1].is_argmax, results[2].is_argmax, total))
        case_ends(cases, name, (double)INFINITY, "two runs differ");
    else if ((double)hits > 1 + 0.02 * (double)total)
        case_ends(cases, name, (double)INFINITY, "other tokens are the most probable");
    else
        case_ends(cases, name, isnan(worst) ? (double)INFINITY : worst / tolerance,
                  results[1].slow[0] ? results[1].slow : "log-probability");
}

/* Leaves NaNs in the memory that the device's pool hands out next: what scoring reads and has not written
 * makes its results NaN. (initcheck does not see what cuBLAS writes.) */
static int poison(struct cases *cases, struct err *err)
{
    const uint64_t size = cases->cost_max == CASE_COST_SMALL ? 256 : 4096;
    struct statistics_request request = {
        .dtype = TENSOR_DTYPE_F16, .rows = size, .columns = size, .token_rows = size, .reference_count = 2};
    struct statistics_result result = {.columns = 0};
    unsigned char *nan = malloc(size * size * 2);
    int code = nan ? statistics_result_init(&result, size, err) : err_set(err, ERR_NO_MEMORY, "no memory");
    if (!code) {
        memset(nan, 0xff, size * size * 2);
        request.data = request.references[0] = request.references[1] = nan;
        code = device_statistics(cases->cuda, &request, &result, err);
    }
    statistics_result_free(&result);
    free(nan);
    return code;
}

static void run_case(struct cases *cases, const struct scored *row, const char *name)
{
    const struct score_config config = row->config;
    struct random_model model = {.tensors = NULL};
    struct random_documents documents = {.tokens = NULL};
    struct score_result results[3];
    struct err err = ERR_INIT;
    size_t total = 0;
    memset(results, 0, sizeof(results));
    int code = random_model_init(&model, &config);
    if (!code)
        spoil(&model, row->spoilt, row->zeroed);
    if (code || change_dtype(&model, row->dtype, row->other) ||
        random_documents_init(&documents, row->documents, row->longest, (uint32_t)config.vocabulary_rows)) {
        (void)err_set(&err, ERR_NO_MEMORY, "no memory for a model");
        case_breaks(cases, name, &err);
        return;
    }
    struct score_model_source source = {.config = config,
                                        .tensors = model.tensors,
                                        .tensor_count = model.tensor_count,
                                        .precision = SCORE_PRECISION_F32};
    code = score_request_check(&config, &documents.request, &total, &err);
    for (int i = 0; i < 3 && !code; i++)
        code = score_result_init(&results[i], total, &err);
    if (!code && !(code = score(cases->cpu, &source, &documents.request, &results[0], 1, &err))) {
        source.precision = row->precision;
        /* Less than a resident model with room to score, enough for two layers of these small models. */
        source.memory_budget_bytes = row->is_streamed ? 500 * MIB : 0;
        if (!(code = poison(cases, &err)))
            code = score(cases->cuda, &source, &documents.request, &results[1], 2, &err);
    }
    if (code)
        case_breaks(cases, name, &err);
    else
        compare(cases, row, name, results);
    for (int i = 0; i < 3; i++)
        score_result_free(&results[i]);
    random_model_free(&model);
    random_documents_free(&documents);
}

void case_score(struct cases *cases, const char *what, const struct scored *scored, enum case_cost cost)
{
    char name[128];
    (void)snprintf(name, sizeof(name), "score %s, %s weights, %s, %zu documents", what,
                   tensor_dtype_name(scored->dtype),
                   scored->precision == SCORE_PRECISION_F32 ? "f32" : "half", scored->documents);
    if (case_begins(cases, name, cost))
        run_case(cases, scored, name);
}

void case_family(struct cases *cases, const struct family_case *family)
{
    struct scored scored = family->scored;
    struct score_config *config = &scored.config;
    config->vocabulary_rows = config->vocabulary_rows ? config->vocabulary_rows : 101;
    config->layer_count = config->layer_count ? config->layer_count : 2;
    /* Of two documents the longest has as many inputs; others may be longer (random_documents_init). */
    config->max_positions = config->max_positions   ? config->max_positions
                            : scored.documents <= 2 ? scored.longest - 1
                                                    : 133;
    config->rotary_base = 10000;
    config->norm_epsilon = 1e-5;
    config->activation = config->activation ? config->activation : SCORE_ACTIVATION_SILU;
    case_score(cases, family->what, &scored, family->cost);
}

void cases_score(struct cases *cases)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct scored scored = {.precision = table[i].precision,
                                      .dtype = table[i].dtype,
                                      .config = config_of(&table[i]),
                                      .documents = table[i].documents,
                                      .longest = table[i].longest,
                                      .is_streamed = table[i].is_streamed};
        case_score(cases, table[i].what, &scored, table[i].cost);
    }
}
