/*
 * The CPU's forward pass of GPT-2, BLOOM and of the families after Llama against the one of reference.h:
 * heads that share keys and have a size of their own, biases, scaled rotary embeddings and layers without,
 * norms where OLMo 2 has them.
 */
#include "daemon/base/limits.h"
#include "tests/unit/score/runs.h"

#define ERROR_MAX 1e-4 /* of a log-probability */

static const char *const families[] = {
    "llama",   "mistral",      "qwen2",    "qwen3",       "smollm3",
    "olmo",    "olmo2",        "hf_olmo",  "gpt2",        "bloom",
    "dots1",   "qwen3_moe",    "olmoe",    "apertus",     "modernbert-decoder",
    "granite", "gemma",        "stablelm", "nemotron",    "opensci",
    "kormo",   "pico_decoder", "baichuan", "crystalcoder"};
#define FAMILY_COUNT (sizeof families / sizeof families[0])
#define FAMILY_BAICHUAN (FAMILY_COUNT - 2)

/* What a configuration leaves at 0 is the same for all. */
static struct score_config with_family(const struct score_config *config, size_t family)
{
    struct score_config made = *config;
    (void)snprintf(made.architecture, sizeof made.architecture, "%s", families[family]);
    made.vocabulary_rows = made.vocabulary_rows ? made.vocabulary_rows : 90;
    made.layer_count = made.layer_count ? made.layer_count : 2;
    made.max_positions = made.max_positions ? made.max_positions : 69;
    made.rotary_base = 10000;
    made.norm_epsilon = 1e-5;
    if (is_gpt2(&made) || is_crystal(&made) ||
        is_bloom(&made)) { /* heads of one kind, of which is the width */
        made.position_rows = 203;
        made.key_value_head_count = made.head_size = made.rotary_dimensions = 0;
        made.head_count = made.hidden_size % made.head_count ? 1 : made.head_count;
        made.has_attention_scale_by_layer = !is_bloom(&made) && (made.layer_count == 4 || made.is_tied);
        made.has_unscaled_attention = !is_bloom(&made) && (made.layer_count == 1 || made.is_tied);
        if (is_crystal(&made)) /* a quarter, or all dimensions but one */
            made.rotary_dimensions =
                (made.layer_count == 4 ? score_head_size(&made) / 4 : score_head_size(&made)) & ~1ULL;
        made.sliding_layers[0] = is_bloom(&made) ? 0 : made.sliding_layers[0];
    }
    if (is_modernbert(&made)) { /* what a variant says of biases holds for all, and windows have a base */
        made.head_activation = made.layer_count == 4 ? SCORE_ACTIVATION_SILU : SCORE_ACTIVATION_GELU;
        made.has_head_bias = made.has_mlp_bias;
        made.has_unembedding_bias = made.has_mlp_bias || made.layer_count == 4;
        made.lacks_norm_bias = !made.has_attention_bias;
        made.unscaled_rotary_base = made.sliding_layers[0] ? 1000 : 0;
        made.unscaled_layers[0] |= made.sliding_layers[0];
    }
    if (is_baichuan(&made))
        made.is_tied = 0;
    if (is_nemotron(&made) && made.activation == SCORE_ACTIVATION_SILU)
        made.activation = SCORE_ACTIVATION_RELU_SQUARED;
    if (is_stablelm(&made) || is_nemotron(&made)) /* a part of each head */
        made.rotary_dimensions =
            made.rotary_dimensions > 4 ? made.rotary_dimensions / 4 * 2 : made.rotary_dimensions;
    if (is_apertus(&made))
        made.activation = SCORE_ACTIVATION_XIELU;
    if (strcmp(made.architecture, "hf_olmo") == 0) {
        made.lacks_norm_weight = made.layer_count == 1 || made.is_tied;
        made.lacks_norm_bias = made.lacks_norm_weight || made.layer_count == 4;
    }
    if (has_sigmoid_router(&made)) {
        made.router = SCORE_ROUTER_SIGMOID;
        made.router_scale = made.layer_count == 4 ? 2.5 : 0;
        made.dense_layer_count = made.layer_count > 2 ? made.layer_count - 2 : 0;
        made.dense_size = made.dense_layer_count ? made.intermediate_size + 5 : 0;
        made.shared_size = made.is_tied ? 2 * made.intermediate_size : 7;
    }
    if (is_olmoe(&made) || has_sigmoid_router(&made) || strcmp(made.architecture, "qwen3_moe") == 0) {
        made.expert_count = made.vocabulary_rows == 1 ? 1 : 5 + made.layer_count;
        made.experts_per_input = made.is_tied ? made.expert_count : made.vocabulary_rows == 1 ? 1 : 3;
        made.has_normalised_router = made.layer_count == 4 || is_qwen3(&made);
    }
    return made;
}

struct variant {
    const char *name;
    enum tensor_dtype dtype;
    struct score_config config;
};

static const struct variant variants[] = {
    {"pairs of heads, all sizes odd",
     TENSOR_DTYPE_F16,
     {.hidden_size = 31,
      .head_count = 6,
      .key_value_head_count = 3,
      .head_size = 6,
      .rotary_dimensions = 6,
      .intermediate_size = 53,
      .activation = SCORE_ACTIVATION_SILU}},
    {"one key for all, narrower than its heads, biases, tied",
     TENSOR_DTYPE_BF16,
     {.hidden_size = 20,
      .head_count = 4,
      .key_value_head_count = 1,
      .head_size = 24,
      .rotary_dimensions = 24,
      .intermediate_size = 33,
      .has_attention_bias = 1,
      .has_mlp_bias = 1,
      .is_tied = 1,
      .activation = SCORE_ACTIVATION_SILU}},
    {"a key for each, wider than its heads, frequencies as in Llama 3",
     TENSOR_DTYPE_F32,
     {.hidden_size = 96,
      .head_count = 4,
      .head_size = 8,
      .rotary_dimensions = 8,
      .rotary_scaling = {SCORE_ROTARY_LLAMA3, 8, 1, 4, 100, 0},
      .intermediate_size = 64,
      .has_attention_bias = 1,
      .activation = SCORE_ACTIVATION_SILU}},
    {"a single layer, keys that end within a tile, frequencies divided",
     TENSOR_DTYPE_F16,
     {.layer_count = 1,
      .hidden_size = 64,
      .head_count = 6,
      .key_value_head_count = 3,
      .head_size = 16,
      .rotary_dimensions = 16,
      .rotary_scaling = {.kind = SCORE_ROTARY_LINEAR, .factor = 4},
      .intermediate_size = 40,
      .activation = SCORE_ACTIVATION_GELU_TANH,
      .has_mlp_bias = 1}},
    {"layers that do not rotate",
     TENSOR_DTYPE_BF16,
     {.layer_count = 4,
      .hidden_size = 64,
      .head_count = 4,
      .key_value_head_count = 2,
      .rotary_dimensions = 16,
      .unrotated_layers = {1 << 1 | 1 << 3},
      .intermediate_size = 96,
      .activation = SCORE_ACTIVATION_GELU}},
    {"frequencies as in YaRN, but for two layers",
     TENSOR_DTYPE_BF16,
     {.layer_count = 4,
      .hidden_size = 32,
      .head_count = 2,
      .head_size = 16,
      .rotary_dimensions = 16,
      .rotary_scaling = {SCORE_ROTARY_YARN, 4, 1, 8, 200, 1.2},
      .unscaled_layers = {1 << 0 | 1 << 2},
      .intermediate_size = 48,
      .activation = SCORE_ACTIVATION_SILU}},
    {"windows of all layers but one",
     TENSOR_DTYPE_BF16,
     {.layer_count = 4,
      .hidden_size = 64,
      .head_count = 4,
      .key_value_head_count = 2,
      .rotary_dimensions = 16,
      .sliding_layers = {1 << 0 | 1 << 1 | 1 << 3},
      .window_tokens = 7,
      .intermediate_size = 96,
      .activation = SCORE_ACTIVATION_SILU}},
    {"windows of a single token",
     TENSOR_DTYPE_F16,
     {.hidden_size = 40,
      .head_count = 4,
      .key_value_head_count = 2,
      .head_size = 8,
      .rotary_dimensions = 8,
      .sliding_layers = {1},
      .window_tokens = 1,
      .intermediate_size = 48,
      .activation = SCORE_ACTIVATION_SILU}},
    {"queries, keys and values that are cut",
     TENSOR_DTYPE_F16,
     {.hidden_size = 40,
      .head_count = 4,
      .key_value_head_count = 2,
      .head_size = 12,
      .rotary_dimensions = 12,
      .qkv_limit = 0.25,
      .intermediate_size = 48,
      .has_attention_bias = 1,
      .activation = SCORE_ACTIVATION_SILU}},
    {"the smallest",
     TENSOR_DTYPE_F32,
     {.vocabulary_rows = 1,
      .hidden_size = 1,
      .head_count = 1,
      .head_size = 2,
      .rotary_dimensions = 2,
      .intermediate_size = 1,
      .activation = SCORE_ACTIVATION_RELU}},
};

/* By all engines. */
static void compare_model(const struct random_model *model, const char *what)
{
    const struct score_config *config = &model->config;
    struct random_documents documents;
    double logprobs[512], margins[512], worst = 0;
    /* The longest that the model takes, a single token, and all positions of one. */
    assert_int_equal(random_documents_init(&documents, 4, 70, (uint32_t)config->vocabulary_rows), 0);
    documents.length[2] = 40, documents.length[3] = 55;
    for (size_t i = 2; i < 4; i++)
        documents.target_first[i] = i == 2 ? 1 : documents.length[i] / 2;
    documents.target_count[2] = 39, documents.target_count[3] = 3;
    struct score_model_source source = source_of(model);
    reference(&source, &documents.request, logprobs, margins);
    for (enum gemm_engine engine = GEMM_ENGINE_BLAS; engine <= gemm_start(cpu_isa_best()); engine++) {
        use_engine(engine);
        worst = fmax(worst, error_of(model, &documents, (struct setting){2, 0}, logprobs, margins));
        assert_int_equal(unsetenv(GEMM_ENGINE_VARIABLE), 0);
    }
    print_message("%s, %s: largest error of a log-probability %.1e\n", config->architecture, what, worst);
    assert_true(worst < ERROR_MAX);
    random_documents_free(&documents);
}

/* A family's model of this variant. */
static void compare(const struct variant *variant, size_t family)
{
    const struct score_config config = with_family(&variant->config, family);
    struct random_model model;
    assert_int_equal(random_model_init(&model, &config), 0);
    if (variant->dtype != TENSOR_DTYPE_F16)
        change_dtype(&model, variant->dtype);
    compare_model(&model, variant->name);
    random_model_free(&model);
}

/* One that float32 takes for 0 is none that is not there. */
static void the_least_limit(void **state)
{
    (void)state;
    static const struct variant least = {"cut to nearly nothing",
                                         TENSOR_DTYPE_F32,
                                         {.hidden_size = 16,
                                          .head_count = 2,
                                          .head_size = 8,
                                          .rotary_dimensions = 8,
                                          .qkv_limit = 1e-60,
                                          .intermediate_size = 24,
                                          .activation = SCORE_ACTIVATION_SILU}};
    for (size_t family = 0; family < FAMILY_COUNT; family++)
        if (strcmp(families[family], "olmo") == 0 || strcmp(families[family], "olmoe") == 0)
            compare(&least, family);
}

/* One after the other, and all together with biases, which have that of what layers add, too. */
static void multipliers(void **state)
{
    (void)state;
    static const struct score_multipliers all[] = {{.embedding = 12},
                                                   {.attention = 0.3},
                                                   {.residual = 0.22},
                                                   {.logits = 1.0 / 9},
                                                   {3, 0.015625, 1.4, 0.5}};
    static const char *const names[] = {"embedding", "attention", "residual", "logits", "all"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        for (size_t family = 0; family < FAMILY_COUNT; family++) {
            if (strcmp(families[family], "llama") != 0 && strcmp(families[family], "granite") != 0 &&
                strcmp(families[family], "gemma") != 0 && strcmp(families[family], "crystalcoder") != 0)
                continue;
            const struct variant variant = {names[i],
                                            TENSOR_DTYPE_F16,
                                            {.hidden_size = 40,
                                             .head_count = 4,
                                             .key_value_head_count = 2,
                                             .head_size = 24,
                                             .rotary_dimensions = 24,
                                             .intermediate_size = 48,
                                             .has_attention_bias = i == 4,
                                             .has_mlp_bias = i == 4,
                                             .multipliers = all[i],
                                             .activation = SCORE_ACTIVATION_SILU}};
            compare(&variant, family);
        }
}

/* Rows of the unembedding that are zero, shorter than what they are divided by, about as long, and too long
 * for a float32 to hold the square. */
static void lengths_of_rows(void **state)
{
    (void)state;
    static const float scales[] = {0, 1e-30F, 1e-14F, 1e-12F, 1e-10F, 1e25F};
    struct score_config config = with_family(&variants[2].config, FAMILY_BAICHUAN);
    struct random_model model;
    assert_string_equal(config.architecture, "baichuan");
    assert_int_equal(random_model_init(&model, &config), 0);
    change_dtype(&model, TENSOR_DTYPE_F32);
    for (size_t i = 0; i < model.tensor_count; i++)
        for (size_t j = 0; j < sizeof scales / sizeof scales[0] * config.hidden_size; j++)
            if (strcmp(model.tensors[i].name, "lm_head.weight") == 0)
                ((float *)(uintptr_t)model.tensors[i].view.data)[j] *= scales[j / config.hidden_size];
    compare_model(&model, "lengths of rows");
    random_model_free(&model);
}

static void every_family_and_variant(void **state)
{
    (void)state;
    for (size_t family = 0; family < FAMILY_COUNT; family++)
        for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
            if (family != FAMILY_BAICHUAN || i < 3) /* its layers are Llama's */
                compare(&variants[i], family);
}

/* Worth streaming, and wide enough for the matrix units. */
static const struct score_config wide = {.vocabulary_rows = 6000,
                                         .max_positions = 200,
                                         .hidden_size = 64,
                                         .head_count = 4,
                                         .key_value_head_count = 2,
                                         .head_size = 24,
                                         .rotary_dimensions = 24,
                                         .intermediate_size = 96,
                                         .has_attention_bias = 1,
                                         .activation = SCORE_ACTIVATION_SILU};

/* Threads and streaming change no bit, whatever the tensors' dtypes are. */
static void nothing_else_matters(void **state)
{
    (void)state;
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        struct score_config config = with_family(&wide, family);
        struct random_model model;
        struct random_documents documents;
        struct score_result one, other;
        assert_int_equal(random_model_init(&model, &config), 0);
        assert_int_equal(random_documents_init(&documents, 12, 200, 6000), 0);
        if (family % 2 && !is_fused(&config) && !is_baichuan(&config) &&
            !strstr(config.architecture, "hf_")) { /* keys of another dtype than queries */
            struct random_model keys = {.tensors = model.tensors, .tensor_count = 0};
            while (!strstr(keys.tensors->name, "k_proj.weight"))
                keys.tensors++;
            keys.tensor_count = 1;
            change_dtype(&keys, TENSOR_DTYPE_BF16);
        }
        struct score_model_source source = source_of(&model);
        use_engine((enum gemm_engine)(GEMM_ENGINE_COUNT - 1)); /* the best that there is */
        score(&source, &documents.request, (struct setting){1, 0}, &one);
        score(&source, &documents.request, (struct setting){3, 0}, &other);
        assert_equal(&one, &other);
        score_result_free(&other);
        const uint64_t less = one.memory_bytes - 512 * KIB;
        score(&source, &documents.request, (struct setting){1, less}, &other);
        assert_true(other.memory_bytes <= less);
        assert_equal(&one, &other);
        score_result_free(&other);
        score_result_free(&one);
        random_documents_free(&documents);
        random_model_free(&model);
    }
}

/* Of which a text meets a few rows alone, or none. */
static int is_table(const char *name)
{
    return strstr(name, "embed_tokens") || strstr(name, "wte") || strstr(name, "wpe") ||
           strstr(name, "word_embeddings.weight") || strstr(name, "tok_embeddings") ||
           strstr(name, ".embedding_proj") || strstr(name, ".experts.");
}

static void not_a_number(void **state)
{
    (void)state;
    use_engine((enum gemm_engine)(GEMM_ENGINE_COUNT - 1));
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        struct score_config config = with_family(&variants[1].config, family);
        struct random_model model;
        struct random_documents documents;
        struct score_result result;
        config.is_tied = 0;
        config.max_positions = 200;
        assert_int_equal(random_model_init(&model, &config), 0);
        assert_int_equal(random_documents_init(&documents, 3, 70, 90), 0);
        struct score_model_source source = source_of(&model);
        for (size_t i = 0; i < model.tensor_count; i++) {
            uint16_t *data = (uint16_t *)(uintptr_t)model.tensors[i].view.data, kept = data[0];
            data[0] = 0x7e00;
            score(&source, &documents.request, (struct setting){1, 0}, &result);
            for (size_t j = 0; j < result.target_total && !is_table(model.tensors[i].name); j++)
                if (!isnan(result.logprobs[j]) || result.is_argmax[j])
                    fail_msg("%s, NaN in %s: %g", families[family], model.tensors[i].name,
                             result.logprobs[j]);
            score_result_free(&result);
            data[0] = kept;
        }
        random_documents_free(&documents);
        random_model_free(&model);
    }
}

/* What a model takes is counted with the widths of its heads and of its gate, and refused with numbers. */
static void too_large(void **state)
{
    (void)state;
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        struct score_config config = with_family(&wide, family);
        struct err err = ERR_INIT;
        struct random_model model;
        struct random_documents documents;
        struct score_result result;
        assert_int_equal(random_model_init(&model, &config), 0);
        assert_int_equal(random_documents_init(&documents, 2, 20, 6000), 0);
        struct score_model_source source = source_of(&model);
        assert_int_equal(
            try_score(&source, &documents.request, (struct setting){1, 100 * KIB}, &result, &err),
            ERR_NO_MEMORY);
        assert_non_null(strstr(err.message, "more than the budget of 0.1 MiB"));
        random_documents_free(&documents);
        random_model_free(&model);
    }
}

/* A context of which a whole document would not fit: shorter ones are scored, a longer one is refused. */
static void long_context(void **state)
{
    (void)state;
    struct score_config config = with_family(&wide, 0);
    struct err err = ERR_INIT;
    struct random_model model;
    struct random_documents documents, longer;
    struct score_result want, got;
    assert_int_equal(random_model_init(&model, &config), 0);
    assert_int_equal(random_documents_init(&documents, 3, 200, 6000), 0);
    assert_int_equal(random_documents_init(&longer, 2, 50000, 6000), 0);
    struct score_model_source source = source_of(&model);
    use_engine((enum gemm_engine)(GEMM_ENGINE_COUNT - 1));
    score(&source, &documents.request, (struct setting){1, 0}, &want);
    source.config.max_positions = LIMIT_SCORE_POSITIONS;
    score(&source, &documents.request, (struct setting){1, 24 * MIB}, &got);
    assert_true(got.memory_bytes <= 24 * MIB);
    assert_equal(&want, &got);
    score_result_free(&got);
    assert_int_equal(try_score(&source, &longer.request, (struct setting){1, 24 * MIB}, &got, &err),
                     ERR_NO_MEMORY);
    assert_non_null(strstr(err.message, "scoring needs"));
    assert_int_equal(try_score(&source, &documents.request, (struct setting){1, 4 * MIB}, &got, &err),
                     ERR_NO_MEMORY);
    assert_non_null(strstr(err.message, "one document of 4096 tokens"));
    score_result_free(&want);
    random_documents_free(&documents);
    random_documents_free(&longer);
    random_model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multipliers),     cmocka_unit_test(every_family_and_variant),
        cmocka_unit_test(the_least_limit), cmocka_unit_test(nothing_else_matters),
        cmocka_unit_test(not_a_number),    cmocka_unit_test(too_large),
        cmocka_unit_test(long_context),    cmocka_unit_test(lengths_of_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
