#include "gpu/score_architecture.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether the configuration leaves out a tensor that the family may have. */
static int is_left_out(const struct score_config *config, const struct score_architecture *architecture,
                       enum score_role role)
{
    switch (role) {
    case SCORE_ROLE_UNEMBEDDING:
        return config->is_tied;
    case SCORE_ROLE_FINAL_NORM_WEIGHT:
    case SCORE_ROLE_ATTENTION_NORM_WEIGHT:
    case SCORE_ROLE_MLP_NORM_WEIGHT:
        return config->lacks_norm_weight;
    case SCORE_ROLE_UNEMBEDDING_BIAS:
        return !config->has_unembedding_bias;
    case SCORE_ROLE_HEAD_BIAS:
        return !config->has_head_bias;
    case SCORE_ROLE_EMBEDDING_NORM_BIAS:
    case SCORE_ROLE_HEAD_NORM_BIAS:
    case SCORE_ROLE_FINAL_NORM_BIAS:
    case SCORE_ROLE_ATTENTION_NORM_BIAS:
    case SCORE_ROLE_MLP_NORM_BIAS:
        return config->lacks_norm_bias;
    case SCORE_ROLE_QKV_BIAS:
    case SCORE_ROLE_QUERY_BIAS:
    case SCORE_ROLE_KEY_BIAS:
    case SCORE_ROLE_VALUE_BIAS:
    case SCORE_ROLE_ATTENTION_OUT_BIAS:
        return !architecture->has_attention_bias && !config->has_attention_bias;
    case SCORE_ROLE_MLP_UP_GATE_BIAS:
    case SCORE_ROLE_MLP_GATE_BIAS:
    case SCORE_ROLE_MLP_UP_BIAS:
    case SCORE_ROLE_MLP_DOWN_BIAS:
        return !architecture->has_mlp_bias && !config->has_mlp_bias;
    default:
        return 0;
    }
}

/* Of the first layers, which have no experts, or of the others. */
static int is_of_other_layers(const struct score_config *config, enum score_role role, uint64_t layer)
{
    if (role >= SCORE_ROLE_ROUTER_WEIGHT)
        return !score_layer_has_experts(config, layer);
    return role >= SCORE_ROLE_MLP_UP_GATE_WEIGHT && role <= SCORE_ROLE_MLP_DOWN_BIAS &&
           score_layer_has_experts(config, layer);
}

uint64_t score_role_count(const struct score_config *config, enum score_role role)
{
    if (role < SCORE_ROLE_LAYER_FIRST)
        return 1;
    return config->layer_count * (role < SCORE_ROLE_EXPERT_FIRST ? 1 : config->expert_count);
}

uint64_t score_tensor_count_max(const struct score_config *config)
{
    uint64_t count = 0;
    for (int role = 0; role < SCORE_ROLE_COUNT; role++)
        count += score_role_count(config, (enum score_role)role);
    return count;
}

/* `text` with a number in the place of its first "%u", if it has one. */
static void put_number(char text[SCORE_NAME_BYTES], uint64_t number)
{
    char before[SCORE_NAME_BYTES];
    const char *place = strstr(text, "%u");
    if (!place)
        return;
    (void)snprintf(before, sizeof(before), "%s", text);
    (void)snprintf(text, SCORE_NAME_BYTES, "%.*s%llu%s", (int)(place - text), before,
                   (unsigned long long)number, before + (place - text) + 2);
}

void score_tensor_name(const struct score_config *config, enum score_role role, uint64_t number,
                       char name[SCORE_NAME_BYTES])
{
    const struct score_architecture *architecture;
    struct err err = ERR_INIT;
    name[0] = '\0';
    if (score_architecture_find(config->architecture, &architecture, &err))
        return;
    const char *template = architecture->names[role];
    const int is_bare = architecture->has_bare_first_layer && number == 0 &&
                        (role == SCORE_ROLE_ATTENTION_NORM_WEIGHT || role == SCORE_ROLE_ATTENTION_NORM_BIAS);
    const uint64_t experts = role < SCORE_ROLE_EXPERT_FIRST ? 1 : config->expert_count;
    if (!template || is_bare || is_left_out(config, architecture, role) ||
        (experts && is_of_other_layers(config, role, number / experts)))
        return;
    (void)snprintf(name, SCORE_NAME_BYTES, "%s", template);
    put_number(name, experts ? number / experts : 0);
    put_number(name, experts ? number % experts : 0);
}

/* `first` is the name of a tensor of layer 0. */
static uint64_t layers_of_name(const char *name, const char *first)
{
    char *end;
    size_t before = strcspn(first, "0");
    if (!first[before] || strncmp(name, first, before) != 0 || !isdigit((unsigned char)name[before]))
        return 0;
    unsigned long long layer = strtoull(name + before, &end, 10); /* ULLONG_MAX for more */
    return *end != '.' ? 0 : layer < UINT64_MAX ? layer + 1 : layer;
}

uint64_t score_name_layers(const struct score_config *config, const char *name)
{
    const struct score_architecture *architecture;
    struct err err = ERR_INIT;
    char first[SCORE_NAME_BYTES] = "";
    if (score_architecture_find(config->architecture, &architecture, &err))
        return 0;
    for (int role = SCORE_ROLE_LAYER_FIRST; role < SCORE_ROLE_COUNT && !first[0]; role++)
        score_tensor_name(config, (enum score_role)role, 0, first);
    uint64_t layers = layers_of_name(name, first);
    return layers || !architecture->prefix ? layers
                                           : layers_of_name(name, first + strlen(architecture->prefix));
}
