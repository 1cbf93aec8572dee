/*
 * config.json as families are published with it, for the tests of how it is read.
 */
#ifndef BIFURCATED_TESTS_UNIT_MODEL_CONFIGS_H
#define BIFURCATED_TESTS_UNIT_MODEL_CONFIGS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/model/config_scoring.h"

#include <string.h>

#define PYTHIA                                                                                               \
    "\"architectures\":[\"GPTNeoXForCausalLM\"],\"model_type\":\"gpt_neox\",\"vocab_size\":50304,"           \
    "\"hidden_size\":512,\"num_hidden_layers\":6,\"num_attention_heads\":8,\"intermediate_size\":2048,"      \
    "\"max_position_embeddings\":2048,\"hidden_act\":\"gelu\",\"layer_norm_eps\":1e-05,"                     \
    "\"bos_token_id\":0,\"eos_token_id\":0,\"tie_word_embeddings\":false"

#define GPT2                                                                                                 \
    "\"model_type\":\"gpt2\",\"n_embd\":768,\"n_layer\":12,\"n_head\":12,\"n_positions\":1024,"              \
    "\"vocab_size\":50257"

/* As Baichuan2-7B and CrystalCoder are published. */
#define BAICHUAN                                                                                             \
    "\"model_type\":\"baichuan\",\"architectures\":[\"BaichuanForCausalLM\"],\"vocab_size\":125696,"         \
    "\"hidden_size\":4096,\"num_hidden_layers\":32,\"num_attention_heads\":32,"                              \
    "\"intermediate_size\":11008,\"max_position_embeddings\":4096"
#define CRYSTAL                                                                                              \
    "\"model_type\":\"crystalcoder\",\"vocab_size\":32032,\"n_embd\":4096,\"n_layer\":32,\"n_head\":32,"     \
    "\"n_inner\":10922,\"n_positions\":2048,\"rotary_dim\":32,\"mup_scale_qk_dot_by_d\":true,"               \
    "\"mup_embeddings_scale\":14.6,\"mup_output_alpha\":2.22,\"mup_width_scale\":0.0625"

/* pico-decoder-small's. */
#define PICO                                                                                                 \
    "\"model_type\":\"pico_decoder\",\"architectures\":[\"PicoDecoderHF\"],\"vocab_size\":50304,"            \
    "\"d_model\":384,\"n_layers\":12,\"attention_n_heads\":12,\"attention_n_kv_heads\":4,"                   \
    "\"activation_hidden_dim\":1536,\"max_seq_len\":2048,\"norm_eps\":1e-06,"                                \
    "\"position_emb_theta\":10000.0"

/* bloom-560m's, as its config.json has them. */
#define BLOOM                                                                                                \
    "\"model_type\":\"bloom\",\"vocab_size\":250880,\"n_embed\":1024,\"n_layer\":24,\"num_attention_"        \
    "heads\":16"

/* Amber's sizes, as its config.json has them. */
#define LLAMA                                                                                                \
    "\"model_type\":\"llama\",\"vocab_size\":32000,\"hidden_size\":4096,\"num_hidden_layers\":32,"           \
    "\"num_attention_heads\":32,\"intermediate_size\":11008,\"max_position_embeddings\":2048"

/* DataDecide's keys, as far as they are no defaults; and OLMo-1B's. */
#define HF_OLMO                                                                                              \
    "\"model_type\":\"hf_olmo\",\"vocab_size\":50280,\"embedding_size\":50304,\"d_model\":768,\"n_heads\":"  \
    "12,"                                                                                                    \
    "\"n_layers\":12,\"mlp_ratio\":8,\"max_sequence_length\":2048,\"rope\":true,\"include_bias\":false,"     \
    "\"weight_tying\":false"

#define SMALL(family)                                                                                        \
    "\"model_type\":\"" family "\",\"vocab_size\":512,\"hidden_size\":64,\"num_hidden_layers\":8,"           \
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"intermediate_size\":96,"                          \
    "\"max_position_embeddings\":8192"

#define APERTUS_ROPE                                                                                         \
    ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"type\":\"llama3\",\"factor\":8.0,"                        \
    "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}"

/* What must be readable. */
static inline struct model_config parse(const char *json)
{
    struct model_config config = {0};
    struct err err = ERR_INIT;
    if (model_config_parse(json, strlen(json), &config, &err))
        fail_msg("%s: %s", json, err.message);
    return config;
}

#endif
