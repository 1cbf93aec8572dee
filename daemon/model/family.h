/*
 * What config.json leaves out because it is the default of a family's class in transformers.
 */
#ifndef BIFURCATED_MODEL_FAMILY_H
#define BIFURCATED_MODEL_FAMILY_H

#include <stdint.h>

struct family {
    const char *model_type; /* "" for families that are not known */
    int is_tied;
    double rotary_fraction, rotary_base;
    int has_parallel_residual;
    int has_attention_bias;
    const char *activation;
    double norm_epsilon;
    int is_llama;                  /* its layers are Llama's, or nearly (llama_config.h): then also */
    uint64_t key_value_head_count; /* 0: as many as there are heads */
    int64_t sliding_window;        /* tokens; 0: none */
};

/* Never NULL. Lives as long as the process. */
const struct family *family_find(const char *model_type);

#endif
