/* Names and shapes of a model's tensors, and how they are found. */
#include "tests/unit/score/configs.h"

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
        cmocka_unit_test(names),   cmocka_unit_test(families),        cmocka_unit_test(split_tensors),
        cmocka_unit_test(gpt2),    cmocka_unit_test(layers_of_names), cmocka_unit_test(experts),
        cmocka_unit_test(weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
