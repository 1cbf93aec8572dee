#include "tests/unit/model/configs.h"

#include "daemon/base/file.h"

#include <math.h>
#include <stdio.h>

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
    struct model_config discriminator =
        parse("{\"model_type\":\"electra\",\"architectures\":[\"ElectraForPreTraining\"]}");
    assert_int_equal(model_config_check_scoring(&discriminator, &err), ERR_UNSUPPORTED);
    assert_null(strstr(err.message, "masked"));
    assert_non_null(strstr(err.message, "whether it was replaced"));
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
        {"{" SMALL("nemotron") "}", 264320},
        {"{" SMALL("nemotron") ",\"attention_bias\":true,\"mlp_bias\":true}", 267136},
        {"{" SMALL("opensci") ",\"qk_layernorm\":true}", 312640},
        {"{" SMALL("opensci") ",\"qk_layernorm\":true,\"attention_bias\":true,\"mlp_bias\":true}", 316224},
        {"{" SMALL("dots1") ",\"n_routed_experts\":4,\"num_experts_per_tok\":2,\"n_shared_experts\":2,"
                            "\"moe_intermediate_size\":8,\"first_k_dense_replace\":1,\"head_dim\":16}",
         249920},
        {"{" SMALL("kormo") ",\"head_dim\":16,\"attention_bias\":true,\"mlp_bias\":true}", 312384},
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
}

static void test_parameters_that_are_not_counted(void **state)
{
    (void)state;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_garden),
        cmocka_unit_test(test_rotary_spellings),
        cmocka_unit_test(test_masked_models),
        cmocka_unit_test(test_other_families),
        cmocka_unit_test(test_parameter_count),
        cmocka_unit_test(test_parameter_count_of_other_families),
        cmocka_unit_test(test_parameters_that_are_not_counted),
        cmocka_unit_test(test_llama_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
