#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/model/config.h"

#include <math.h>
#include <stdio.h>
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

static struct model_config parse(const char *json)
{
    struct model_config config = {0};
    struct err err = ERR_INIT;
    if (model_config_parse(json, strlen(json), &config, &err))
        fail_msg("%s: %s", json, err.message);
    return config;
}

static void test_garden(void **state)
{
    (void)state;
    struct buf text;
    struct err err = ERR_INIT;
    buf_init(&text, MIB);
    assert_int_equal(
        file_read("tests/fixtures/garden/hub/models/garden/neox-tiny/step0/config.json", &text, &err), 0);
    struct model_config config = parse(buf_text(&text));
    assert_string_equal(config.model_type, "gpt_neox");
    assert_string_equal(config.architecture, "GPTNeoXForCausalLM");
    assert_int_equal(config.vocab_size, 512);
    assert_int_equal(config.hidden_size, 64);
    assert_int_equal(config.layer_count, 2);
    assert_int_equal(config.head_count, 4);
    assert_int_equal(config.key_value_head_count, 4);
    assert_int_equal(config.max_positions, 128);
    assert_true(config.has_parallel_residual && config.has_attention_bias && !config.is_tied);
    assert_int_equal(config.activation, MODEL_ACTIVATION_GELU);
    assert_true(fabs(config.rotary_fraction - 0.25) < 1e-12 && fabs(config.rotary_base - 10000) < 1e-9);
    assert_int_equal(config.bos_token_id, 0);
    assert_int_equal(model_config_check_scoring(&config, &err), 0);
    buf_free(&text);
}

/* Old and new spellings mean the same. */
static void test_rotary_spellings(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        double fraction, base;
        const char *type;
    } cases[] = {
        {"{\"model_type\":\"gpt_neox\"}", 0.25, 10000, "default"},
        {"{\"model_type\":\"gpt_neox\",\"rotary_pct\":0.5,\"rotary_emb_base\":500}", 0.5, 500, "default"},
        /* GPTNeoXConfig passes over these two; other classes do not */
        {"{\"model_type\":\"gpt_neox\",\"partial_rotary_factor\":0.5}", 0.25, 10000, "default"},
        {"{\"model_type\":\"llama\",\"partial_rotary_factor\":0.5}", 0.5, 10000, "default"},
        {"{\"model_type\":\"gpt_neox\",\"rope_theta\":500.0}", 0.25, 10000, "default"},
        {"{\"model_type\":\"llama\",\"rope_theta\":500.0}", 1, 500, "default"},
        {"{\"model_type\":\"gpt_neox\",\"rope_parameters\":{\"rope_theta\":500,\"partial_rotary_factor\":1,"
         "\"rope_type\":\"default\"}}",
         1, 500, "default"},
        {"{\"model_type\":\"gpt_neox\",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}", 0.25, 10000,
         "linear"},
        {"{\"model_type\":\"gpt_neox\",\"rope_scaling\":{\"rope_type\":\"dynamic\"}}", 0.25, 10000,
         "dynamic"},
        {"{\"model_type\":\"gpt_neox\",\"rope_scaling\":null}", 0.25, 10000, "default"},
        {"{\"model_type\":\"gpt_neox\",\"rope_parameters\":{\"type\":\"yarn\",\"factor\":2}}", 0.25, 10000,
         "yarn"},
        {"{\"model_type\":\"gpt_neox\",\"rope_scaling\":{\"rope_theta\":500,\"partial_rotary_factor\":1}}", 1,
         500, "default"},
        {"{\"model_type\":\"gpt_neox\",\"rope_scaling\":{\"type\":\"linear\"},\"rope_parameters\":{"
         "\"rope_type\":\"default\",\"rope_theta\":500}}",
         0.25, 10000, "linear"},
        {"{\"model_type\":\"gpt_neox\",\"rope_scaling\":{},\"rope_parameters\":{\"rope_theta\":500}}", 0.25,
         500, "default"},
        {"{\"model_type\":\"llama\"}", 1, 10000, "default"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_config config = parse(cases[i].json);
        assert_true(fabs(config.rotary_fraction - cases[i].fraction) < 1e-12);
        assert_true(fabs(config.rotary_base - cases[i].base) < 1e-9);
        assert_string_equal(config.rotary_type, cases[i].type);
    }
}

/* Perplexity is of the next token, which such models were not trained to tell. */
static void test_masked_models(void **state)
{
    (void)state;
    static const char *const masked[] = {
        "{\"model_type\":\"bert\",\"architectures\":[\"BertForPreTraining\"]}",
        "{\"model_type\":\"bert\"}",
        "{\"model_type\":\"modernbert\",\"architectures\":[\"ModernBertForMaskedLM\"]}",
        "{\"model_type\":\"unheard_of\",\"architectures\":[\"GPTBERTForMaskedLM\"]}",
        "{\"architectures\":[\"LtgbertForMaskedLM\"]}",
    };
    static const char *const others[] = {
        "{\"model_type\":\"bert\",\"architectures\":[\"BertLMHeadModel\"]}",
        "{\"model_type\":\"unheard_of\",\"architectures\":[\"GPTBERTForCausalLM\"]}",
        "{\"model_type\":\"t5\",\"architectures\":[\"T5ForConditionalGeneration\"]}",
    };
    struct err err = ERR_INIT;
    for (size_t i = 0; i < sizeof masked / sizeof masked[0]; i++) {
        struct model_config config = parse(masked[i]);
        assert_int_equal(model_config_check_scoring(&config, &err), ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, "fills in masked tokens"));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct model_config config = parse(others[i]);
        assert_int_equal(model_config_check_scoring(&config, &err), ERR_UNSUPPORTED);
        assert_null(strstr(err.message, "masked"));
    }
}

static void test_other_families(void **state)
{
    (void)state;
    struct model_config gpt2 = parse("{" GPT2 ",\"n_inner\":null}");
    assert_false(gpt2.has_unscaled_attention || gpt2.has_attention_scale_by_layer);
    assert_int_equal(gpt2.hidden_size, 768);
    assert_int_equal(gpt2.intermediate_size, 3072);
    assert_int_equal(gpt2.max_positions, 1024);
    assert_true(gpt2.is_tied);
    assert_int_equal(gpt2.activation, MODEL_ACTIVATION_GELU_TANH);
    struct model_config llama =
        parse("{\"model_type\":\"llama\",\"num_attention_heads\":32,"
              "\"num_key_value_heads\":8,\"rms_norm_eps\":1e-6,\"dtype\":\"bfloat16\","
              "\"eos_token_id\":[2,3],\"tie_word_embeddings\":true}");
    assert_int_equal(llama.key_value_head_count, 8);
    assert_true(llama.is_tied);
    assert_int_equal(llama.eos_token_id, 2);
    assert_int_equal(llama.bos_token_id, -1);
    /* What says nothing of it is tied where its class is, and OLMo has a word of its own for it. */
    assert_true(parse("{\"model_type\":\"opt\"}").is_tied);
    static const char *const ties[] = {"gemma2",     "gemma4_text", "ernie4_5",
                                       "lfm2",       "modernbert",  "xlm-roberta",
                                       "deberta-v2", "gpt_bert",    "gpt_neox_japanese"};
    for (size_t i = 0; i < sizeof ties / sizeof ties[0]; i++) {
        char json[64];
        (void)snprintf(json, sizeof json, "{\"model_type\":\"%s\"}", ties[i]);
        assert_true(parse(json).is_tied);
    }
    assert_false(parse("{\"model_type\":\"opt\",\"tie_word_embeddings\":false}").is_tied);
    assert_false(parse("{\"model_type\":\"unheard_of\"}").is_tied);
    assert_true(parse("{\"model_type\":\"hf_olmo\",\"weight_tying\":true}").is_tied);
    assert_false(parse("{\"model_type\":\"hf_olmo\",\"weight_tying\":false}").is_tied);
    /* Llama's key for biases that GPT-NeoX always has. */
    assert_true(parse("{\"model_type\":\"gpt_neox\",\"mlp_bias\":false}").has_mlp_bias);
    struct model_config hf_olmo =
        parse("{" HF_OLMO ",\"layer_norm_type\":\"rms\",\"bias_for_layer_norm\":false}");
    assert_int_equal(hf_olmo.vocab_size, 50304); /* the rows that there are */
    assert_int_equal(hf_olmo.intermediate_size, 3072);
    assert_int_equal(hf_olmo.key_value_head_count, 12);
    assert_int_equal(hf_olmo.max_positions, 2048);
    assert_true(hf_olmo.has_rms_norm && hf_olmo.lacks_norm_bias && !hf_olmo.lacks_norm_weight);
    assert_true(!hf_olmo.is_tied && !hf_olmo.has_attention_bias && !hf_olmo.has_mlp_bias);
    struct model_config older = parse("{\"model_type\":\"olmo\",\"d_model\":64,\"mlp_ratio\":4}");
    assert_string_equal(older.model_type, "hf_olmo");
    assert_int_equal(older.intermediate_size, 128);
    assert_string_equal(parse("{" SMALL("olmo") ",\"d_model\":64}").model_type, "olmo");
    struct model_config unknown = parse("{}");
    assert_string_equal(unknown.model_type, "");
    assert_int_equal(unknown.activation, MODEL_ACTIVATION_OTHER);
}

/* The table of sizes in the Pythia suite. */
static void test_parameter_count(void **state)
{
    (void)state;
    static const struct {
        uint64_t layers, hidden, rows, parameters;
    } cases[] = {
        {6, 128, 50304, 14067712},      {6, 256, 50304, 30494720},     {6, 512, 50304, 70426624},
        {12, 768, 50304, 162322944},    {24, 1024, 50304, 405334016},  {16, 2048, 50304, 1011781632},
        {24, 2048, 50304, 1414647808},  {32, 2560, 50304, 2775208960}, {32, 4096, 50432, 6857302016},
        {36, 5120, 50688, 11846072320},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[256];
        uint64_t count = 0;
        struct err err = ERR_INIT;
        (void)snprintf(
            json, sizeof json,
            "{\"model_type\":\"gpt_neox\",\"num_hidden_layers\":%d,\"hidden_size\":%d,\"vocab_size\":%d}",
            (int)cases[i].layers, (int)cases[i].hidden, (int)cases[i].rows);
        struct model_config config = parse(json);
        assert_int_equal(model_config_parameter_count(&config, &count, &err), 0);
        assert_int_equal(count, cases[i].parameters);
    }
}

/* num_parameters() of transformers 5.24, on its meta device; MiniCPM's tensors are Granite's. Crystal's is
 * that of its published class, and what the published index of its files says in bytes of float32, without
 * the masks and the copy of the embedding; Baichuan 2's follows from the shapes. */
static void test_parameter_count_of_other_families(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        uint64_t parameters;
    } cases[] = {
        {"{" LLAMA "}", 6738415616},
        {"{" LLAMA ",\"num_key_value_heads\":8,\"tie_word_embeddings\":true,\"attention_bias\":true,"
         "\"mlp_bias\":true,\"head_dim\":64}",
         5132013568},
        {"{" SMALL("mistral") "}", 312384},
        {"{" SMALL("qwen2") "}", 313408},
        {"{" SMALL("qwen3") ",\"head_dim\":8}", 263360},
        {"{" SMALL("qwen3") ",\"attention_bias\":true}", 1011264},
        {"{" SMALL("olmoe") ",\"num_experts\":6,\"num_experts_per_tok\":2}", 1053504},
        {"{" SMALL("olmoe") "}", 9635648},
        {"{" SMALL("olmoe") ",\"num_experts\":3,\"num_experts_per_tok\":2,\"attention_bias\":true}", 611136},
        {"{" SMALL("qwen3_moe") ",\"num_experts\":6,\"num_experts_per_tok\":2,\"moe_intermediate_size\":24}",
         389440},
        {"{" SMALL("smollm3") "}", 279616},
        {"{" SMALL("apertus") APERTUS_ROPE "}", 263504},
        {"{" SMALL("apertus") APERTUS_ROPE ",\"attention_bias\":true}", 265040},
        {"{" SMALL("smollm3") ",\"attention_bias\":true}", 281152},
        {"{" SMALL("granite") "}", 312384},
        {"{" SMALL("granite") ",\"attention_bias\":true,\"mlp_bias\":true}", 315968},
        {"{" SMALL("minicpm") "}", 279616},
        {"{" SMALL("minicpm") ",\"tie_word_embeddings\":false}", 312384},
        {"{" SMALL("stablelm") "}", 313472},
        {"{" SMALL("stablelm") ",\"use_qkv_bias\":true,\"attention_bias\":false}", 314496},
        {"{" BAICHUAN "}",
         2 * 125696ULL * 4096 + 4096 + 32 * (4 * 4096ULL * 4096 + 3 * 4096ULL * 11008 + 2 * 4096)},
        {"{" CRYSTAL "}", (26960145024 - 4 * 32032ULL * 4096 - 32 * (2048ULL * 2048 + 4)) / 4},
        {"{" SMALL("olmo") "}", 311296},
        {"{" SMALL("olmo2") "}", 313152},
        {"{" SMALL("olmo2") ",\"attention_bias\":true}", 314688},
        {"{" SMALL("olmo3") ",\"rope_theta\":500000}", 313152},
        {"{" PICO "}", 64595328}, /* as its class counts them */
        {"{" BLOOM "}", 559214592},
        {"{" GPT2 "}", 124439808},
        {"{" GPT2 ",\"n_inner\":3072,\"tie_word_embeddings\":false}", 124439808 + 50257 * 768},
        {"{" GPT2 ",\"n_inner\":768}", 124439808 - 12 * (2 * 768 * 2304 + 2304)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t count = 0;
        struct err err = ERR_INIT;
        struct model_config config = parse(cases[i].json);
        assert_int_equal(model_config_parameter_count(&config, &count, &err), 0);
        assert_int_equal(count, cases[i].parameters);
    }
    static const char *const uncounted[] = {
        "{\"model_type\":\"llama\"}",
        "{\"model_type\":\"bloom\"}",
        "{\"model_type\":\"opt\"}",
        "{\"model_type\":\"gpt2\"}",
        "{" GPT2 ",\"hidden_size\":1}",
        "{" LLAMA ",\"per_layer_config\":{\"1\":{\"intermediate_size\":1}}}",
        "{" SMALL("modernbert-decoder") "}",
    };
    for (size_t i = 0; i < sizeof uncounted / sizeof uncounted[0]; i++) {
        uint64_t count = 0;
        struct err err = ERR_INIT;
        struct model_config config = parse(uncounted[i]);
        assert_int_equal(model_config_parameter_count(&config, &count, &err), ERR_UNSUPPORTED);
    }
    /* More heads than dimensions, which is told, too, where it is to be scored. */
    uint64_t count = 0;
    struct err err = ERR_INIT;
    struct model_config narrow =
        parse("{\"model_type\":\"llama\",\"vocab_size\":9,\"hidden_size\":2,"
              "\"num_hidden_layers\":1,\"num_attention_heads\":4,\"intermediate_size\":8}");
    assert_int_equal(model_config_parameter_count(&narrow, &count, &err), ERR_UNSUPPORTED);
    struct model_config wide = parse("{" LLAMA ",\"head_dim\":1048576}");
    assert_int_equal(model_config_parameter_count(&wide, &count, &err), ERR_LIMIT);
}

/* Beside what tests/e2e/golden/families.py shows of each key. */
static void test_llama_kinds(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct model_config mistral = parse("{" SMALL("mistral") "}"), qwen2 = parse("{" SMALL("qwen2") "}");
    assert_int_equal(mistral.sliding_window, 4096);
    assert_int_equal(qwen2.sliding_window, 0);
    assert_int_equal(parse("{" SMALL("qwen3") "}").head_size, 128); /* as the class has it */
    struct model_config smollm3 = parse("{" SMALL("smollm3") "}");
    assert_int_equal(smollm3.unrotated_layers[0], 0x88);
    assert_true(smollm3.is_tied && fabs(smollm3.rotary_base - 2000000) < 1e-9);
    struct model_config llama3 =
        parse("{" LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1.0,"
              "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}}");
    assert_string_equal(llama3.doubt, "");
    assert_true(fabs(llama3.rotary_factor - 8) < 1e-12 && fabs(llama3.rotary_high_factor - 4) < 1e-12);
    assert_int_equal(llama3.rotary_original_positions, 8192);
    struct model_config pico = parse("{" PICO ",\"tie_word_embeddings\":true,\"n_positions\":9}");
    assert_string_equal(pico.doubt, "");
    assert_true(!pico.is_tied && pico.key_value_head_count == 4 && pico.max_positions == 2048);
    assert_int_equal(model_config_check_scoring(&pico, &err), 0);
    struct model_config crystal = parse("{" CRYSTAL "}");
    assert_string_equal(crystal.doubt, "");
    assert_true(crystal.is_tied && crystal.rotary_dimensions == 32);
    assert_true(fabs(crystal.attention_multiplier * 128 - 1) < 1e-15);
    assert_true(fabs(crystal.embedding_multiplier - 14.6) < 1e-12 &&
                fabs(crystal.logit_multiplier - 0.13875) < 1e-12);
    /* Not 0, which would be no multiplier at all. */
    assert_true(
        parse("{\"model_type\":\"crystalcoder\",\"mup_output_alpha\":1e-200,\"mup_width_scale\":1e-200}")
            .logit_multiplier > 0);
    struct model_config tiny =
        parse("{" SMALL("minicpm") ",\"scale_depth\":4.95e-324,\"dim_model_base\":4.95e-324}");
    assert_true(tiny.residual_multiplier > 0 && tiny.logit_multiplier > 0);
    assert_string_equal(parse("{" SMALL("minicpm") ",\"num_experts\":0,\"pretraining_tp\":1}").doubt, "");
    assert_string_equal(parse("{" SMALL("minicpm") ",\"num_experts\":4.0}").doubt,
                        "\"num_experts\" is not 0");
    assert_string_equal(parse("{" SMALL("minicpm") ",\"pretraining_tp\":2.0}").doubt,
                        "\"pretraining_tp\" is more than 1");
    /* A width that is left out is the class's own: nobody means it. */
    assert_int_equal(parse("{\"model_type\":\"llama\",\"hidden_size\":64}").intermediate_size, 0);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
        int code;
    } cases[] = {
        {"", "not JSON", ERR_FORMAT},
        {"[]", "not a JSON object", ERR_FORMAT},
        {"{\"hidden_size\":\"64\"}", "\"hidden_size\" is not a size", ERR_FORMAT},
        {"{\"hidden_size\":-1}", "\"hidden_size\" is not a size", ERR_FORMAT},
        {"{\"hidden_size\":null,\"n_embd\":-1}", "\"n_embd\" is not a size", ERR_FORMAT},
        {"{\"layer_norm_epsilon\":\"1\"}", "\"layer_norm_epsilon\" is not a number", ERR_FORMAT},
        {"{\"hidden_size\":9000000000}", "\"hidden_size\" is not a size", ERR_FORMAT},
        {"{\"hidden_size\":1.5}", "\"hidden_size\" is not a size", ERR_FORMAT},
        {"{\"model_type\":1}", "\"model_type\" is not a string", ERR_FORMAT},
        {"{\"rotary_pct\":\"x\"}", "\"rotary_pct\" is not a number", ERR_FORMAT},
        {"{\"rope_parameters\":{\"rope_type\":7}}", "rope_parameters: \"rope_type\" is not a string",
         ERR_FORMAT},
        {"{\"rope_parameters\":{\"rope_type\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}}", "longer than",
         ERR_LIMIT},
        {"{\"rope_parameters\":{\"rope_theta\":\"x\"}}", "rope_parameters: \"rope_theta\"", ERR_FORMAT},
        {"{\"rope_parameters\":\"linear\"}", "\"rope_parameters\" is not an object", ERR_FORMAT},
        {"{\"rope_scaling\":[2]}", "\"rope_scaling\" is not an object", ERR_FORMAT},
        {"{\"tie_word_embeddings\":1}", "neither true nor false", ERR_FORMAT},
        {"{\"bos_token_id\":\"x\"}", "not a token id", ERR_FORMAT},
        {"{\"vocab_size\":1,\"vocab_size\":2}", "duplicate", ERR_FORMAT},
        {"{\"hidden_act\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", "longer than", ERR_LIMIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_config config;
        struct err err = ERR_INIT;
        int code = model_config_parse(cases[i].json, strlen(cases[i].json), &config, &err);
        if (code != cases[i].code || !strstr(err.message, cases[i].says))
            fail_msg("%s: code %d, \"%s\"", cases[i].json, code, err.message);
    }
}

static const struct {
    const char *json, *says;
    int code;
} refusals[] = {
    {"{" PYTHIA "}", "", 0},
    {"{\"model_type\":\"hf_olmo\"}", "\"rope\" is not true: for model_type \"hf_olmo\" scoring is not",
     ERR_UNSUPPORTED},
    {"{" HF_OLMO "}", "", 0},
    {"{\"model_type\":\"hf_olmo\",\"rope\":true,\"d_model\":0}", "lacks a size", ERR_FORMAT},
    {"{" HF_OLMO ",\"n_kv_heads\":-1}", "\"n_kv_heads\" is no size", ERR_UNSUPPORTED},
    {"{" HF_OLMO ",\"n_kv_heads\":5}", "do not fit", ERR_FORMAT},
    {"{" HF_OLMO ",\"mlp_hidden_size\":\"3072\"}", "\"mlp_hidden_size\" is no size", ERR_UNSUPPORTED},
    {"{" HF_OLMO ",\"scale_logits\":1}", "\"scale_logits\" is neither", ERR_UNSUPPORTED},
    {"{" HF_OLMO ",\"clip_qkv\":\"8\"}", "\"clip_qkv\" is no positive", ERR_UNSUPPORTED},
    {"{" HF_OLMO ",\"quantization_config\":{}}", "\"quantization_config\"", ERR_UNSUPPORTED},
    {"{" SMALL("olmo3") ",\"rope_parameters\":{\"full_attention\":{\"rope_theta\":7},"
                        "\"sliding_attention\":{\"rope_theta\":7,\"type\":\"default\"}}}",
     "", 0},
    {"{" SMALL("olmo3") ",\"rope_parameters\":{\"full_attention\":{\"rope_theta\":7},"
                        "\"sliding_attention\":{\"rope_theta\":\"7\",\"type\":\"default\"}}}",
     "\"rope_theta\" differs from layer to layer", ERR_UNSUPPORTED},
    {"{" SMALL("olmo") ",\"clip_qkv\":8}", "\"clip_qkv\" is no positive number such as 8.0", ERR_UNSUPPORTED},
    {"{\"model_type\":\"opt\"}", "model_type \"opt\"", ERR_UNSUPPORTED},
    {"{\"model_type\":\"bloom\"}", "lacks a size", ERR_FORMAT},
    {"{" BLOOM "}", "", 0},
    {"{" BLOOM ",\"slow_but_exact\":0}", "\"slow_but_exact\" is neither", ERR_UNSUPPORTED},
    {"{" BLOOM ",\"max_position_embeddings\":512}", "which no BLOOM has", ERR_UNSUPPORTED},
    {"{\"model_type\":\"llama\"}", "lacks a size", ERR_FORMAT},
    {"{" GPT2 "}", "", 0},
    {"{" GPT2 ",\"scale_attn_weights\":1}", "\"scale_attn_weights\" is neither", ERR_UNSUPPORTED},
    {"{" GPT2 ",\"max_position_embeddings\":512}", "is not n_positions", ERR_UNSUPPORTED},
    {"{" LLAMA "}", "", 0},
    {"{" LLAMA ",\"num_key_value_heads\":0}", "lacks a size", ERR_FORMAT},
    {"{" LLAMA ",\"num_key_value_heads\":64}", "do not fit", ERR_FORMAT},
    {"{" LLAMA ",\"head_dim\":33}", "rotated part", ERR_FORMAT},
    {"{" LLAMA ",\"head_dim\":0}", "\"head_dim\" is no size", ERR_UNSUPPORTED},
    {"{" LLAMA ",\"head_dim\":\"128\"}", "\"head_dim\" is no size", ERR_UNSUPPORTED},
    {"{" LLAMA ",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":\"2\"}}", "\"factor\" of the rotary",
     ERR_UNSUPPORTED},
    {"{" LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":2,\"low_freq_factor\":1,"
     "\"high_freq_factor\":4,\"original_max_position_embeddings\":-1}}",
     "\"original_max_position_embeddings\"", ERR_UNSUPPORTED},
    {"{" SMALL("mistral") ",\"sliding_window\":0}", "\"sliding_window\" is no number", ERR_UNSUPPORTED},
    {"{" SMALL("mistral") ",\"sliding_window\":[4]}", "\"sliding_window\" is no number", ERR_UNSUPPORTED},
    {"{" SMALL("qwen2") ",\"layer_types\":{}}", "\"layer_types\" is no list", ERR_UNSUPPORTED},
    {"{" SMALL("qwen2") ",\"use_sliding_window\":null}", "\"use_sliding_window\" is null", ERR_UNSUPPORTED},
    {"{" SMALL("qwen2") ",\"use_sliding_window\":true,\"max_window_layers\":\"2\"}", "\"max_window_layers\"",
     ERR_UNSUPPORTED},
    {"{" SMALL("qwen3") ",\"head_dim\":null}", "\"head_dim\" is null", ERR_UNSUPPORTED},
    {"{" SMALL("qwen3") ",\"head_dim\":9}", "rotated part", ERR_FORMAT},
    {"{" SMALL("qwen3") ",\"head_dim\":2097152}", "\"head_dim\" is no size", ERR_UNSUPPORTED},
    {"{" SMALL("olmoe") "}", "", 0},
    {"{" SMALL("olmoe") ",\"num_experts\":0}", "\"num_experts\" is no number of experts", ERR_UNSUPPORTED},
    {"{" SMALL("olmoe") ",\"num_experts\":-1}", "\"num_experts\" is no number of experts", ERR_UNSUPPORTED},
    {"{" SMALL("olmoe") ",\"num_experts\":4097}", "from 1 to 4096", ERR_UNSUPPORTED},
    {"{" SMALL("olmoe") ",\"num_experts\":\"64\"}", "\"num_experts\" is no number", ERR_UNSUPPORTED},
    {"{" SMALL("olmoe") ",\"num_experts\":4}", "\"num_experts_per_tok\" is more than", ERR_UNSUPPORTED},
    {"{" SMALL("olmoe") ",\"num_experts_per_tok\":0}", "\"num_experts_per_tok\" is no number",
     ERR_UNSUPPORTED},
    {"{" SMALL("olmoe") ",\"norm_topk_prob\":1}", "\"norm_topk_prob\" is neither", ERR_UNSUPPORTED},
    {"{" SMALL("olmoe") ",\"num_local_experts\":8}", "\"num_local_experts\" is not num_experts",
     ERR_UNSUPPORTED},
    {"{" SMALL("olmoe") ",\"head_dim\":32}", "\"head_dim\" is not hidden_size divided", ERR_UNSUPPORTED},
    {"{" SMALL("olmoe") ",\"sliding_window\":32}", "\"sliding_window\" is there", ERR_UNSUPPORTED},
    {"{" SMALL("qwen3_moe") "}", "lacks a size", ERR_FORMAT}, /* an expert's width */
    {"{" SMALL("qwen3_moe") ",\"moe_intermediate_size\":24,\"mlp_only_layers\":[0]}",
     "\"mlp_only_layers\" names", ERR_UNSUPPORTED},
    {"{" SMALL("qwen3_moe") ",\"moe_intermediate_size\":24,\"decoder_sparse_step\":2}",
     "\"decoder_sparse_step\" is not 1", ERR_UNSUPPORTED},
    {"{" SMALL("apertus") APERTUS_ROPE "}", "", 0},
    {"{" SMALL("apertus") "}", "\"rope_scaling\" is not there", ERR_UNSUPPORTED},
    {"{" SMALL("apertus") APERTUS_ROPE ",\"hidden_act\":\"silu\"}", "activation \"silu\"", ERR_UNSUPPORTED},
    {"{" LLAMA ",\"hidden_act\":\"xielu\"}", "activation \"xielu\"", ERR_UNSUPPORTED},
    {"{" SMALL("smollm3") ",\"no_rope_layers\":[0,1,2,1,1,1,1,1]}", "else than 0 and 1", ERR_UNSUPPORTED},
    {"{" SMALL("smollm3") ",\"no_rope_layers\":4}", "no list of all layers", ERR_UNSUPPORTED},
    {"{" PYTHIA ",\"rope_scaling\":{\"type\":\"linear\"}}", "type \"linear\"", ERR_UNSUPPORTED},
    {"{\"model_type\":\"gpt_neox\",\"hidden_act\":\"mish\"}", "activation \"mish\"", ERR_UNSUPPORTED},
    {"{\"model_type\":\"gpt_neox\"}", "lacks a size", ERR_FORMAT},
    {"{" PYTHIA ",\"num_key_value_heads\":2}", "", 0}, /* which its class passes over */
    {"{\"model_type\":\"gpt_neox\",\"vocab_size\":1,\"hidden_size\":6,\"num_hidden_layers\":1,"
     "\"num_attention_heads\":4,\"max_position_embeddings\":8}",
     "do not fit", ERR_FORMAT},
    {"{\"model_type\":\"gpt_neox\",\"vocab_size\":1,\"n_embd\":8,\"n_layer\":1,\"n_head\":2,"
     "\"max_position_embeddings\":8}",
     "lacks a size", ERR_FORMAT},
    {"{" PYTHIA ",\"use_parallel_residual\":null}", "\"use_parallel_residual\" is null", ERR_UNSUPPORTED},
    {"{" PYTHIA ",\"head_dim\":32}", "\"head_dim\" is not", ERR_UNSUPPORTED},
    {"{" PYTHIA ",\"head_dim\":64,\"n_positions\":2048}", "", 0},
    {"{" PYTHIA ",\"n_positions\":\"2048\"}", "\"n_positions\" is not", ERR_UNSUPPORTED},
    {"{" PYTHIA ",\"rope_scaling\":{\"type\":\"linear\",\"rope_type\":\"default\"}}", "differ",
     ERR_UNSUPPORTED},
    {"{" PYTHIA ",\"pruned_heads\":{\"0\":[1]}}", "\"pruned_heads\"", ERR_UNSUPPORTED},
    {"{" PYTHIA ",\"pruned_heads\":{},\"quantization_config\":null}", "", 0},
    {"{" PYTHIA ",\"quantization_config\":{\"bits\":4}}", "\"quantization_config\"", ERR_UNSUPPORTED},
    {"{" PYTHIA ",\"rotary_pct\":1.5}", "rotated part", ERR_FORMAT},
    {"{" PYTHIA ",\"rotary_pct\":0.05}", "rotated part", ERR_FORMAT},
    {"{" PYTHIA ",\"rotary_emb_base\":0}", "base of the rotary embeddings, 0,", ERR_FORMAT},
};

static void test_scoring_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct model_config config = parse(refusals[i].json);
        struct err err = ERR_INIT;
        int code = model_config_check_scoring(&config, &err);
        if (code != refusals[i].code || !strstr(err.message, refusals[i].says))
            fail_msg("%s: code %d, \"%s\"", refusals[i].json, code, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_garden),           cmocka_unit_test(test_rotary_spellings),
        cmocka_unit_test(test_masked_models),    cmocka_unit_test(test_other_families),
        cmocka_unit_test(test_parameter_count),  cmocka_unit_test(test_parameter_count_of_other_families),
        cmocka_unit_test(test_llama_kinds),      cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_scoring_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
