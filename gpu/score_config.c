#include "gpu/score_architecture.h"

#include <math.h>

static int check_size(const char *what, uint64_t value, uint64_t max, struct err *err)
{
    if (value == 0)
        return err_set(err, ERR_INVALID, "%s must be at least 1", what);
    if (value > max)
        return err_set(err, ERR_LIMIT, "%s is %llu, more than %llu", what, (unsigned long long)value,
                       (unsigned long long)max);
    return 0;
}

static int check_heads(const struct score_config *config, const struct score_architecture *architecture,
                       struct err *err)
{
    unsigned long long heads = config->head_count, shared = config->key_value_head_count;
    unsigned long long hidden = config->hidden_size;
    if (!config->head_size && hidden % heads)
        return err_set(err, ERR_INVALID, "%llu heads do not divide the hidden size %llu", heads, hidden);
    if (shared && (shared > heads || heads % shared))
        return err_set(err, ERR_INVALID, "%llu heads of keys and values do not divide the %llu of queries",
                       shared, heads);
    int code = check_size("size of a head", score_head_size(config), LIMIT_SCORE_WIDTH, err);
    if (code || (code = check_size("size of all heads", score_query_width(config), LIMIT_SCORE_WIDTH, err)))
        return code;
    if (architecture->qkv_order != SCORE_QKV_ORDER_APART &&
        (score_query_width(config) != hidden || score_key_value_width(config) != hidden))
        return err_set(err, ERR_UNSUPPORTED,
                       "%llu heads of %llu dimensions, %llu of them with keys of their own: in a model of "
                       "type %s they must make up the hidden size %llu",
                       heads, (unsigned long long)score_head_size(config),
                       (unsigned long long)score_key_value_heads(config), architecture->name, hidden);
    return 0;
}

static int is_positive(double number)
{
    return number > 0 && isfinite(number);
}

/* What each expert weighs. */
static int check_router(const struct score_config *config, const struct score_architecture *architecture,
                        struct err *err)
{
    const int is_sigmoid = config->router == SCORE_ROUTER_SIGMOID;
    if (is_sigmoid != (architecture->names[SCORE_ROLE_ROUTER_BIAS] != NULL))
        return err_set(err, ERR_UNSUPPORTED, "models of type %s have another router", architecture->name);
    if (!(config->router_scale >= 0 && isfinite((float)config->router_scale)) ||
        (config->router_scale > 0 && !is_sigmoid))
        return err_set(err, ERR_INVALID, "the weights of experts must not be multiplied with %g",
                       config->router_scale);
    return 0;
}

/* The MLPs beside the experts, or before them. */
static int check_beside(const struct score_config *config, const struct score_architecture *architecture,
                        struct err *err)
{
    const int has_beside = architecture->names[SCORE_ROLE_SHARED_UP_WEIGHT] != NULL;
    if (!has_beside)
        return config->dense_layer_count || config->dense_size || config->shared_size
                   ? err_set(err, ERR_UNSUPPORTED,
                             "models of type %s have experts in each layer, and no others",
                             architecture->name)
                   : 0;
    if (config->dense_layer_count >= config->layer_count)
        return err_set(err, ERR_INVALID, "%llu layers without experts of %llu",
                       (unsigned long long)config->dense_layer_count,
                       (unsigned long long)config->layer_count);
    int code = check_size("size of the shared experts", config->shared_size, LIMIT_SCORE_WIDTH, err);
    if (!code && config->dense_layer_count)
        code = check_size("size of layers without experts", config->dense_size, LIMIT_SCORE_WIDTH, err);
    return code;
}

/* A family has a router or it has not, and the sizes must say the same. */
static int check_experts(const struct score_config *config, const struct score_architecture *architecture,
                         struct err *err)
{
    const uint64_t experts = config->expert_count;
    if (!architecture->names[SCORE_ROLE_ROUTER_WEIGHT])
        return experts
                   ? err_set(err, ERR_UNSUPPORTED, "models of type %s have no experts", architecture->name)
                   : 0;
    int code = check_size("number of experts", experts, LIMIT_SCORE_EXPERTS, err);
    if (code || (code = check_size("number of experts of an input", config->experts_per_input, experts, err)))
        return code;
    if (config->layer_count * experts > LIMIT_TENSORS / SCORE_EXPERT_ROLES)
        return err_set(err, ERR_LIMIT, "%llu layers of %llu experts have more tensors than %d",
                       (unsigned long long)config->layer_count, (unsigned long long)experts, LIMIT_TENSORS);
    code = check_router(config, architecture, err);
    return code ? code : check_beside(config, architecture, err);
}

static int check_rotary_scaling(const struct score_rotary_scaling *scaling, double base, struct err *err)
{
    if ((unsigned)scaling->kind >= SCORE_ROTARY_COUNT)
        return err_set(err, ERR_UNSUPPORTED, "unknown scaling %d of the rotary embedding",
                       (int)scaling->kind);
    if (scaling->kind == SCORE_ROTARY_DEFAULT)
        return 0;
    if (!is_positive(scaling->factor))
        return err_set(err, ERR_INVALID, "the factor of the rotary embedding must be positive, not %g",
                       scaling->factor);
    if (scaling->kind == SCORE_ROTARY_LINEAR)
        return 0;
    if (!is_positive(scaling->low_frequency_factor) || !is_positive(scaling->high_frequency_factor) ||
        scaling->low_frequency_factor >= scaling->high_frequency_factor)
        return err_set(err, ERR_INVALID,
                       "the low and the high frequency factor of the rotary embedding, %g and %g, must be "
                       "positive, and the low one the smaller",
                       scaling->low_frequency_factor, scaling->high_frequency_factor);
    if (scaling->kind == SCORE_ROTARY_YARN && (!is_positive(scaling->attention_factor) || !(base > 1)))
        return err_set(
            err, ERR_INVALID,
            "the attention factor and the base of the rotary embedding, %g and %g, must be positive, "
            "and the base above 1",
            scaling->attention_factor, base);
    return check_size("number of original positions of the rotary embedding", scaling->original_positions,
                      LIMIT_SCORE_POSITIONS, err);
}

/* Layers that slide need a window, and no family has both that and slopes. */
static int check_windows(const struct score_config *config, const struct score_architecture *architecture,
                         struct err *err)
{
    for (uint64_t layer = 0; layer < config->layer_count; layer++) {
        if (!(config->sliding_layers[layer / 8] >> layer % 8 & 1))
            continue;
        if (architecture->has_alibi)
            return err_set(err, ERR_UNSUPPORTED, "models of type %s have no sliding windows",
                           architecture->name);
        if (!config->window_tokens)
            return err_set(err, ERR_INVALID, "the sliding window of layer %llu has no tokens",
                           (unsigned long long)layer);
    }
    return 0;
}

static int check_rotary(const struct score_config *config, struct err *err)
{
    if (config->rotary_dimensions % 2 || config->rotary_dimensions > score_head_size(config))
        return err_set(
            err, ERR_UNSUPPORTED, "%llu rotated dimensions: must be even and at most the %llu of a head",
            (unsigned long long)config->rotary_dimensions, (unsigned long long)score_head_size(config));
    if (config->rotary_dimensions && !is_positive(config->rotary_base))
        return err_set(err, ERR_INVALID, "the base of the rotary embedding must be positive, not %g",
                       config->rotary_base);
    if (!(config->unscaled_rotary_base >= 0 && isfinite(config->unscaled_rotary_base)))
        return err_set(err, ERR_INVALID, "the base of the rotary embedding must be positive, not %g",
                       config->unscaled_rotary_base);
    return check_rotary_scaling(&config->rotary_scaling, config->rotary_base, err);
}

static int check_multiplier(const char *what, double multiplier, struct err *err)
{
    /* As float32, which backends multiply with. */
    if (!(multiplier >= 0 && isfinite((float)multiplier)) || (multiplier > 0 && !((float)multiplier > 0)))
        return err_set(err, ERR_INVALID, "the multiplier of %s must not be %g", what, multiplier);
    return 0;
}

/* Those of the logits go into the final norm, and those of what is added into its sum. */
static int check_multipliers(const struct score_config *config, const struct score_architecture *architecture,
                             struct err *err)
{
    const struct score_multipliers *multipliers = &config->multipliers;
    int code;
    if ((code = check_multiplier("the embedding", multipliers->embedding, err)) ||
        (code = check_multiplier("the attention's scores", multipliers->attention, err)) ||
        (code = check_multiplier("what layers add", multipliers->residual, err)) ||
        (code = check_multiplier("the logits", multipliers->logits, err)))
        return code;
    if (multipliers->logits > 0 &&
        (config->lacks_norm_weight || !architecture->names[SCORE_ROLE_FINAL_NORM_WEIGHT]))
        return err_set(err, ERR_UNSUPPORTED, "logits with a multiplier need a final norm that has weights");
    if (multipliers->residual > 0 && (config->has_parallel_residual || config->expert_count ||
                                      architecture->norm_place == SCORE_NORM_AFTER))
        return err_set(err, ERR_UNSUPPORTED,
                       "what layers add has a multiplier only where attention and MLP follow each other, "
                       "without experts, and norms are before them");
    return 0;
}

int score_config_check(const struct score_config *config, struct err *err)
{
    const struct score_architecture *architecture;
    int code = score_architecture_find(config->architecture, &architecture, err);
    if (code || (code = check_size("vocabulary size", config->vocabulary_rows, LIMIT_VOCABULARY, err)) ||
        (code = check_size("hidden size", config->hidden_size, LIMIT_SCORE_WIDTH, err)) ||
        (code = check_size("number of layers", config->layer_count, LIMIT_SCORE_LAYERS, err)) ||
        (code = check_size("number of heads", config->head_count, LIMIT_SCORE_HEADS, err)) ||
        (code = check_size("intermediate size", config->intermediate_size, LIMIT_SCORE_WIDTH, err)) ||
        (code = check_size("number of positions", config->max_positions, LIMIT_SCORE_POSITIONS, err)) ||
        (architecture->names[SCORE_ROLE_POSITIONS] &&
         (code = check_size("number of learned positions", config->position_rows, LIMIT_SCORE_POSITIONS,
                            err))) ||
        (code = check_heads(config, architecture, err)) ||
        (code = check_experts(config, architecture, err)) || (code = check_rotary(config, err)) ||
        (code = check_windows(config, architecture, err)) ||
        (code = check_multipliers(config, architecture, err)))
        return code;
    if (architecture->names[SCORE_ROLE_POSITIONS] && config->position_rows < config->max_positions)
        return err_set(err, ERR_INVALID, "%llu positions are learned, fewer than the context of %llu",
                       (unsigned long long)config->position_rows, (unsigned long long)config->max_positions);
    if (architecture->has_unit_rows && config->is_tied)
        return err_set(err, ERR_UNSUPPORTED,
                       "in models of type %s the unembedding, whose rows get length 1, is not the input "
                       "embedding",
                       architecture->name);
    if (!(config->norm_epsilon >= 0 && isfinite(config->norm_epsilon)))
        return err_set(err, ERR_INVALID, "the epsilon of the layer norm must not be %g",
                       config->norm_epsilon);
    if (!(config->qkv_limit >= 0 && isfinite(config->qkv_limit)))
        return err_set(err, ERR_INVALID, "the limit of queries, keys and values must not be %g",
                       config->qkv_limit);
    if (architecture->names[SCORE_ROLE_HEAD_WEIGHT] &&
        (unsigned)config->head_activation >= SCORE_ACTIVATION_XIELU)
        return err_set(err, ERR_UNSUPPORTED, "unknown activation function %d of the head",
                       (int)config->head_activation);
    if ((unsigned)config->activation >= SCORE_ACTIVATION_COUNT)
        return err_set(err, ERR_UNSUPPORTED, "unknown activation function %d", (int)config->activation);
    if ((config->activation == SCORE_ACTIVATION_XIELU) !=
        (architecture->names[SCORE_ROLE_XIELU_BETA] != NULL))
        return err_set(err, ERR_UNSUPPORTED, "in models of type %s %s", architecture->name,
                       config->activation == SCORE_ACTIVATION_XIELU ? "the activation cannot be xIELU"
                                                                    : "the activation can only be xIELU");
    if (config->has_parallel_residual && architecture->norm_place == SCORE_NORM_AFTER)
        return err_set(err, ERR_UNSUPPORTED, "models of type %s have no parallel residual",
                       architecture->name);
    return 0;
}
