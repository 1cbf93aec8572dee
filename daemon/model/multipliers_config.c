#include "daemon/model/multipliers_config.h"

#include "daemon/model/config_doubt.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

double multiplier_config_of(const json_t *root, const char *name, char *doubt)
{
    const json_t *value = json_object_get(root, name);
    const double multiplier = json_number_value(value);
    if (!value)
        return 1;
    if (!(multiplier > 0))
        config_doubt_set(doubt, "\"%s\" is no positive number", name);
    return multiplier > 0 ? multiplier : 1;
}

double multiplier_config_not_zero(double multiplier)
{
    return fmax(multiplier, DBL_TRUE_MIN);
}

static void read_granite(const json_t *root, struct model_config *config)
{
    const json_t *scaling = json_object_get(root, "rope_scaling");
    config->embedding_multiplier = multiplier_config_of(root, "embedding_multiplier", config->doubt);
    config->attention_multiplier = multiplier_config_of(root, "attention_multiplier", config->doubt);
    config->residual_multiplier = multiplier_config_of(root, "residual_multiplier", config->doubt);
    config->logit_multiplier = 1 / multiplier_config_of(root, "logits_scaling", config->doubt);
    /* Of the older spelling version 4 makes nothing. */
    if (json_object_get(scaling, "type") && !json_object_get(scaling, "rope_type"))
        config_doubt_set(config->doubt, "\"rope_scaling\" has no \"rope_type\"");
}

/* By the names of muP: what layers add is divided by the root of their number, and logits by how much wider
 * the model is than the one whose learning rate it has. */
static void read_minicpm(const json_t *root, struct model_config *config)
{
    const json_t *experts = json_object_get(root, "num_experts");
    const double width = json_number_value(json_object_get(root, "hidden_size"));
    const double layers = json_number_value(json_object_get(root, "num_hidden_layers"));
    config->embedding_multiplier = multiplier_config_of(root, "scale_emb", config->doubt);
    config->residual_multiplier = multiplier_config_not_zero(
        multiplier_config_of(root, "scale_depth", config->doubt) / sqrt(layers > 0 ? layers : 1));
    config->logit_multiplier = multiplier_config_not_zero(
        multiplier_config_of(root, "dim_model_base", config->doubt) / (width > 0 ? width : 1));
    if (config_doubt_is_there(experts) && (!json_is_integer(experts) || json_integer_value(experts)))
        config_doubt_set(config->doubt, "\"num_experts\" is not 0");
    /* Of several parts of the unembedding the class does not divide the logits. */
    if (json_number_value(json_object_get(root, "pretraining_tp")) > 1)
        config_doubt_set(config->doubt, "\"pretraining_tp\" is more than 1");
    if (config_doubt_is_there(json_object_get(root, "sparse_config")))
        config_doubt_set(config->doubt, "\"sparse_config\" is there");
}

/* Version 4.57 takes "gelu" for what it says, 5 for the approximation by tanh that Gemma was trained with. */
static void read_gemma(const json_t *root, struct model_config *config)
{
    const double width = json_number_value(json_object_get(root, "hidden_size"));
    const char *activation = json_string_value(json_object_get(root, "hidden_act"));
    config->embedding_multiplier = width > 0 ? sqrt(width) : 0;
    if (activation && strcmp(activation, "gelu") == 0)
        config_doubt_set(config->doubt, "\"hidden_act\" is \"gelu\"");
    if (json_is_true(json_object_get(root, "use_bidirectional_attention")))
        config_doubt_set(config->doubt, "\"use_bidirectional_attention\" is true");
}

/* What MiniCPM's class passes over, and how it changes frequencies, is not known. */
static void doubt_later_keys(const json_t *root, char *doubt)
{
    static const char *const later[] = {"head_dim", "rope_scaling", "rope_parameters"};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        if (config_doubt_is_there(json_object_get(root, later[i])))
            config_doubt_set(doubt, "\"%s\" is there, which is not known of the class beside such models",
                             later[i]);
}

void multipliers_config_prepare(const json_t *root, const struct family *family, struct model_config *config)
{
    if (strcmp(family->model_type, "granite") == 0)
        read_granite(root, config);
    if (strcmp(family->model_type, "gemma") == 0)
        read_gemma(root, config);
    if (strcmp(family->model_type, "minicpm") == 0) {
        read_minicpm(root, config);
        doubt_later_keys(root, config->doubt);
    }
}
