/* What config.json is refused for: by any use, and by scoring alone. */
#include "tests/unit/base/no_memory.h"
#include "tests/unit/model/configs.h"

static void assert_refusal(const char *json, int code, int expected, const struct err *err, const char *says)
{
    if (code != expected || !strstr(err->message, says))
        print_error("%s: code %d, \"%s\"\n", json, code, err->message);
    assert_int_equal(code, expected);
    assert_non_null(strstr(err->message, says));
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
        assert_refusal(cases[i].json, code, cases[i].code, &err, cases[i].says);
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
    {"{" PYTHIA
     ",\"pruned_heads\":{\"0\":[1]},\"use_parallel_residual\":null,\"quantization_config\":{\"bits\":4}}",
     "\"use_parallel_residual\" is null; \"pruned_heads\" names heads; \"quantization_config\" asks for "
     "rounded",
     ERR_UNSUPPORTED},
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
        assert_refusal(refusals[i].json, code, refusals[i].code, &err, refusals[i].says);
    }
}

/* What a family's reader puts into the object in place of other names must not be missing without a word:
 * each allocation fails once. */
static void test_a_lack_of_memory(void **state)
{
    static const char *const texts[] = {
        "{" PYTHIA "}",
        "{" PICO "}",
        "{" BLOOM "}",
        "{" LLAMA ",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":2.0},\"rope_theta\":5000.0}",
        "{" HF_OLMO "}",
        "{" CRYSTAL "}",
        "{\"model_type\":\"stablelm_epoch\",\"hidden_size\":64,\"rope_pct\":0.25,\"norm_eps\":1e-5}",
        "{\"model_type\":\"modernbert-decoder\",\"hidden_size\":64,\"global_rope_theta\":1e4,"
        "\"norm_bias\":true,\"mlp_bias\":false}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (unsigned nth = 1;; nth++) {
            struct err err = ERR_INIT;
            struct model_config config = {0};
            countdown = nth;
            int code = model_config_parse(texts[i], strlen(texts[i]), &config, &err);
            if (countdown) /* there are fewer */
                break;
            if (code != ERR_NO_MEMORY)
                print_error("%s: without allocation %u: code %d %s\n", texts[i], nth, code, err.message);
            assert_int_equal(code, ERR_NO_MEMORY);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_scoring_refusals),
        cmocka_unit_test_setup_teardown(test_a_lack_of_memory, let_memory_fail, restore_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
