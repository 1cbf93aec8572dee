/* Names and shapes of a model's tensors; what is refused, and with which words. */
#include "gpu/score_alibi.h"
#include "tests/tools/random_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_refused(struct score_config config, int code, const char *words)
{
    struct err err = ERR_INIT;
    assert_int_equal(score_config_check(&config, &err), code);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static struct score_config config_of(const char *size)
{
    struct score_config config;
    assert_int_equal(random_model_config(size, &config), 0);
    return config;
}

static void names(void **state)
{
    (void)state;
    struct score_config config = config_of("14m");
    char name[SCORE_NAME_BYTES];
    score_tensor_name(&config, SCORE_ROLE_QKV_BIAS, 11, name);
    assert_string_equal(name, "gpt_neox.layers.11.attention.query_key_value.bias");
    config.has_attention_bias = 0;
    score_tensor_name(&config, SCORE_ROLE_QKV_BIAS, 11, name);
    assert_string_equal(name, "");
    score_tensor_name(&config, SCORE_ROLE_UNEMBEDDING, 0, name);
    assert_string_equal(name, "embed_out.weight");
    config.is_tied = 1;
    score_tensor_name(&config, SCORE_ROLE_UNEMBEDDING, 0, name);
    assert_string_equal(name, "");
}

/* A small model of a family, its heads grouped and of a size of their own where it may have that. */
static struct score_config family_of(const char *architecture)
{
    struct score_config config = {.vocabulary_rows = 12,
                                  .hidden_size = 6,
                                  .layer_count = 2,
                                  .head_count = 4,
                                  .key_value_head_count = 2,
                                  .head_size = 8,
                                  .intermediate_size = 10,
                                  .max_positions = 8,
                                  .rotary_dimensions = 8,
                                  .rotary_base = 10000,
                                  .activation = SCORE_ACTIVATION_SILU};
    (void)snprintf(config.architecture, sizeof config.architecture, "%s", architecture);
    return config;
}

static void families(void **state)
{
    (void)state;
    static const struct {
        const char *architecture;
        int has_attention_bias, has_mlp_bias; /* as config.json says */
        size_t tensors;                       /* of a layer */
        const char *name;
        int is_there;
    } rows[] = {
        {"llama", 0, 0, 9, "model.layers.1.input_layernorm.weight", 1},
        {"llama", 1, 0, 13, "model.layers.1.self_attn.o_proj.bias", 1},
        {"llama", 0, 1, 12, "model.layers.1.mlp.gate_proj.bias", 1},
        {"llama", 1, 1, 16, "model.layers.1.self_attn.q_norm.weight", 0},
        {"mistral", 1, 1, 9, "model.layers.1.self_attn.q_proj.bias", 0},
        {"qwen2", 0, 0, 12, "model.layers.1.self_attn.v_proj.bias", 1},
        {"qwen2", 1, 1, 12, "model.layers.1.self_attn.o_proj.bias", 0},
        {"qwen3", 0, 1, 11, "model.layers.1.self_attn.q_norm.weight", 1},
        {"qwen3", 1, 0, 15, "model.layers.1.self_attn.o_proj.bias", 1},
        {"smollm3", 1, 0, 13, "model.layers.1.self_attn.k_proj.bias", 1},
        {"olmo", 0, 1, 7, "model.layers.1.input_layernorm.weight", 0},
        {"olmo", 1, 0, 11, "model.layers.1.self_attn.o_proj.bias", 1},
        {"olmo2", 0, 0, 11, "model.layers.1.post_feedforward_layernorm.weight", 1},
        {"olmo3", 0, 0, 11, "model.layers.1.self_attn.k_norm.weight", 1},
        {"olmo2", 1, 1, 15, "model.layers.1.input_layernorm.weight", 0},
        {"apertus", 0, 1, 14, "model.layers.1.mlp.act_fn.eps", 1},
        {"apertus", 1, 0, 18, "model.layers.1.mlp.gate_proj.weight", 0},
        {"hf_olmo", 0, 0, 8, "model.transformer.blocks.1.ff_norm.bias", 1},
        {"hf_olmo_rms", 1, 1, 12, "model.transformer.blocks.1.att_proj.bias", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err = ERR_INIT;
        struct random_model model;
        struct score_weights found;
        struct score_config config = family_of(rows[i].architecture);
        config.has_attention_bias = rows[i].has_attention_bias;
        config.has_mlp_bias = rows[i].has_mlp_bias;
        if (strcmp(rows[i].architecture, "apertus") == 0)
            config.activation = SCORE_ACTIVATION_XIELU;
        assert_int_equal(random_model_init(&model, &config), 0);
        assert_int_equal(model.tensor_count, (strcmp(rows[i].architecture, "olmo") == 0          ? 2
                                              : strncmp(rows[i].architecture, "hf_olmo", 7) == 0 ? 4
                                                                                                 : 3) +
                                                 2 * rows[i].tensors);
        int is_there = 0;
        for (size_t j = 0; j < model.tensor_count; j++) {
            is_there = is_there || strcmp(model.tensors[j].name, rows[i].name) == 0;
            if (strstr(model.tensors[j].name, "layers.1.") || strstr(model.tensors[j].name, "blocks.1."))
                assert_int_equal(score_name_layers(&config, model.tensors[j].name), 2);
        }
        assert_int_equal(is_there, rows[i].is_there);
        struct score_model_source source = {
            .config = config, .tensors = model.tensors, .tensor_count = model.tensor_count};
        assert_int_equal(score_weights_find(&source, &found, &err), 0);
        assert_int_equal(found.layers[1][SCORE_ROLE_QUERY_WEIGHT].shape.dim[0], 32);
        assert_int_equal(found.layers[1][SCORE_ROLE_VALUE_WEIGHT].shape.dim[0], 16);
        const struct tensor_view *key_norm = &found.layers[1][SCORE_ROLE_KEY_NORM_WEIGHT];
        if (key_norm->data)
            assert_int_equal(key_norm->shape.dim[0], strncmp(rows[i].architecture, "olmo", 4) == 0 ? 16 : 8);
        const struct tensor_view *beta = &found.layers[1][SCORE_ROLE_XIELU_BETA];
        assert_true(!beta->data || (beta->shape.ndim == 0 && beta->shape.dim[0] == 1));
        assert_int_equal(found.layers[1][SCORE_ROLE_ATTENTION_OUT_WEIGHT].shape.dim[0], 6);
        assert_int_equal(found.layers[1][SCORE_ROLE_ATTENTION_OUT_WEIGHT].shape.dim[1], 32);
        score_weights_free(&found);
        random_model_free(&model);
    }
}

/* Queries, keys and values, up and gate of one tensor: views one behind the other, in the order of ai2-olmo.
 */
static void split_tensors(void **state)
{
    (void)state;
    static const struct {
        enum score_role role;
        uint64_t rows, columns, before; /* in its tensor; columns 0: of a bias */
        const char *whole;
    } parts[] = {
        {SCORE_ROLE_QUERY_WEIGHT, 32, 6, 0, "model.transformer.blocks.1.att_proj.weight"},
        {SCORE_ROLE_KEY_WEIGHT, 16, 6, 32, "model.transformer.blocks.1.att_proj.weight"},
        {SCORE_ROLE_VALUE_WEIGHT, 16, 6, 48, "model.transformer.blocks.1.att_proj.weight"},
        {SCORE_ROLE_VALUE_BIAS, 16, 0, 48, "model.transformer.blocks.1.att_proj.bias"},
        {SCORE_ROLE_MLP_UP_WEIGHT, 10, 6, 0, "model.transformer.blocks.1.ff_proj.weight"},
        {SCORE_ROLE_MLP_GATE_WEIGHT, 10, 6, 10, "model.transformer.blocks.1.ff_proj.weight"},
        {SCORE_ROLE_MLP_GATE_BIAS, 10, 0, 10, "model.transformer.blocks.1.ff_proj.bias"},
    };
    struct err err = ERR_INIT;
    struct random_model model;
    struct score_weights found;
    struct score_config config = family_of("hf_olmo_rms");
    config.has_attention_bias = config.has_mlp_bias = 1;
    assert_int_equal(random_model_init(&model, &config), 0);
    struct score_model_source source = {
        .config = config, .tensors = model.tensors, .tensor_count = model.tensor_count};
    assert_int_equal(score_weights_find(&source, &found, &err), 0);
    assert_null(found.layers[1][SCORE_ROLE_QKV_WEIGHT].data);
    assert_null(found.layers[1][SCORE_ROLE_MLP_UP_GATE_BIAS].data);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const struct tensor_view *view = &found.layers[1][parts[i].role];
        size_t j = 0;
        while (strcmp(model.tensors[j].name, parts[i].whole) != 0)
            j++;
        const unsigned char *whole = model.tensors[j].view.data;
        const uint64_t row_bytes = 2 * (parts[i].columns ? parts[i].columns : 1);
        assert_int_equal(view->shape.ndim, parts[i].columns ? 2 : 1);
        assert_int_equal(view->shape.dim[0], parts[i].rows);
        assert_int_equal(view->shape.dim[1], parts[i].columns);
        assert_ptr_equal(view->data, whole + parts[i].before * row_bytes);
    }
    score_weights_free(&found);
    random_model_free(&model);
}

/* GPT-2's matrices have a row for each input, and names with a prefix that files may leave out. */
static void gpt2(void **state)
{
    (void)state;
    struct score_config config = {.architecture = "gpt2",
                                  .vocabulary_rows = 12,
                                  .hidden_size = 6,
                                  .layer_count = 2,
                                  .head_count = 3,
                                  .intermediate_size = 10,
                                  .max_positions = 8,
                                  .position_rows = 9,
                                  .is_tied = 1};
    static const struct {
        enum score_role role;
        uint64_t rows, columns; /* 0: a vector */
    } shapes[] = {
        {SCORE_ROLE_EMBEDDING, 12, 6},       {SCORE_ROLE_POSITIONS, 9, 6},
        {SCORE_ROLE_UNEMBEDDING, 12, 6},     {SCORE_ROLE_QKV_WEIGHT, 6, 18},
        {SCORE_ROLE_QKV_BIAS, 18, 0},        {SCORE_ROLE_ATTENTION_OUT_WEIGHT, 6, 6},
        {SCORE_ROLE_MLP_UP_WEIGHT, 6, 10},   {SCORE_ROLE_MLP_UP_BIAS, 10, 0},
        {SCORE_ROLE_MLP_DOWN_WEIGHT, 10, 6}, {SCORE_ROLE_MLP_DOWN_BIAS, 6, 0},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct tensor_shape shape;
        score_tensor_shape(&config, shapes[i].role, &shape);
        assert_int_equal(shape.ndim, shapes[i].columns ? 2 : 1);
        assert_int_equal(shape.dim[0], shapes[i].rows);
        if (shapes[i].columns)
            assert_int_equal(shape.dim[1], shapes[i].columns);
    }
    struct random_model model;
    assert_int_equal(random_model_init(&model, &config), 0);
    assert_int_equal(model.tensor_count, 4 + 2 * 12);
    random_model_free(&model);
    assert_int_equal(score_name_layers(&config, "transformer.h.4.attn.masked_bias"), 5);
    assert_int_equal(score_name_layers(&config, "h.4.attn.masked_bias"), 5);
    assert_int_equal(score_name_layers(&config, "other.h.4.attn.masked_bias"), 0);
    assert_int_equal(score_name_layers(&config, "transformer.transformer.h.4.x"), 0);
    config.position_rows = 7;
    assert_refused(config, ERR_INVALID, "7 positions are learned, fewer than the context of 8");
    config.position_rows = 0;
    assert_refused(config, ERR_INVALID, "number of learned positions must be at least 1");
}

/* What the scores of attention are multiplied with. */
static void attention_scale(void **state)
{
    (void)state;
    struct score_config config = config_of("14m"); /* heads of 32 */
    const double root = 1 / sqrt(32.0);
    assert_true(fabs(score_attention_scale(&config, 3) - root) < 1e-15);
    config.has_attention_scale_by_layer = 1;
    assert_true(fabs(score_attention_scale(&config, 3) - root / 4) < 1e-15);
    config.has_unscaled_attention = 1;
    assert_true(fabs(score_attention_scale(&config, 3) - 0.25) < 1e-15);
    config.has_attention_scale_by_layer = 0;
    assert_true(fabs(score_attention_scale(&config, 3) - 1) < 1e-15);
}

/* Of 8 heads 1/2 to 1/256; of 12 those, and four from between them. */
static void alibi_slopes(void **state)
{
    (void)state;
    static const double exponents[] = {1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5};
    for (uint64_t head = 0; head < 12; head++) {
        const double want = exp2(-exponents[head]);
        if (head < 8)
            assert_true(fabs((double)score_alibi_slope(head, 8) - want) < 1e-6 * want);
        assert_true(fabs((double)score_alibi_slope(head, 12) - want) < 1e-6 * want);
    }
    assert_true(fabs((double)score_alibi_slope(0, 1) - exp2(-8)) < 1e-9);
    assert_true(fabs((double)score_alibi_slope(2, 3) - exp2(-2)) < 1e-6);
    assert_true(fabs((double)score_alibi_slope(1, 2) - exp2(-8)) < 1e-9);
}

static void layers_of_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t layers;
    } known[] = {
        {"gpt_neox.layers.0.input_layernorm.weight", 1},
        {"gpt_neox.layers.5.attention.rotary_emb.inv_freq", 6},
        {"gpt_neox.layers.11.attention.masked_bias", 12},
        {"gpt_neox.layers.99999999999999999999.mlp.dense_h_to_4h.bias", UINT64_MAX},
        {"gpt_neox.layers.18446744073709551615.x", UINT64_MAX},
        {"gpt_neox.layers.7", 0},
        {"gpt_neox.layers.7x.mlp", 0},
        {"gpt_neox.layers.-1.mlp", 0},
        {"gpt_neox.layers. 7.mlp", 0},
        {"gpt_neox.layers.", 0},
        {"gpt_neox.embed_in.weight", 0},
        {"embed_out.weight", 0},
        {"model.layers.40.mlp.up_proj.weight", 0},
        {"other.gpt_neox.layers.40.mlp", 0},
        {"", 0},
    };
    struct score_config config = config_of("14m");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_int_equal(score_name_layers(&config, known[i].name), known[i].layers);
    (void)snprintf(config.architecture, sizeof config.architecture, "opt");
    assert_int_equal(score_name_layers(&config, known[0].name), 0);
}

/* Experts are numbered within their layers. */
static void experts(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct random_model model;
    struct score_weights found;
    struct score_config config = family_of("olmoe");
    char name[SCORE_NAME_BYTES];
    config.expert_count = 5, config.experts_per_input = 2;
    assert_int_equal(score_role_count(&config, SCORE_ROLE_EMBEDDING), 1);
    assert_int_equal(score_role_count(&config, SCORE_ROLE_ROUTER_WEIGHT), 2);
    assert_int_equal(score_role_count(&config, SCORE_ROLE_EXPERT_UP_WEIGHT), 10);
    score_tensor_name(&config, SCORE_ROLE_EXPERT_DOWN_WEIGHT, 8, name);
    assert_string_equal(name, "model.layers.1.mlp.experts.3.down_proj.weight");
    assert_int_equal(score_name_layers(&config, name), 2);
    assert_int_equal(random_model_init(&model, &config), 0);
    assert_int_equal(model.tensor_count, 3 + 2 * (8 + 1 + 3 * 5));
    struct score_model_source source = {
        .config = config, .tensors = model.tensors, .tensor_count = model.tensor_count};
    assert_int_equal(score_weights_find(&source, &found, &err), 0);
    const struct tensor_view *down =
        &found.experts[8][SCORE_ROLE_EXPERT_DOWN_WEIGHT - SCORE_ROLE_EXPERT_FIRST];
    size_t at = 0;
    while (strcmp(model.tensors[at].name, name) != 0)
        at++;
    assert_ptr_equal(down->data, model.tensors[at].view.data);
    assert_int_equal(down->shape.dim[0], 6);
    assert_int_equal(down->shape.dim[1], 10);
    assert_int_equal(found.layers[1][SCORE_ROLE_ROUTER_WEIGHT].shape.dim[0], 5);
    assert_null(found.layers[1][SCORE_ROLE_MLP_UP_WEIGHT].data);
    score_weights_free(&found);
    /* A router of more experts than config.json says. */
    source.config.expert_count = 4;
    assert_int_equal(score_weights_find(&source, &found, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "mlp.gate.weight has the shape [5, 6], config.json asks for [4, 6]"));
    random_model_free(&model);
}

static void configs(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    const struct score_config good = config_of("160m");
    assert_int_equal(score_config_check(&good, &err), 0);
    struct score_config bad = good;
    (void)snprintf(bad.architecture, sizeof bad.architecture, "opt");
    assert_refused(bad, ERR_UNSUPPORTED, "models of type \"opt\" cannot be scored, only gpt_neox");
    (void)snprintf(bad.architecture, sizeof bad.architecture, "baichuan");
    bad.is_tied = 1;
    assert_refused(bad, ERR_UNSUPPORTED, "of type baichuan the unembedding, whose rows get length 1, is not");
    bad = good;
    bad.head_count = 7;
    assert_refused(bad, ERR_INVALID, "7 heads do not divide the hidden size 768");
    bad = good;
    bad.layer_count = 0;
    assert_refused(bad, ERR_INVALID, "number of layers must be at least 1");
    bad = good;
    bad.hidden_size = 1ULL << 40;
    assert_refused(bad, ERR_LIMIT, "hidden size");
    bad = good;
    bad.rotary_dimensions = 15;
    assert_refused(bad, ERR_UNSUPPORTED, "15 rotated dimensions");
    bad.rotary_dimensions = 66;
    assert_refused(bad, ERR_UNSUPPORTED, "at most the 64 of a head");
    bad = good;
    bad.rotary_base = (double)NAN;
    assert_refused(bad, ERR_INVALID, "base of the rotary embedding");
    bad = good;
    bad.norm_epsilon = -1;
    assert_refused(bad, ERR_INVALID, "epsilon");
    bad = good;
    bad.qkv_limit = (double)NAN;
    assert_refused(bad, ERR_INVALID, "limit of queries, keys and values");
    bad = good;
    bad.activation = SCORE_ACTIVATION_COUNT;
    assert_refused(bad, ERR_UNSUPPORTED, "activation");
    bad.activation = SCORE_ACTIVATION_XIELU;
    assert_refused(bad, ERR_UNSUPPORTED, "of type gpt_neox the activation cannot be xIELU");
    bad = family_of("apertus");
    assert_refused(bad, ERR_UNSUPPORTED, "of type apertus the activation can only be xIELU");
}

static void heads(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    const struct score_config good = family_of("llama");
    assert_int_equal(score_config_check(&good, &err), 0);
    struct score_config bad = good;
    bad.key_value_head_count = 3;
    assert_refused(bad, ERR_INVALID, "3 heads of keys and values do not divide the 4 of queries");
    bad.key_value_head_count = 8;
    assert_refused(bad, ERR_INVALID, "8 heads of keys and values do not divide");
    bad.key_value_head_count = UINT64_MAX;
    assert_refused(bad, ERR_INVALID, "do not divide");
    bad = good;
    bad.head_size = 0;
    assert_refused(bad, ERR_INVALID, "4 heads do not divide the hidden size 6");
    bad.head_size = 7;
    assert_refused(bad, ERR_UNSUPPORTED, "at most the 7 of a head");
    bad.rotary_dimensions = 7;
    assert_refused(bad, ERR_UNSUPPORTED, "must be even");
    bad = good;
    bad.head_size = UINT64_MAX / 2;
    assert_refused(bad, ERR_LIMIT, "size of a head");
    bad.head_size = LIMIT_SCORE_WIDTH / 2;
    assert_refused(bad, ERR_LIMIT, "size of all heads is 2097152");
    bad = good;
    (void)snprintf(bad.architecture, sizeof bad.architecture, "gpt_neox");
    assert_refused(bad, ERR_UNSUPPORTED, "must make up the hidden size 6");
    bad.head_count = 3, bad.key_value_head_count = 1, bad.head_size = 2, bad.rotary_dimensions = 2;
    assert_refused(bad, ERR_UNSUPPORTED, "1 of them with keys of their own");
    bad.key_value_head_count = 3;
    assert_int_equal(score_config_check(&bad, &err), 0);
    bad = good;
    bad.expert_count = 4, bad.experts_per_input = 2;
    assert_refused(bad, ERR_UNSUPPORTED, "models of type llama have no experts");
    bad = family_of("olmoe");
    assert_refused(bad, ERR_INVALID, "number of experts must be at least 1");
    bad.expert_count = 4;
    assert_refused(bad, ERR_INVALID, "number of experts of an input must be at least 1");
    bad.experts_per_input = 5;
    assert_refused(bad, ERR_LIMIT, "number of experts of an input is 5, more than 4");
    bad.experts_per_input = 4;
    assert_int_equal(score_config_check(&bad, &err), 0);
    bad.expert_count = UINT64_MAX;
    assert_refused(bad, ERR_LIMIT, "number of experts");
    bad.expert_count = LIMIT_SCORE_EXPERTS, bad.layer_count = LIMIT_SCORE_LAYERS;
    assert_refused(bad, ERR_LIMIT, "4096 layers of 4096 experts have more tensors than 100000");
    bad = family_of("olmo2");
    bad.has_parallel_residual = 1;
    assert_refused(bad, ERR_UNSUPPORTED, "olmo2 have no parallel residual");
}

static void rotary_scaling(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct score_config config = family_of("smollm3");
    const struct score_rotary_scaling good = {SCORE_ROTARY_LLAMA3, 32, 1, 4, 8192, 0};
    config.rotary_scaling = good;
    assert_int_equal(score_config_check(&config, &err), 0);
    config.rotary_scaling.factor = 0;
    assert_refused(config, ERR_INVALID, "factor of the rotary embedding must be positive, not 0");
    config.rotary_scaling.kind = SCORE_ROTARY_LINEAR;
    assert_refused(config, ERR_INVALID, "must be positive");
    config.rotary_scaling = good;
    config.rotary_scaling.high_frequency_factor = 1;
    assert_refused(config, ERR_INVALID, "the low one the smaller");
    config.rotary_scaling.high_frequency_factor = (double)NAN;
    assert_refused(config, ERR_INVALID, "the low one the smaller");
    config.rotary_scaling = good;
    config.rotary_scaling.original_positions = 0;
    assert_refused(config, ERR_INVALID, "original positions");
    config.rotary_scaling = good;
    config.rotary_scaling.kind = SCORE_ROTARY_YARN;
    assert_refused(config, ERR_INVALID, "attention factor and the base");
    config.rotary_scaling.attention_factor = 1.2;
    assert_int_equal(score_config_check(&config, &err), 0);
    config.rotary_base = 1;
    assert_refused(config, ERR_INVALID, "and the base above 1");
    config.rotary_base = 10000;
    config.rotary_scaling.kind = SCORE_ROTARY_COUNT;
    assert_refused(config, ERR_UNSUPPORTED, "unknown scaling");
    assert_true(score_layer_is_rotated(&config, LIMIT_SCORE_LAYERS - 1));
    score_layer_leave_unrotated(&config, 3);
    score_layer_leave_unrotated(&config, LIMIT_SCORE_LAYERS - 1);
    for (uint64_t i = 0; i < LIMIT_SCORE_LAYERS; i++)
        assert_int_equal(score_layer_is_rotated(&config, i), i != 3 && i != LIMIT_SCORE_LAYERS - 1);
}

static void weights(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct random_model model;
    struct score_weights found;
    struct score_config config = {.architecture = "gpt_neox",
                                  .vocabulary_rows = 12,
                                  .hidden_size = 4,
                                  .layer_count = 2,
                                  .head_count = 2,
                                  .intermediate_size = 6,
                                  .max_positions = 8,
                                  .rotary_base = 10000,
                                  .has_attention_bias = 1};
    assert_int_equal(random_model_init(&model, &config), 0);
    assert_int_equal(model.tensor_count, 4 + 2 * 12);
    struct score_model_source source = {
        .config = config, .tensors = model.tensors, .tensor_count = model.tensor_count};
    assert_int_equal(score_weights_find(&source, &found, &err), 0);
    assert_int_equal(found.layers[1][SCORE_ROLE_MLP_UP_WEIGHT].shape.dim[0], 6);
    score_weights_free(&found);

    struct score_tensor *last = &model.tensors[model.tensor_count - 1], kept = *last;
    source.tensor_count--;
    assert_int_equal(score_weights_find(&source, &found, &err), ERR_NOT_FOUND);
    assert_string_equal(err.message, "there is no tensor gpt_neox.layers.1.mlp.dense_4h_to_h.bias");
    source.tensor_count++;
    last->view.dtype = TENSOR_DTYPE_I64;
    assert_int_equal(score_weights_find(&source, &found, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "dense_4h_to_h.bias is int64"));
    *last = kept;
    last->view.shape.dim[0] = 5;
    assert_int_equal(score_weights_find(&source, &found, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "dense_4h_to_h.bias has the shape [5], config.json asks for [4]"));
    *last = kept;
    last->view.data = NULL;
    assert_int_equal(score_weights_find(&source, &found, &err), ERR_INVALID);
    *last = kept;
    source.config.is_tied = 1;
    assert_int_equal(score_weights_find(&source, &found, &err), 0);
    assert_ptr_equal(found.model[SCORE_ROLE_UNEMBEDDING].data, found.model[SCORE_ROLE_EMBEDDING].data);
    score_weights_free(&found);
    random_model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),           cmocka_unit_test(families),        cmocka_unit_test(gpt2),
        cmocka_unit_test(split_tensors),   cmocka_unit_test(attention_scale), cmocka_unit_test(alibi_slopes),
        cmocka_unit_test(layers_of_names), cmocka_unit_test(experts),         cmocka_unit_test(configs),
        cmocka_unit_test(heads),           cmocka_unit_test(rotary_scaling),  cmocka_unit_test(weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
