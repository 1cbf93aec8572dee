#include "gpu/score_architecture.h"

#include <stdio.h>
#include <string.h>

/* The table: one row per family. A role without a name is a tensor that the family does not have. */
static const char *const gpt_neox_names[SCORE_ROLE_COUNT] = {
    [SCORE_ROLE_EMBEDDING] = "gpt_neox.embed_in.weight",
    [SCORE_ROLE_UNEMBEDDING] = "embed_out.weight",
    [SCORE_ROLE_FINAL_NORM_WEIGHT] = "gpt_neox.final_layer_norm.weight",
    [SCORE_ROLE_FINAL_NORM_BIAS] = "gpt_neox.final_layer_norm.bias",
    [SCORE_ROLE_ATTENTION_NORM_WEIGHT] = "gpt_neox.layers.%u.input_layernorm.weight",
    [SCORE_ROLE_ATTENTION_NORM_BIAS] = "gpt_neox.layers.%u.input_layernorm.bias",
    [SCORE_ROLE_QKV_WEIGHT] = "gpt_neox.layers.%u.attention.query_key_value.weight",
    [SCORE_ROLE_QKV_BIAS] = "gpt_neox.layers.%u.attention.query_key_value.bias",
    [SCORE_ROLE_ATTENTION_OUT_WEIGHT] = "gpt_neox.layers.%u.attention.dense.weight",
    [SCORE_ROLE_ATTENTION_OUT_BIAS] = "gpt_neox.layers.%u.attention.dense.bias",
    [SCORE_ROLE_MLP_NORM_WEIGHT] = "gpt_neox.layers.%u.post_attention_layernorm.weight",
    [SCORE_ROLE_MLP_NORM_BIAS] = "gpt_neox.layers.%u.post_attention_layernorm.bias",
    [SCORE_ROLE_MLP_UP_WEIGHT] = "gpt_neox.layers.%u.mlp.dense_h_to_4h.weight",
    [SCORE_ROLE_MLP_UP_BIAS] = "gpt_neox.layers.%u.mlp.dense_h_to_4h.bias",
    [SCORE_ROLE_MLP_DOWN_WEIGHT] = "gpt_neox.layers.%u.mlp.dense_4h_to_h.weight",
    [SCORE_ROLE_MLP_DOWN_BIAS] = "gpt_neox.layers.%u.mlp.dense_4h_to_h.bias",
};

/* GPT-2's, and what Crystal calls the same. */
#define EVERY_GPT2                                                                                           \
    [SCORE_ROLE_EMBEDDING] = "transformer.wte.weight", [SCORE_ROLE_UNEMBEDDING] = "lm_head.weight",          \
    [SCORE_ROLE_FINAL_NORM_WEIGHT] = "transformer.ln_f.weight",                                              \
    [SCORE_ROLE_FINAL_NORM_BIAS] = "transformer.ln_f.bias",                                                  \
    [SCORE_ROLE_ATTENTION_NORM_WEIGHT] = "transformer.h.%u.ln_1.weight",                                     \
    [SCORE_ROLE_ATTENTION_NORM_BIAS] = "transformer.h.%u.ln_1.bias",                                         \
    [SCORE_ROLE_QKV_WEIGHT] = "transformer.h.%u.attn.c_attn.weight",                                         \
    [SCORE_ROLE_QKV_BIAS] = "transformer.h.%u.attn.c_attn.bias",                                             \
    [SCORE_ROLE_ATTENTION_OUT_WEIGHT] = "transformer.h.%u.attn.c_proj.weight",                               \
    [SCORE_ROLE_ATTENTION_OUT_BIAS] = "transformer.h.%u.attn.c_proj.bias",                                   \
    [SCORE_ROLE_MLP_NORM_WEIGHT] = "transformer.h.%u.ln_2.weight",                                           \
    [SCORE_ROLE_MLP_NORM_BIAS] = "transformer.h.%u.ln_2.bias",                                               \
    [SCORE_ROLE_MLP_UP_WEIGHT] = "transformer.h.%u.mlp.c_fc.weight",                                         \
    [SCORE_ROLE_MLP_UP_BIAS] = "transformer.h.%u.mlp.c_fc.bias",                                             \
    [SCORE_ROLE_MLP_DOWN_WEIGHT] = "transformer.h.%u.mlp.c_proj.weight",                                     \
    [SCORE_ROLE_MLP_DOWN_BIAS] = "transformer.h.%u.mlp.c_proj.bias"

static const char *const gpt2_names[SCORE_ROLE_COUNT] = {
    EVERY_GPT2,
    [SCORE_ROLE_POSITIONS] = "transformer.wpe.weight",
};

static const char *const crystal_names[SCORE_ROLE_COUNT] = {
    EVERY_GPT2,
    [SCORE_ROLE_MLP_GATE_WEIGHT] = "transformer.h.%u.mlp.c_fc2.weight",
    [SCORE_ROLE_MLP_GATE_BIAS] = "transformer.h.%u.mlp.c_fc2.bias",
};

static const char *const bloom_names[SCORE_ROLE_COUNT] = {
    [SCORE_ROLE_EMBEDDING] = "transformer.word_embeddings.weight",
    [SCORE_ROLE_EMBEDDING_NORM_WEIGHT] = "transformer.word_embeddings_layernorm.weight",
    [SCORE_ROLE_EMBEDDING_NORM_BIAS] = "transformer.word_embeddings_layernorm.bias",
    [SCORE_ROLE_UNEMBEDDING] = "lm_head.weight",
    [SCORE_ROLE_FINAL_NORM_WEIGHT] = "transformer.ln_f.weight",
    [SCORE_ROLE_FINAL_NORM_BIAS] = "transformer.ln_f.bias",
    [SCORE_ROLE_ATTENTION_NORM_WEIGHT] = "transformer.h.%u.input_layernorm.weight",
    [SCORE_ROLE_ATTENTION_NORM_BIAS] = "transformer.h.%u.input_layernorm.bias",
    [SCORE_ROLE_QKV_WEIGHT] = "transformer.h.%u.self_attention.query_key_value.weight",
    [SCORE_ROLE_QKV_BIAS] = "transformer.h.%u.self_attention.query_key_value.bias",
    [SCORE_ROLE_ATTENTION_OUT_WEIGHT] = "transformer.h.%u.self_attention.dense.weight",
    [SCORE_ROLE_ATTENTION_OUT_BIAS] = "transformer.h.%u.self_attention.dense.bias",
    [SCORE_ROLE_MLP_NORM_WEIGHT] = "transformer.h.%u.post_attention_layernorm.weight",
    [SCORE_ROLE_MLP_NORM_BIAS] = "transformer.h.%u.post_attention_layernorm.bias",
    [SCORE_ROLE_MLP_UP_WEIGHT] = "transformer.h.%u.mlp.dense_h_to_4h.weight",
    [SCORE_ROLE_MLP_UP_BIAS] = "transformer.h.%u.mlp.dense_h_to_4h.bias",
    [SCORE_ROLE_MLP_DOWN_WEIGHT] = "transformer.h.%u.mlp.dense_4h_to_h.weight",
    [SCORE_ROLE_MLP_DOWN_BIAS] = "transformer.h.%u.mlp.dense_4h_to_h.bias",
};

/* What Llama and those after it call the same, but for the MLP where there are experts. */
#define EVERY_ATTENTION                                                                                      \
    [SCORE_ROLE_EMBEDDING] = "model.embed_tokens.weight", [SCORE_ROLE_UNEMBEDDING] = "lm_head.weight",       \
    [SCORE_ROLE_QUERY_WEIGHT] = "model.layers.%u.self_attn.q_proj.weight",                                   \
    [SCORE_ROLE_KEY_WEIGHT] = "model.layers.%u.self_attn.k_proj.weight",                                     \
    [SCORE_ROLE_VALUE_WEIGHT] = "model.layers.%u.self_attn.v_proj.weight",                                   \
    [SCORE_ROLE_ATTENTION_OUT_WEIGHT] = "model.layers.%u.self_attn.o_proj.weight"

#define EVERY_LLAMA                                                                                          \
    EVERY_ATTENTION, [SCORE_ROLE_MLP_GATE_WEIGHT] = "model.layers.%u.mlp.gate_proj.weight",                  \
                     [SCORE_ROLE_MLP_UP_WEIGHT] = "model.layers.%u.mlp.up_proj.weight",                      \
                     [SCORE_ROLE_MLP_DOWN_WEIGHT] = "model.layers.%u.mlp.down_proj.weight"

#define FINAL_NORM [SCORE_ROLE_FINAL_NORM_WEIGHT] = "model.norm.weight"

#define NORMS_BEFORE                                                                                         \
    FINAL_NORM, [SCORE_ROLE_ATTENTION_NORM_WEIGHT] = "model.layers.%u.input_layernorm.weight",               \
                [SCORE_ROLE_MLP_NORM_WEIGHT] = "model.layers.%u.post_attention_layernorm.weight"

#define QKV_BIASES                                                                                           \
    [SCORE_ROLE_QUERY_BIAS] = "model.layers.%u.self_attn.q_proj.bias",                                       \
    [SCORE_ROLE_KEY_BIAS] = "model.layers.%u.self_attn.k_proj.bias",                                         \
    [SCORE_ROLE_VALUE_BIAS] = "model.layers.%u.self_attn.v_proj.bias"

#define ATTENTION_OUT_BIAS [SCORE_ROLE_ATTENTION_OUT_BIAS] = "model.layers.%u.self_attn.o_proj.bias"

#define MLP_BIASES                                                                                           \
    [SCORE_ROLE_MLP_UP_BIAS] = "model.layers.%u.mlp.up_proj.bias", [SCORE_ROLE_MLP_DOWN_BIAS] =              \
                                                                       "model.layers.%u.mlp.down_proj.bias"

#define GATE_BIAS [SCORE_ROLE_MLP_GATE_BIAS] = "model.layers.%u.mlp.gate_proj.bias"

static const char *const llama_names[SCORE_ROLE_COUNT] = {EVERY_LLAMA,        NORMS_BEFORE, QKV_BIASES,
                                                          ATTENTION_OUT_BIAS, MLP_BIASES,   GATE_BIAS};

#define NORM_BIASES                                                                                          \
    [SCORE_ROLE_FINAL_NORM_BIAS] = "model.norm.bias",                                                        \
    [SCORE_ROLE_ATTENTION_NORM_BIAS] = "model.layers.%u.input_layernorm.bias",                               \
    [SCORE_ROLE_MLP_NORM_BIAS] = "model.layers.%u.post_attention_layernorm.bias"

static const char *const stablelm_names[SCORE_ROLE_COUNT] = {EVERY_LLAMA, NORMS_BEFORE, NORM_BIASES,
                                                             QKV_BIASES};

static const char *const nemotron_names[SCORE_ROLE_COUNT] = {
    EVERY_ATTENTION,
    NORMS_BEFORE,
    NORM_BIASES,
    QKV_BIASES,
    ATTENTION_OUT_BIAS,
    MLP_BIASES,
    [SCORE_ROLE_MLP_UP_WEIGHT] = "model.layers.%u.mlp.up_proj.weight",
    [SCORE_ROLE_MLP_DOWN_WEIGHT] = "model.layers.%u.mlp.down_proj.weight",
};

/* Of Baichuan 2. */
static const char *const baichuan_names[SCORE_ROLE_COUNT] = {
    NORMS_BEFORE,
    [SCORE_ROLE_EMBEDDING] = "model.embed_tokens.weight",
    [SCORE_ROLE_UNEMBEDDING] = "lm_head.weight",
    [SCORE_ROLE_QKV_WEIGHT] = "model.layers.%u.self_attn.W_pack.weight",
    [SCORE_ROLE_ATTENTION_OUT_WEIGHT] = "model.layers.%u.self_attn.o_proj.weight",
    [SCORE_ROLE_MLP_GATE_WEIGHT] = "model.layers.%u.mlp.gate_proj.weight",
    [SCORE_ROLE_MLP_UP_WEIGHT] = "model.layers.%u.mlp.up_proj.weight",
    [SCORE_ROLE_MLP_DOWN_WEIGHT] = "model.layers.%u.mlp.down_proj.weight",
};

static const char *const pico_names[SCORE_ROLE_COUNT] = {
    [SCORE_ROLE_EMBEDDING] = "pico_decoder.embedding_proj.weight",
    [SCORE_ROLE_UNEMBEDDING] = "pico_decoder.de_embedding_proj.weight",
    [SCORE_ROLE_FINAL_NORM_WEIGHT] = "pico_decoder.output_norm.weight",
    [SCORE_ROLE_ATTENTION_NORM_WEIGHT] = "pico_decoder.layers.%u.attention_norm.weight",
    [SCORE_ROLE_QUERY_WEIGHT] = "pico_decoder.layers.%u.attention.q_proj.weight",
    [SCORE_ROLE_KEY_WEIGHT] = "pico_decoder.layers.%u.attention.k_proj.weight",
    [SCORE_ROLE_VALUE_WEIGHT] = "pico_decoder.layers.%u.attention.v_proj.weight",
    [SCORE_ROLE_ATTENTION_OUT_WEIGHT] = "pico_decoder.layers.%u.attention.o_proj.weight",
    [SCORE_ROLE_MLP_NORM_WEIGHT] = "pico_decoder.layers.%u.swiglu_norm.weight",
    [SCORE_ROLE_MLP_GATE_WEIGHT] = "pico_decoder.layers.%u.swiglu.w_0.weight",
    [SCORE_ROLE_MLP_UP_WEIGHT] = "pico_decoder.layers.%u.swiglu.w_1.weight",
    [SCORE_ROLE_MLP_DOWN_WEIGHT] = "pico_decoder.layers.%u.swiglu.w_2.weight",
};

static const char *const mistral_names[SCORE_ROLE_COUNT] = {EVERY_LLAMA, NORMS_BEFORE};

static const char *const qwen2_names[SCORE_ROLE_COUNT] = {EVERY_LLAMA, NORMS_BEFORE, QKV_BIASES};

/* Its norms have no parameters. */
static const char *const olmo_names[SCORE_ROLE_COUNT] = {EVERY_LLAMA, QKV_BIASES, ATTENTION_OUT_BIAS};

#define HEAD_NORMS                                                                                           \
    [SCORE_ROLE_QUERY_NORM_WEIGHT] = "model.layers.%u.self_attn.q_norm.weight",                              \
    [SCORE_ROLE_KEY_NORM_WEIGHT] = "model.layers.%u.self_attn.k_norm.weight"

static const char *const qwen3_names[SCORE_ROLE_COUNT] = {EVERY_LLAMA, NORMS_BEFORE, QKV_BIASES,
                                                          ATTENTION_OUT_BIAS, HEAD_NORMS};

/* Of open-sci-ref. */
static const char *const opensci_names[SCORE_ROLE_COUNT] = {
    EVERY_LLAMA,
    NORMS_BEFORE,
    QKV_BIASES,
    ATTENTION_OUT_BIAS,
    MLP_BIASES,
    GATE_BIAS,
    [SCORE_ROLE_QUERY_NORM_WEIGHT] = "model.layers.%u.self_attn.q_layernorm.weight",
    [SCORE_ROLE_KEY_NORM_WEIGHT] = "model.layers.%u.self_attn.k_layernorm.weight",
};

static const char *const kormo_names[SCORE_ROLE_COUNT] = {
    EVERY_LLAMA,
    FINAL_NORM,
    [SCORE_ROLE_ATTENTION_NORM_WEIGHT] = "model.layers.%u.pre_attention_layernorm.weight",
    [SCORE_ROLE_MLP_NORM_WEIGHT] = "model.layers.%u.pre_mlp_layernorm.weight",
};

static const char *const olmo2_names[SCORE_ROLE_COUNT] = {
    EVERY_LLAMA,
    FINAL_NORM,
    QKV_BIASES,
    ATTENTION_OUT_BIAS,
    HEAD_NORMS,
    [SCORE_ROLE_ATTENTION_NORM_WEIGHT] = "model.layers.%u.post_attention_layernorm.weight",
    [SCORE_ROLE_MLP_NORM_WEIGHT] = "model.layers.%u.post_feedforward_layernorm.weight",
};

static const char *const apertus_names[SCORE_ROLE_COUNT] = {
    EVERY_ATTENTION,
    FINAL_NORM,
    QKV_BIASES,
    ATTENTION_OUT_BIAS,
    HEAD_NORMS,
    [SCORE_ROLE_ATTENTION_NORM_WEIGHT] = "model.layers.%u.attention_layernorm.weight",
    [SCORE_ROLE_MLP_NORM_WEIGHT] = "model.layers.%u.feedforward_layernorm.weight",
    [SCORE_ROLE_MLP_UP_WEIGHT] = "model.layers.%u.mlp.up_proj.weight",
    [SCORE_ROLE_MLP_DOWN_WEIGHT] = "model.layers.%u.mlp.down_proj.weight",
    [SCORE_ROLE_XIELU_POSITIVE] = "model.layers.%u.mlp.act_fn.alpha_p",
    [SCORE_ROLE_XIELU_NEGATIVE] = "model.layers.%u.mlp.act_fn.alpha_n",
    [SCORE_ROLE_XIELU_BETA] = "model.layers.%u.mlp.act_fn.beta",
    [SCORE_ROLE_XIELU_EPSILON] = "model.layers.%u.mlp.act_fn.eps",
};

#define EXPERTS                                                                                              \
    [SCORE_ROLE_ROUTER_WEIGHT] = "model.layers.%u.mlp.gate.weight",                                          \
    [SCORE_ROLE_EXPERT_GATE_WEIGHT] = "model.layers.%u.mlp.experts.%u.gate_proj.weight",                     \
    [SCORE_ROLE_EXPERT_UP_WEIGHT] = "model.layers.%u.mlp.experts.%u.up_proj.weight",                         \
    [SCORE_ROLE_EXPERT_DOWN_WEIGHT] = "model.layers.%u.mlp.experts.%u.down_proj.weight"

static const char *const olmoe_names[SCORE_ROLE_COUNT] = {EVERY_ATTENTION,    NORMS_BEFORE, QKV_BIASES,
                                                          ATTENTION_OUT_BIAS, HEAD_NORMS,   EXPERTS};

static const char *const dots1_names[SCORE_ROLE_COUNT] = {
    EVERY_LLAMA,
    NORMS_BEFORE,
    QKV_BIASES,
    ATTENTION_OUT_BIAS,
    HEAD_NORMS,
    EXPERTS,
    [SCORE_ROLE_ROUTER_BIAS] = "model.layers.%u.mlp.gate.e_score_correction_bias",
    [SCORE_ROLE_SHARED_GATE_WEIGHT] = "model.layers.%u.mlp.shared_experts.gate_proj.weight",
    [SCORE_ROLE_SHARED_UP_WEIGHT] = "model.layers.%u.mlp.shared_experts.up_proj.weight",
    [SCORE_ROLE_SHARED_DOWN_WEIGHT] = "model.layers.%u.mlp.shared_experts.down_proj.weight",
};

/* Its norms have parameters or not, as config.json says. */
static const char *const hf_olmo_names[SCORE_ROLE_COUNT] = {
    [SCORE_ROLE_EMBEDDING] = "model.transformer.wte.weight",
    [SCORE_ROLE_UNEMBEDDING] = "model.transformer.ff_out.weight",
    [SCORE_ROLE_FINAL_NORM_WEIGHT] = "model.transformer.ln_f.weight",
    [SCORE_ROLE_FINAL_NORM_BIAS] = "model.transformer.ln_f.bias",
    [SCORE_ROLE_ATTENTION_NORM_WEIGHT] = "model.transformer.blocks.%u.attn_norm.weight",
    [SCORE_ROLE_ATTENTION_NORM_BIAS] = "model.transformer.blocks.%u.attn_norm.bias",
    [SCORE_ROLE_QKV_WEIGHT] = "model.transformer.blocks.%u.att_proj.weight",
    [SCORE_ROLE_QKV_BIAS] = "model.transformer.blocks.%u.att_proj.bias",
    [SCORE_ROLE_ATTENTION_OUT_WEIGHT] = "model.transformer.blocks.%u.attn_out.weight",
    [SCORE_ROLE_ATTENTION_OUT_BIAS] = "model.transformer.blocks.%u.attn_out.bias",
    [SCORE_ROLE_MLP_NORM_WEIGHT] = "model.transformer.blocks.%u.ff_norm.weight",
    [SCORE_ROLE_MLP_NORM_BIAS] = "model.transformer.blocks.%u.ff_norm.bias",
    [SCORE_ROLE_MLP_UP_GATE_WEIGHT] = "model.transformer.blocks.%u.ff_proj.weight",
    [SCORE_ROLE_MLP_UP_GATE_BIAS] = "model.transformer.blocks.%u.ff_proj.bias",
    [SCORE_ROLE_MLP_DOWN_WEIGHT] = "model.transformer.blocks.%u.ff_out.weight",
    [SCORE_ROLE_MLP_DOWN_BIAS] = "model.transformer.blocks.%u.ff_out.bias",
};

static const char *const modernbert_names[SCORE_ROLE_COUNT] = {
    [SCORE_ROLE_EMBEDDING] = "model.embeddings.tok_embeddings.weight",
    [SCORE_ROLE_EMBEDDING_NORM_WEIGHT] = "model.embeddings.norm.weight",
    [SCORE_ROLE_EMBEDDING_NORM_BIAS] = "model.embeddings.norm.bias",
    [SCORE_ROLE_UNEMBEDDING] = "decoder.weight",
    [SCORE_ROLE_UNEMBEDDING_BIAS] = "decoder.bias",
    [SCORE_ROLE_FINAL_NORM_WEIGHT] = "model.final_norm.weight",
    [SCORE_ROLE_FINAL_NORM_BIAS] = "model.final_norm.bias",
    [SCORE_ROLE_HEAD_WEIGHT] = "lm_head.dense.weight",
    [SCORE_ROLE_HEAD_BIAS] = "lm_head.dense.bias",
    [SCORE_ROLE_HEAD_NORM_WEIGHT] = "lm_head.norm.weight",
    [SCORE_ROLE_HEAD_NORM_BIAS] = "lm_head.norm.bias",
    [SCORE_ROLE_ATTENTION_NORM_WEIGHT] = "model.layers.%u.attn_norm.weight",
    [SCORE_ROLE_ATTENTION_NORM_BIAS] = "model.layers.%u.attn_norm.bias",
    [SCORE_ROLE_QUERY_WEIGHT] = "model.layers.%u.attn.q_proj.weight",
    [SCORE_ROLE_QUERY_BIAS] = "model.layers.%u.attn.q_proj.bias",
    [SCORE_ROLE_KEY_WEIGHT] = "model.layers.%u.attn.k_proj.weight",
    [SCORE_ROLE_KEY_BIAS] = "model.layers.%u.attn.k_proj.bias",
    [SCORE_ROLE_VALUE_WEIGHT] = "model.layers.%u.attn.v_proj.weight",
    [SCORE_ROLE_VALUE_BIAS] = "model.layers.%u.attn.v_proj.bias",
    [SCORE_ROLE_ATTENTION_OUT_WEIGHT] = "model.layers.%u.attn.Wo.weight",
    [SCORE_ROLE_ATTENTION_OUT_BIAS] = "model.layers.%u.attn.Wo.bias",
    [SCORE_ROLE_MLP_NORM_WEIGHT] = "model.layers.%u.mlp_norm.weight",
    [SCORE_ROLE_MLP_NORM_BIAS] = "model.layers.%u.mlp_norm.bias",
    [SCORE_ROLE_MLP_UP_GATE_WEIGHT] = "model.layers.%u.mlp.Wi.weight",
    [SCORE_ROLE_MLP_UP_GATE_BIAS] = "model.layers.%u.mlp.Wi.bias",
    [SCORE_ROLE_MLP_DOWN_WEIGHT] = "model.layers.%u.mlp.Wo.weight",
    [SCORE_ROLE_MLP_DOWN_BIAS] = "model.layers.%u.mlp.Wo.bias",
};

#define GATED_LAYER .qkv_order = SCORE_QKV_ORDER_APART, .has_gate = 1
#define LLAMA_LAYER GATED_LAYER, .norm = SCORE_NORM_RMS

static const struct score_architecture architectures[] = {
    {.name = "gpt_neox", .names = gpt_neox_names, .has_mlp_bias = 1},
    {.name = "llama", .names = llama_names, LLAMA_LAYER},
    {.name = "mistral", .names = mistral_names, LLAMA_LAYER},
    {.name = "qwen2", .names = qwen2_names, LLAMA_LAYER, .has_attention_bias = 1},
    {.name = "qwen3", .names = qwen3_names, LLAMA_LAYER, .head_norm = SCORE_HEAD_NORM_EACH},
    {.name = "smollm3", .names = llama_names, LLAMA_LAYER},
    {.name = "granite", .names = llama_names, LLAMA_LAYER},
    {.name = "minicpm", .names = llama_names, LLAMA_LAYER},
    {.name = "gemma", .names = llama_names, LLAMA_LAYER, .has_norm_offset = 1},
    {.name = "opensci", .names = opensci_names, LLAMA_LAYER, .head_norm = SCORE_HEAD_NORM_EACH},
    {.name = "kormo", .names = kormo_names, LLAMA_LAYER},
    {.name = "stablelm", .names = stablelm_names, GATED_LAYER},
    {.name = "nemotron", .names = nemotron_names, .qkv_order = SCORE_QKV_ORDER_APART, .has_norm_offset = 1},
    {.name = "baichuan", .names = baichuan_names, LLAMA_LAYER, .has_unit_rows = 1},
    {.name = "pico_decoder", .names = pico_names, LLAMA_LAYER, .has_neighbour_pairs = 1},
    {.name = "olmo", .names = olmo_names, GATED_LAYER},
    {.name = "olmo2",
     .names = olmo2_names,
     LLAMA_LAYER,
     .norm_place = SCORE_NORM_AFTER,
     .head_norm = SCORE_HEAD_NORM_TOGETHER},
    /* Within the window of its sliding layers. */
    {.name = "olmo3",
     .names = olmo2_names,
     LLAMA_LAYER,
     .norm_place = SCORE_NORM_AFTER,
     .head_norm = SCORE_HEAD_NORM_TOGETHER},
    {.name = "olmoe",
     .names = olmoe_names,
     LLAMA_LAYER,
     .head_norm = SCORE_HEAD_NORM_TOGETHER,
     .is_cut_after_norm = 1},
    {.name = "qwen3_moe", .names = olmoe_names, LLAMA_LAYER, .head_norm = SCORE_HEAD_NORM_EACH},
    {.name = "dots1", .names = dots1_names, LLAMA_LAYER, .head_norm = SCORE_HEAD_NORM_EACH},
    {.name = "apertus",
     .names = apertus_names,
     .qkv_order = SCORE_QKV_ORDER_APART,
     .norm = SCORE_NORM_RMS,
     .head_norm = SCORE_HEAD_NORM_EACH},
    {.name = "hf_olmo", .names = hf_olmo_names, .prefix = "model.", GATED_LAYER},
    {.name = "hf_olmo_rms", .names = hf_olmo_names, .prefix = "model.", LLAMA_LAYER},
    {.name = "modernbert-decoder",
     .names = modernbert_names,
     GATED_LAYER,
     .has_bare_first_layer = 1,
     .is_gate_first = 1},
    {.name = "gpt2",
     .names = gpt2_names,
     .prefix = "transformer.",
     .qkv_order = SCORE_QKV_ORDER_TOGETHER,
     .is_transposed = 1,
     .has_attention_bias = 1,
     .has_mlp_bias = 1},
    {.name = "crystalcoder",
     .names = crystal_names,
     .prefix = "transformer.",
     .qkv_order = SCORE_QKV_ORDER_TOGETHER,
     .is_transposed = 1,
     .has_gate = 1,
     .has_neighbour_pairs = 1,
     .has_attention_bias = 1,
     .has_mlp_bias = 1},
    {.name = "bloom",
     .names = bloom_names,
     .prefix = "transformer.",
     .has_alibi = 1,
     .has_attention_bias = 1,
     .has_mlp_bias = 1},
};

static int refuse(const char *name, struct err *err)
{
    char known[400] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++) {
        int length =
            snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "", architectures[i].name);
        if (length > 0 && (size_t)length < sizeof(known) - used)
            used += (size_t)length;
    }
    return err_set(err, ERR_UNSUPPORTED, "models of type \"%s\" cannot be scored, only %s", name, known);
}

int score_architecture_find(const char *name, const struct score_architecture **ret_architecture,
                            struct err *err)
{
    for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++)
        if (strcmp(architectures[i].name, name) == 0) {
            *ret_architecture = &architectures[i];
            return 0;
        }
    return refuse(name, err);
}
