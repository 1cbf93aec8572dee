#include "daemon/model/baichuan_config.h"

#include "daemon/model/config_doubt.h"

#include <stddef.h>
#include <string.h>

/* Whoever wrote them into the file means a model that the class does not compute. */
static const char *const passed_over[] = {
    "head_dim",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
};

void baichuan_config_prepare(const json_t *root, const struct family *family, struct model_config *config)
{
    const char *class = json_string_value(json_array_get(json_object_get(root, "architectures"), 0));
    if (strcmp(family->model_type, "baichuan") != 0)
        return;
    for (size_t i = 0; i < sizeof passed_over / sizeof passed_over[0]; i++)
        if (config_doubt_is_there(json_object_get(root, passed_over[i])))
            config_doubt_set(config->doubt, "\"%s\" is there, which the class passes over", passed_over[i]);
    /* So many there are, whatever the file says. */
    const json_t *shared = json_object_get(root, "num_key_value_heads");
    if (config_doubt_is_there(shared) && !json_equal(shared, json_object_get(root, "num_attention_heads")))
        config_doubt_set(config->doubt, "\"num_key_value_heads\" is not num_attention_heads");
    /* It would be divided by its rows' lengths from the second text on, where it is the embedding, too. */
    if (json_is_true(json_object_get(root, "tie_word_embeddings")))
        config_doubt_set(config->doubt, "\"tie_word_embeddings\" is true");
    /* The other sizes' class has the same name, and no such key. */
    if (!config_doubt_is_there(json_object_get(root, "max_position_embeddings")))
        config_doubt_set(config->doubt,
                         "\"max_position_embeddings\" is not there, as in 13B, whose attention has slopes");
    if (!class || strcmp(class, "BaichuanForCausalLM") != 0)
        config_doubt_set(config->doubt, "\"architectures\" is not BaichuanForCausalLM, that of Baichuan 2");
}
