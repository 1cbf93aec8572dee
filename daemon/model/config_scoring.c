#include "daemon/model/config_scoring.h"

#include "daemon/base/checked.h"
#include "daemon/base/limits.h"
#include "daemon/model/family.h"
#include "daemon/model/masked.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static int is_gpt2(const struct model_config *config)
{
    return model_config_is(config, "gpt2");
}

static int is_crystal(const struct model_config *config)
{
    return model_config_is(config, "crystalcoder");
}

static int is_qwen3(const struct model_config *config)
{
    return model_config_is(config, "qwen3") || model_config_is(config, "qwen3_moe");
}

static int is_stablelm(const struct model_config *config)
{
    return model_config_is(config, "stablelm");
}

static int is_nemotron(const struct model_config *config)
{
    return model_config_is(config, "nemotron");
}

static int is_opensci(const struct model_config *config)
{
    return model_config_is(config, "opensci");
}

static int is_apertus(const struct model_config *config)
{
    return model_config_is(config, "apertus");
}

static int is_bloom(const struct model_config *config)
{
    return model_config_is(config, "bloom");
}

static int is_modernbert(const struct model_config *config)
{
    return model_config_is(config, "modernbert-decoder");
}

static int is_hf_olmo(const struct model_config *config)
{
    return model_config_is(config, "hf_olmo");
}

static int is_scored(const struct model_config *config)
{
    return model_config_is(config, "gpt_neox") || is_gpt2(config) || is_bloom(config) || is_crystal(config) ||
           is_modernbert(config) || is_hf_olmo(config) || family_find(config->model_type)->is_llama;
}

/* Of a Llama linear and llama3, too, and of OLMo 3 yarn. */
static int is_rotary_scored(const struct model_config *config)
{
    const char *type = config->rotary_type;
    return strcmp(type, "default") == 0 ||
           (family_find(config->model_type)->is_llama &&
            (strcmp(type, "linear") == 0 || strcmp(type, "llama3") == 0)) ||
           (strcmp(type, "yarn") == 0 && model_config_is(config, "olmo3"));
}

/* That is none of transformers, whose versions could differ. */
static int has_own_class(const struct model_config *config)
{
    return is_hf_olmo(config) || is_crystal(config) || is_opensci(config) ||
           model_config_is(config, "baichuan") || model_config_is(config, "pico_decoder") ||
           model_config_is(config, "kormo");
}

/* What a forward pass is written for. */
static int check_kind(const struct model_config *config, struct err *err)
{
    if (masked_model_is_discriminator(config))
        return err_set(
            err, ERR_UNSUPPORTED,
            "a model of class \"%s\" (model_type \"%s\") says of each token whether it was replaced, "
            "and predicts none, so it has no perplexity: leave the metric perplexity out of the sweep",
            config->architecture, config->model_type);
    if (masked_model_is(config))
        return err_set(
            err, ERR_UNSUPPORTED,
            "a model of class \"%s\" (model_type \"%s\") fills in masked tokens and says nothing "
            "of the next one, so it has no perplexity: leave the metric perplexity out of the sweep",
            config->architecture, config->model_type);
    if (!is_scored(config))
        return err_set(
            err, ERR_UNSUPPORTED,
            "scoring is implemented for models like GPT-NeoX, GPT-2, BLOOM, Llama, Mistral, Qwen2, Qwen3, "
            "Qwen3-MoE, dots.llm1, SmolLM3, Apertus, Granite, MiniCPM, Gemma, StableLM, Nemotron, "
            "open-sci-ref, KORMo, Baichuan 2, Crystal, Pico, OLMo, OLMo 2, OLMo 3, OLMoE and ModernBERT's "
            "decoders, not for model_type \"%s\": leave the metric perplexity out of the sweep",
            config->model_type);
    if (!is_rotary_scored(config))
        return err_set(err, ERR_UNSUPPORTED,
                       "scoring with rotary embeddings of type \"%s\" is not implemented: leave the metric "
                       "perplexity out of the sweep",
                       config->rotary_type);
    if (config->doubt[0] && has_own_class(config))
        return err_set(err, ERR_UNSUPPORTED,
                       "config.json: %s: for model_type \"%s\" scoring is not implemented with that; leave "
                       "the metric perplexity out of the sweep",
                       config->doubt, config->model_type);
    if (config->doubt[0])
        return err_set(err, ERR_UNSUPPORTED,
                       "%s, of which transformers makes another model, or none: mend it, or leave the metric "
                       "perplexity out of the sweep",
                       config->doubt);
    if (config->head_activation == MODEL_ACTIVATION_OTHER ||
        config->head_activation == MODEL_ACTIVATION_XIELU)
        return err_set(err, ERR_UNSUPPORTED,
                       "scoring with this \"classifier_activation\" is not implemented: leave the metric "
                       "perplexity out of the sweep");
    if (config->activation == MODEL_ACTIVATION_OTHER ||
        (config->activation == MODEL_ACTIVATION_XIELU) != is_apertus(config))
        return err_set(err, ERR_UNSUPPORTED,
                       "scoring with the activation \"%s\" is not implemented: leave the metric perplexity "
                       "out of the sweep",
                       config->activation_name);
    return 0;
}

static uint64_t head_size_of(const struct model_config *config)
{
    return config->head_size        ? config->head_size
           : config->head_count > 0 ? config->hidden_size / config->head_count
                                    : 0;
}

static int lacks_size(const struct model_config *config)
{
    return !config->vocab_size || !config->hidden_size || !config->layer_count || !config->head_count ||
           !config->key_value_head_count || !config->intermediate_size;
}

int model_config_check_scoring(const struct model_config *config, struct err *err)
{
    int code = check_kind(config, err);
    if (code)
        return code;
    if (lacks_size(config) || !config->max_positions)
        return err_set(err, ERR_FORMAT,
                       "config.json lacks a size that scoring needs (vocabulary, hidden, layers, heads, "
                       "intermediate, positions)");
    /* Qwen 3's class takes heads that do not divide the width. */
    if (config->vocab_size > LIMIT_VOCABULARY ||
        (config->hidden_size % config->head_count != 0 && !is_qwen3(config)) ||
        config->head_count % config->key_value_head_count != 0)
        return err_set(err, ERR_FORMAT,
                       "the sizes do not fit each other: vocabulary %" PRIu64 ", hidden %" PRIu64
                       ", heads %" PRIu64 ", of which with keys and values of their own %" PRIu64,
                       config->vocab_size, config->hidden_size, config->head_count,
                       config->key_value_head_count);
    uint64_t head_size = head_size_of(config);
    double rotated = floor((double)head_size * config->rotary_fraction);
    if (!(config->rotary_base > 0))
        return err_set(err, ERR_FORMAT, "the base of the rotary embeddings, %g, is not positive",
                       config->rotary_base);
    if (!(config->rotary_fraction >= 0 && config->rotary_fraction <= 1) ||
        (!config->rotary_dimensions && fmod(rotated, 2) != 0))
        return err_set(err, ERR_FORMAT,
                       "the rotated part of a head, %g of %" PRIu64 " dimensions, is not an even number",
                       config->rotary_fraction, head_size);
    if (!(config->norm_epsilon > 0))
        return err_set(err, ERR_FORMAT, "the epsilon of the norms is not positive");
    return 0;
}

/* Of a GPT-2, a BLOOM and a Crystal, too, which has a gate. */
static uint64_t neox_layer_parameters(const struct model_config *config)
{
    uint64_t d = config->hidden_size, inner = config->intermediate_size; /* below 2^24, so products fit */
    return 4 * d * d + 2 * d * inner + inner + 5 * d + (config->has_attention_bias ? 4 * d : 0) +
           (is_crystal(config) ? d * inner + inner : 0);
}

/* Of one norm of the residual stream, but for GPT-NeoX. */
static uint64_t norm_parameters(const struct model_config *config)
{
    const int has_bias = is_stablelm(config) || is_nemotron(config);
    return model_config_is(config, "olmo") ? 0 : (has_bias ? 2 : 1) * config->hidden_size;
}

/* Queries, keys, values and output, gate, up and down where there are no experts, and the norms; of Apertus
 * and Nemotron no gate, and of Apertus two numbers of its activation. */
static uint64_t llama_layer_parameters(const struct model_config *config)
{
    uint64_t d = config->hidden_size, inner = config->intermediate_size;
    uint64_t queries = config->head_count * head_size_of(config);
    uint64_t keys = config->key_value_head_count * head_size_of(config);
    uint64_t count = 2 * d * (queries + keys) + 2 * norm_parameters(config);
    const int has_gate = !is_apertus(config) && !is_nemotron(config);
    if (!config->expert_count)
        count += (has_gate ? 3 : 2) * d * inner;
    if (config->has_attention_bias)
        count += queries + 2 * keys + (model_config_is(config, "qwen2") || is_stablelm(config) ? 0 : d);
    if (config->has_mlp_bias)
        count += (has_gate ? 2 : 1) * inner + d;
    if (model_config_is(config, "olmo2") || model_config_is(config, "olmo3") ||
        model_config_is(config, "olmoe"))
        count += queries + keys;
    if (is_qwen3(config) || is_apertus(config) || is_opensci(config) || model_config_is(config, "dots1"))
        count += 2 * head_size_of(config);
    return count + (is_apertus(config) ? 2 : 0);
}

/* Of all layers' experts with their routers, of what stands beside them and in their place. */
static int expert_parameters(const struct model_config *config, uint64_t *ret_count)
{
    const uint64_t d = config->hidden_size, experts = config->expert_count; /* at most LIMIT_SCORE_EXPERTS */
    const uint64_t dense =
        config->dense_layer_count < config->layer_count ? config->dense_layer_count : config->layer_count;
    uint64_t first = 0, others = 0;
    return checked_mul_u64(dense, 3 * d * config->dense_size, &first) ||
           checked_mul_u64(config->layer_count - dense,
                           experts * (3 * d * config->intermediate_size + d) + 3 * d * config->shared_size,
                           &others) ||
           checked_add_u64(first, others, ret_count);
}

int model_config_parameter_count(const struct model_config *config, uint64_t *ret_count, struct err *err)
{
    const int is_llama = family_find(config->model_type)->is_llama;
    if (!is_scored(config) || is_hf_olmo(config) || is_modernbert(config) ||
        ((is_llama || is_gpt2(config) || is_bloom(config) || is_crystal(config)) &&
         (lacks_size(config) || !head_size_of(config) || config->doubt[0])))
        return err_set(err, ERR_UNSUPPORTED, "the parameters of model_type \"%s\" are not counted",
                       config->model_type);
    /* So that products fit. */
    if (is_llama && (config->head_count > MODEL_CONFIG_DIMENSION_MAX / head_size_of(config) ||
                     config->key_value_head_count > config->head_count))
        return err_set(err, ERR_LIMIT, "the heads are wider than a model's");
    uint64_t layer = is_llama ? llama_layer_parameters(config) : neox_layer_parameters(config), layers = 0;
    uint64_t d = config->hidden_size, experts = 0;
    uint64_t count =
        config->vocab_size * d * (config->is_tied ? 1 : 2) + (is_llama ? norm_parameters(config) : 2 * d);
    count += is_gpt2(config) ? config->max_positions * d : is_bloom(config) ? 2 * d : 0;
    if (checked_mul_u64(layer, config->layer_count, &layers) || checked_add_u64(count, layers, &count) ||
        (config->expert_count &&
         (expert_parameters(config, &experts) || checked_add_u64(count, experts, &count))))
        return err_set(err, ERR_LIMIT, "the number of parameters overflows");
    *ret_count = count;
    return 0;
}
