/* Which configurations are refused, and with which words; what follows from those that are taken. */
#include "gpu/score_alibi.h"
#include "tests/unit/score/configs.h"

static void configs(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    const struct score_config good = config_of("160m");
    assert_int_equal(score_config_check(&good, &err), 0);
    struct score_config bad = good;
    (void)snprintf(bad.architecture, sizeof bad.architecture, "opt");
    assert_refused(bad, ERR_UNSUPPORTED, "models of type \"opt\" cannot be scored, only gpt_neox");
    (void)snprintf(bad.architecture, sizeof bad.architecture, "baichuan");
    bad.is_tied = 1;
    assert_refused(bad, ERR_UNSUPPORTED, "of type baichuan the unembedding, whose rows get length 1, is not");
    bad = good;
    bad.head_count = 7;
    assert_refused(bad, ERR_INVALID, "7 heads do not divide the hidden size 768");
    bad = good;
    bad.layer_count = 0;
    assert_refused(bad, ERR_INVALID, "number of layers must be at least 1");
    bad = good;
    bad.hidden_size = 1ULL << 40;
    assert_refused(bad, ERR_LIMIT, "hidden size");
    bad = good;
    bad.rotary_dimensions = 15;
    assert_refused(bad, ERR_UNSUPPORTED, "15 rotated dimensions");
    bad.rotary_dimensions = 66;
    assert_refused(bad, ERR_UNSUPPORTED, "at most the 64 of a head");
    bad = good;
    bad.rotary_base = (double)NAN;
    assert_refused(bad, ERR_INVALID, "base of the rotary embedding");
    bad = good;
    bad.norm_epsilon = -1;
    assert_refused(bad, ERR_INVALID, "epsilon");
    bad = good;
    bad.qkv_limit = (double)NAN;
    assert_refused(bad, ERR_INVALID, "limit of queries, keys and values");
    bad = good;
    bad.activation = SCORE_ACTIVATION_COUNT;
    assert_refused(bad, ERR_UNSUPPORTED, "activation");
    bad.activation = SCORE_ACTIVATION_XIELU;
    assert_refused(bad, ERR_UNSUPPORTED, "of type gpt_neox the activation cannot be xIELU");
    bad = family_of("apertus");
    assert_refused(bad, ERR_UNSUPPORTED, "of type apertus the activation can only be xIELU");
}

static void beside_experts(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct score_config good = family_of("dots1");
    good.expert_count = 4, good.experts_per_input = 2, good.router = SCORE_ROUTER_SIGMOID;
    good.shared_size = 6, good.dense_layer_count = good.layer_count - 1, good.dense_size = 9;
    assert_int_equal(score_config_check(&good, &err), 0);
    struct score_config bad = good;
    bad.router = SCORE_ROUTER_SOFTMAX;
    assert_refused(bad, ERR_UNSUPPORTED, "of type dots1 have another router");
    bad = good;
    bad.router_scale = (double)INFINITY;
    assert_refused(bad, ERR_INVALID, "must not be multiplied with inf");
    bad = good;
    bad.shared_size = 0;
    assert_refused(bad, ERR_INVALID, "size of the shared experts");
    bad.shared_size = UINT64_MAX;
    assert_refused(bad, ERR_LIMIT, "size of the shared experts");
    bad = good;
    bad.dense_size = 0;
    assert_refused(bad, ERR_INVALID, "size of layers without experts");
    bad = good;
    bad.dense_layer_count = bad.layer_count;
    assert_refused(bad, ERR_INVALID, "layers without experts of");
}

static void heads(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    const struct score_config good = family_of("llama");
    assert_int_equal(score_config_check(&good, &err), 0);
    struct score_config bad = good;
    bad.key_value_head_count = 3;
    assert_refused(bad, ERR_INVALID, "3 heads of keys and values do not divide the 4 of queries");
    bad.key_value_head_count = 8;
    assert_refused(bad, ERR_INVALID, "8 heads of keys and values do not divide");
    bad.key_value_head_count = UINT64_MAX;
    assert_refused(bad, ERR_INVALID, "do not divide");
    bad = good;
    bad.head_size = 0;
    assert_refused(bad, ERR_INVALID, "4 heads do not divide the hidden size 6");
    bad.head_size = 7;
    assert_refused(bad, ERR_UNSUPPORTED, "at most the 7 of a head");
    bad.rotary_dimensions = 7;
    assert_refused(bad, ERR_UNSUPPORTED, "must be even");
    bad = good;
    bad.head_size = UINT64_MAX / 2;
    assert_refused(bad, ERR_LIMIT, "size of a head");
    bad.head_size = LIMIT_SCORE_WIDTH / 2;
    assert_refused(bad, ERR_LIMIT, "size of all heads is 2097152");
    bad = good;
    (void)snprintf(bad.architecture, sizeof bad.architecture, "gpt_neox");
    assert_refused(bad, ERR_UNSUPPORTED, "must make up the hidden size 6");
    bad.head_count = 3, bad.key_value_head_count = 1, bad.head_size = 2, bad.rotary_dimensions = 2;
    assert_refused(bad, ERR_UNSUPPORTED, "1 of them with keys of their own");
    bad.key_value_head_count = 3;
    assert_int_equal(score_config_check(&bad, &err), 0);
    bad = good;
    bad.expert_count = 4, bad.experts_per_input = 2;
    assert_refused(bad, ERR_UNSUPPORTED, "models of type llama have no experts");
    bad = family_of("olmoe");
    assert_refused(bad, ERR_INVALID, "number of experts must be at least 1");
    bad.expert_count = 4;
    assert_refused(bad, ERR_INVALID, "number of experts of an input must be at least 1");
    bad.experts_per_input = 5;
    assert_refused(bad, ERR_LIMIT, "number of experts of an input is 5, more than 4");
    bad.experts_per_input = 4;
    assert_int_equal(score_config_check(&bad, &err), 0);
    bad.router = SCORE_ROUTER_SIGMOID;
    assert_refused(bad, ERR_UNSUPPORTED, "of type olmoe have another router");
    bad.router = SCORE_ROUTER_SOFTMAX, bad.router_scale = 2;
    assert_refused(bad, ERR_INVALID, "must not be multiplied with 2");
    bad.router_scale = 0, bad.shared_size = 8;
    assert_refused(bad, ERR_UNSUPPORTED, "of type olmoe have experts in each layer, and no others");
    bad.shared_size = 0;
    bad.expert_count = UINT64_MAX;
    assert_refused(bad, ERR_LIMIT, "number of experts");
    bad.expert_count = LIMIT_SCORE_EXPERTS, bad.layer_count = LIMIT_SCORE_LAYERS;
    assert_refused(bad, ERR_LIMIT, "4096 layers of 4096 experts have more tensors than 100000");
    bad = family_of("olmo2");
    bad.has_parallel_residual = 1;
    assert_refused(bad, ERR_UNSUPPORTED, "olmo2 have no parallel residual");
}

static void rotary_scaling(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct score_config config = family_of("smollm3");
    const struct score_rotary_scaling good = {SCORE_ROTARY_LLAMA3, 32, 1, 4, 8192, 0};
    config.rotary_scaling = good;
    assert_int_equal(score_config_check(&config, &err), 0);
    config.rotary_scaling.factor = 0;
    assert_refused(config, ERR_INVALID, "factor of the rotary embedding must be positive, not 0");
    config.rotary_scaling.kind = SCORE_ROTARY_LINEAR;
    assert_refused(config, ERR_INVALID, "must be positive");
    config.rotary_scaling = good;
    config.rotary_scaling.high_frequency_factor = 1;
    assert_refused(config, ERR_INVALID, "the low one the smaller");
    config.rotary_scaling.high_frequency_factor = (double)NAN;
    assert_refused(config, ERR_INVALID, "the low one the smaller");
    config.rotary_scaling = good;
    config.rotary_scaling.original_positions = 0;
    assert_refused(config, ERR_INVALID, "original positions");
    config.rotary_scaling = good;
    config.rotary_scaling.kind = SCORE_ROTARY_YARN;
    assert_refused(config, ERR_INVALID, "attention factor and the base");
    config.rotary_scaling.attention_factor = 1.2;
    assert_int_equal(score_config_check(&config, &err), 0);
    config.rotary_base = 1;
    assert_refused(config, ERR_INVALID, "and the base above 1");
    config.rotary_base = 10000;
    config.rotary_scaling.kind = SCORE_ROTARY_COUNT;
    assert_refused(config, ERR_UNSUPPORTED, "unknown scaling");
    assert_true(score_layer_is_rotated(&config, LIMIT_SCORE_LAYERS - 1));
    score_layer_leave_unrotated(&config, 3);
    score_layer_leave_unrotated(&config, LIMIT_SCORE_LAYERS - 1);
    for (uint64_t i = 0; i < LIMIT_SCORE_LAYERS; i++)
        assert_int_equal(score_layer_is_rotated(&config, i), i != 3 && i != LIMIT_SCORE_LAYERS - 1);
}

/* What the scores of attention are multiplied with. */
static void attention_scale(void **state)
{
    (void)state;
    struct score_config config = config_of("14m"); /* heads of 32 */
    const double root = 1 / sqrt(32.0);
    assert_true(fabs(score_attention_scale(&config, 3) - root) < 1e-15);
    config.has_attention_scale_by_layer = 1;
    assert_true(fabs(score_attention_scale(&config, 3) - root / 4) < 1e-15);
    config.has_unscaled_attention = 1;
    assert_true(fabs(score_attention_scale(&config, 3) - 0.25) < 1e-15);
    config.has_attention_scale_by_layer = 0;
    assert_true(fabs(score_attention_scale(&config, 3) - 1) < 1e-15);
}

/* Of 8 heads 1/2 to 1/256; of 12 those, and four from between them. */
static void alibi_slopes(void **state)
{
    (void)state;
    static const double exponents[] = {1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5};
    for (uint64_t head = 0; head < 12; head++) {
        const double want = exp2(-exponents[head]);
        if (head < 8)
            assert_true(fabs((double)score_alibi_slope(head, 8) - want) < 1e-6 * want);
        assert_true(fabs((double)score_alibi_slope(head, 12) - want) < 1e-6 * want);
    }
    assert_true(fabs((double)score_alibi_slope(0, 1) - exp2(-8)) < 1e-9);
    assert_true(fabs((double)score_alibi_slope(2, 3) - exp2(-2)) < 1e-6);
    assert_true(fabs((double)score_alibi_slope(1, 2) - exp2(-8)) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configs),        cmocka_unit_test(heads),           cmocka_unit_test(beside_experts),
        cmocka_unit_test(rotary_scaling), cmocka_unit_test(attention_scale), cmocka_unit_test(alibi_slopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
