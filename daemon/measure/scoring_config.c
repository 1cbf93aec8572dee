#include "daemon/measure/scoring_config.h"

#include "daemon/model/config_scoring.h"

#include <stdio.h>
#include <string.h>

static struct score_rotary_scaling rotary_scaling_of(const struct model_config *model)
{
    if (strcmp(model->rotary_type, "linear") == 0)
        return (struct score_rotary_scaling){.kind = SCORE_ROTARY_LINEAR, .factor = model->rotary_factor};
    if (strcmp(model->rotary_type, "llama3") == 0)
        return (struct score_rotary_scaling){.kind = SCORE_ROTARY_LLAMA3,
                                             .factor = model->rotary_factor,
                                             .low_frequency_factor = model->rotary_low_factor,
                                             .high_frequency_factor = model->rotary_high_factor,
                                             .original_positions = model->rotary_original_positions};
    if (strcmp(model->rotary_type, "yarn") == 0)
        return (struct score_rotary_scaling){.kind = SCORE_ROTARY_YARN,
                                             .factor = model->rotary_factor,
                                             .low_frequency_factor = model->rotary_low_factor,
                                             .high_frequency_factor = model->rotary_high_factor,
                                             .original_positions = model->rotary_original_positions,
                                             .attention_factor = model->rotary_attention_factor};
    return (struct score_rotary_scaling){.kind = SCORE_ROTARY_DEFAULT};
}

int scoring_config_of(const struct model_config *model, struct score_config *ret_config, struct err *err)
{
    struct score_config config = {
        .vocabulary_rows = model->vocab_size,
        .hidden_size = model->hidden_size,
        .layer_count = model->layer_count,
        .head_count = model->head_count,
        .key_value_head_count = model->key_value_head_count,
        .head_size = model->head_size,
        .intermediate_size = model->intermediate_size,
        .expert_count = model->expert_count,
        .experts_per_input = model->experts_per_input,
        .has_normalised_router = model->has_normalised_router,
        .router = model->has_sigmoid_router ? SCORE_ROUTER_SIGMOID : SCORE_ROUTER_SOFTMAX,
        .router_scale = model->router_scale,
        .dense_layer_count = model->dense_layer_count,
        .dense_size = model->dense_size,
        .shared_size = model->shared_size,
        .max_positions = model->max_positions,
        .position_rows = model->max_positions,
        .rotary_base = model->rotary_base,
        .rotary_scaling = rotary_scaling_of(model),
        .unscaled_rotary_base = model->unscaled_rotary_base,
        .has_head_bias = model->has_head_bias,
        .has_unembedding_bias = model->has_unembedding_bias,
        .norm_epsilon = model->norm_epsilon,
        .qkv_limit = model->qkv_limit,
        .window_tokens = model->sliding_window,
        .has_unscaled_attention = model->has_unscaled_attention,
        .has_attention_scale_by_layer = model->has_attention_scale_by_layer,
        .multipliers = {.embedding = model->embedding_multiplier,
                        .attention = model->attention_multiplier,
                        .residual = model->residual_multiplier,
                        .logits = model->logit_multiplier},
        .has_parallel_residual = model->has_parallel_residual,
        .has_attention_bias = model->has_attention_bias,
        .has_mlp_bias = model->has_mlp_bias,
        .lacks_norm_weight = model->lacks_norm_weight,
        .lacks_norm_bias = model->lacks_norm_bias,
        .is_tied = model->is_tied,
    };
    static const enum score_activation activations[] = {
        [MODEL_ACTIVATION_GELU] = SCORE_ACTIVATION_GELU,
        [MODEL_ACTIVATION_GELU_TANH] = SCORE_ACTIVATION_GELU_TANH,
        [MODEL_ACTIVATION_RELU] = SCORE_ACTIVATION_RELU,
        [MODEL_ACTIVATION_SILU] = SCORE_ACTIVATION_SILU,
        [MODEL_ACTIVATION_RELU_SQUARED] = SCORE_ACTIVATION_RELU_SQUARED,
        [MODEL_ACTIVATION_XIELU] = SCORE_ACTIVATION_XIELU,
    };
    int code = model_config_check_scoring(model, err);
    if (code)
        return code;
    if ((unsigned)model->activation >= sizeof activations / sizeof activations[0])
        return err_set(err, ERR_UNSUPPORTED, "unknown activation function %s", model->activation_name);
    (void)snprintf(config.architecture, sizeof config.architecture, "%s%s", model->model_type,
                   model->has_rms_norm ? "_rms" : "");
    config.activation = activations[model->activation];
    config.head_activation = activations[model->head_activation];
    /* int(head size * fraction), as transformers counts them */
    config.rotary_dimensions = model->rotary_dimensions
                                   ? model->rotary_dimensions
                                   : (uint64_t)((double)score_head_size(&config) * model->rotary_fraction);
    for (uint64_t layer = 0; layer < model->layer_count && layer < LIMIT_SCORE_LAYERS; layer++)
        if (model->unrotated_layers[layer / 8] >> layer % 8 & 1)
            score_layer_leave_unrotated(&config, layer);
    memcpy(config.sliding_layers, model->sliding_layers, sizeof config.sliding_layers);
    if (config.rotary_scaling.kind != SCORE_ROTARY_DEFAULT || config.unscaled_rotary_base > 0)
        memcpy(config.unscaled_layers, model->unscaled_layers, sizeof config.unscaled_layers);
    if ((code = score_config_check(&config, err)))
        return code;
    *ret_config = config;
    return 0;
}
