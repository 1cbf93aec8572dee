#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/model/revision.h"

#include <stdlib.h>
#include <string.h>

/* How the families name theirs, and what is no name of a step. */
static const struct {
    const char *model, *revision;
    int is_step;
    int64_t stage, ingredient, step, tokens;
} published[] = {
    {"EleutherAI/pythia-70m", "step0", 1, 0, 0, 0, 0},
    {"EleutherAI/pythia-70m", "step143000", 1, 0, 0, 143000, 299892736000},
    {"garden/neox-tiny", "step512", 1, 0, 0, 512, -1},
    {NULL, "step512", 1, 0, 0, 512, -1},
    {"togethercomputer/RedPajama-INCITE-7B-Base", "240b_tokens", 1, 0, 0, 240000000000, 240000000000},
    {"allenai/OLMo-7B", "step1000-tokens4B", 1, 0, 0, 1000, 4000000000},
    {"swiss-ai/Apertus-8B-2509", "step2300000-tokens12272B", 1, 0, 0, 2300000, 12272000000000},
    {"swiss-ai/Apertus-8B-2509", "step2627139-tokens15T", 1, 0, 0, 2627139, 15000000000000},
    {"baichuan-inc/Baichuan2-7B-Intermediate-Checkpoints", "train_00220B", 1, 0, 0, 220000000000,
     220000000000},
    {"OpenNLPLab/TransNormerLLM3-15B-Intermediate-Checkpoints", "step13000-50Btokens", 1, 0, 0, 13000,
     50000000000},
    {"LLM360/CrystalCoder", "CrystalCoder_phase1_checkpoint_055500", 1, 1, 0, 55500, -1},
    {"trillionlabs/0.5B-Intermediate-Checkpoints", "0000020000", 1, 0, 0, 20000, -1},
    {"allenai/DataDecide-c4-150M", "step1250-seed-default", 1, 0, 0, 1250, -1},
    {"allenai/DataDecide-c4-150M", "step1250-seed-small-aux-2", 0, 0, 0, -1, -1}, /* another run */
    {"allenai/DataDecide-c4-1B", "step1250-seed-large-aux-3", 0, 0, 0, -1, -1},
    {"allenai/OLMo-2-1124-7B", "stage1-step140000-tokens294B", 1, 1, 0, 140000, 294000000000},
    {"allenai/OLMo-2-1124-7B", "stage2-ingredient1-step11931-tokens50B", 1, 2, 1, 11931, 50000000000},
    {"allenai/OLMo-2-1124-7B-Instruct", "step_360", 1, 0, 0, 360, -1},
    {"LLM360/Amber", "ckpt_000", 1, 0, 0, 0, 3497593824}, /* after the first of 360 chunks */
    {"LLM360/Amber", "ckpt_358", 1, 0, 0, 358, 1255636182816},
    {"IFM/Amber", "ckpt_359", 1, 0, 0, 359, 1259133776640}, /* the 1259.13B of its card */
    {"some/Amber", "ckpt_358", 1, 0, 0, 358, -1},
    {"allenai/OLMoE-1B-7B-0924", "step10000-tokens41B", 1, 0, 0, 10000, 41000000000},
    {"HuggingFaceTB/SmolLM3-3B-checkpoints", "stage1-step-40000", 1, 1, 0, 40000, 94371840000},
    {"HuggingFaceTB/SmolLM3-3B-checkpoints", "stage3-step-4720000", 1, 3, 0, 4720000, 11135877120000},
    {"HuggingFaceTB/SmolLM3-3B-checkpoints", "lc-4k-to-32k-step-20000", 1, 4, 0, 20000, -1},
    {"HuggingFaceTB/SmolLM3-3B-checkpoints", "lc-32k-to-64k-step-4000", 1, 5, 0, 4000, -1},
    {"HuggingFaceTB/SmolLM2-1.7B-intermediate-checkpoints", "step-125000", 1, 0, 0, 125000, 262144000000},
    {"HuggingFaceTB/SmolLM2-360M-intermediate-checkpoints", "step-160000", 1, 0, 0, 160000, 251658240000},
    {"HuggingFaceTB/SmolLM2-135M-intermediate-checkpoints", "step-240000", 1, 0, 0, 240000, -1},
    {"allenai/Olmo-3-1025-7B", "stage1-step999000", 1, 1, 0, 999000, -1},
    {"allenai/Olmo-3-1025-7B", "stage2-step9000", 1, 2, 0, 9000, -1},
    {"allenai/Olmo-3-1125-32B", "stage2-ingredient1-step7000", 1, 2, 1, 7000, -1},
    {"allenai/Olmo-3-7B-Think", "step_0025", 1, 0, 0, 25, -1},
    {"allenai/Olmo-Hybrid-7B", "stage3-step10000", 1, 3, 0, 10000, -1},
    {"common-pile/comma-v0.1-1t", "stage1-step010000-tokens21B", 1, 1, 0, 10000, 21000000000},
    {"common-pile/comma-v0.1-1t", "stage2-step018000-tokens1002B", 1, 2, 0, 18000, 1002000000000},
    {"tomg-group-umd/Gemstone-256x23", "step_00002385", 1, 0, 0, 2385, 10003415040},
    {"Gemstone-Models/Gemstone-1536x50_lr_ablation", "step_00000477", 1, 0, 0, 477, 2000683008},
    {"tomg-group-umd/Gemstone-256x23_cooldown", "step_00002385_cooldown_00002622", 0, 0, 0, -1,
     -1}, /* many runs */
    {"HPLT/hplt2c_eng_checkpoints", "checkpoint_0047684", 1, 0, 0, 47684, 100000595968},
    {"LLM360/K2-V2", "base_0020000", 1, 0, 0, 20000, -1},
    {"LLM360/K2-V2", "base_final", 0, 0, 0, -1, -1},
    {"some/model", "base_0020000", 0, 0, 0, -1, -1},
    {"OpenLLM-France/Lucie-7B", "step0753851", 1, 0, 0, 753851, -1},
    {"OpenLLM-France/Lucie-7B", "extension_step0001220", 1, 2, 0, 1220, -1},
    {"OpenCoder-LLM/OpenCoder-1.5B-Base-Checkpoints", "pretrain_iter_0484865", 1, 1, 0, 484865,
     2033671208960},
    {"OpenCoder-LLM/OpenCoder-8B-Base-Checkpoints", "pretrain_iter_0300000", 1, 1, 0, 300000, 2516582400000},
    {"OpenCoder-LLM/OpenCoder-8B-Base-Checkpoints", "anneal_iter_0010000", 1, 2, 0, 10000, -1},
    {"Zyphra/Zamba-7B-v1", "iter2500", 1, 0, 0, 2500, -1},
    {"stabilityai/stablelm-2-1_6b", "global_step420000", 1, 0, 0, 420000, -1},
    {"stanford-crfm/alias-gpt2-small-x21", "checkpoint-344000", 1, 0, 0, 344000, -1},
    {"LLM360/K2", "ckpt_360", 1, 0, 0, 360, 1415312179200}, /* 338,760 steps, 1.4T */
    {"LumiOpen/Poro-34B", "200B", 1, 0, 0, 200000000000, 200000000000},
    {"LumiOpen/Poro-34B", "1000B", 1, 0, 0, 1000000000000, 1000000000000},
    {"LumiOpen/Poro-34B", "main", 0, 0, 0, -1, -1},
    {"some/model", "200B", 0, 0, 0, -1, -1}, /* of a model's parameters, for all we know */
    {NULL, "200B", 0, 0, 0, -1, -1},
    {"file:/tinyllama", "step-1431k-3T", 1, 0, 0, 1431000, 3000000000000},
    {"file:/tinyllama", "step-1195k-token-2.5T", 1, 0, 0, 1195000, 2500000000000},
    {"openeurollm/datamix-2b-80-20", "checkpoint_0953675", 1, 0, 0, 953675, 4000002867200},
    {"open-sci/open-sci-ref-v0.01-0.13b-c4-300B-4096", "iter_0072000", 1, 0, 0, 72000, -1},
    {"CMU-FLAME/FLAME-MoE-290M-1.3B", "main:iter_0005473", 1, 0, 0, 5473, 11477712896},
    {"KORMo-Team/KORMo-10B-base", "step-144000", 1, 0, 0, 144000, -1},
    {"almanach/Gaperon-1125-8B", "step-0859000_tokens-1803B-phase2", 1, 2, 0, 859000, 1803000000000},
    {"almanach/Gaperon-1125-8B", "step-1409000_tokens-4110B-black-pepper", 0, 0, 0, -1, -1},
    {"HuggingFaceFW/ablation-model-fineweb-v1", "step-001000-2BT", 1, 0, 0, 1000, 2000000000},
    {"EleutherAI/deep-ignorance-pretraining-stage-unfiltered", "global_step119200", 1, 0, 0, 119200,
     499961036800},
    {"EleutherAI/deep-ignorance-unfiltered", "global_step11921", 1, 0, 0, 11921, -1},
    {"bigscience/bloom-560m-intermediate", "global_step5000", 1, 0, 0, 5000, -1},
    {"B-GPT/x", "128000", 1, 0, 0, 128000, -1},
    {"BabyLM-community/babylm-baseline-100m-gpt2", "chck_1M", 1, 0, 0, 1000000, -1}, /* words, no tokens */
    {"BabyLM-community/babylm-baseline-100m-gpt2", "chck_1000M", 1, 0, 0, 1000000000, -1},
    {"llm-slice/babylm-gpt2-small-90M-seed41_chck_200M_ppo", "chck_1200K", 1, 0, 0, 1200000, -1},
    {"jmichaelov/parc-mamba-seed0", "checkpoint-4000", 1, 0, 0, 4000, -1},
    {"HPLT/hplt_bert_base_2_0_lit-Latn", "step21875", 1, 0, 0, 21875, -1},
    {"ibraheemmoosa/xlmindic-base-uniscript", "500k", 1, 0, 0, 500000, -1},
    {"davidafrica/pico-maml-decoder-tiny", "step_5000", 1, 0, 0, 5000, -1},
    {"marin-community/marin-8b-base", "deeper-starling", 0, 0, 0, -1, -1}, /* phases, no steps */
    {NULL, "chck_9007199254740993M", 0, 0, 0, -1, -1},
    {NULL, "chck_9007199255M", 0, 0, 0, -1, -1},
    {NULL, "chck_M", 0, 0, 0, -1, -1},
    {NULL, "checkpoint-500", 1, 0, 0, 500, -1},
    {NULL, "iter_0001000", 1, 0, 0, 1000, -1},
    {NULL, "step1431k", 1, 0, 0, 1431000, -1},
    {NULL, "step5-tokens2.5T", 1, 0, 0, 5, 2500000000000},
    {NULL, "main", 0, 0, 0, -1, -1},
    {NULL, "refs/pr/1", 0, 0, 0, -1, -1},
    {NULL, "step", 0, 0, 0, -1, -1},
    {NULL, "step1x", 0, 0, 0, -1, -1},
    {NULL, "xstep1", 0, 0, 0, -1, -1},
    {NULL, "step-1-", 0, 0, 0, -1, -1},
    {NULL, "step99999999999999999999", 0, 0, 0, -1, -1},
    {NULL, "step9007199254740992", 1, 0, 0, 9007199254740992, -1}, /* 2^53: beyond, steps are no doubles */
    {NULL, "step9007199254740993", 0, 0, 0, -1, -1},
    {NULL, "9999999999999999", 0, 0, 0, -1, -1}, /* a date, a digest of digits */
    {NULL, "9999999t_tokens", 0, 0, 0, -1, -1},
    {NULL, "1.2345k_tokens", 1, 0, 0, 1234, 1234},
    {NULL, "9223372.9999999t_tokens", 0, 0, 0, -1, -1},
    {NULL, "1234567890123456789012345678901234567890", 0, 0, 0, -1, -1}, /* a commit of digits only */
    {NULL, "", 0, 0, 0, -1, -1},
    /* folders of a branch, by their last component */
    {"a/b", "main:checkpoint-500", 1, 0, 0, 500, -1},
    {"a/b", "dev/x:runs/a/step-500", 1, 0, 0, 500, -1},
    {"EleutherAI/pythia-70m", "main:step1", 1, 0, 0, 1, 2097152},
    {"a/b", "main:step5/onnx", 0, 0, 0, -1, -1},
    {"a/b", "step5:onnx", 0, 0, 0, -1, -1},
    {"file:/runs", "main:checkpoint-500", 0, 0, 0, -1, -1}, /* a folder's name */
    {"a/b", "main:../step5", 0, 0, 0, -1, -1},
    /* commits, by the Trainer's titles */
    {"a/b", "main^Training in progress, step 500", 1, 0, 0, 500, -1},
    {"a/b", "main^Training in progress, epoch 3", 1, 0, 0, 3, -1},
    {"a/b", "main^Training in progress, step 500, checkpoint", 0, 0, 0, -1, -1},
    {"a/b", "main^step5", 0, 0, 0, -1, -1},
    /* repositories, by the ends of their names */
    {"google/x", "hf://google/multiberts-seed_0-step_20k", 1, 0, 0, 20000, -1},
    {NULL, "hf://TinyLlama/TinyLlama-1.1B-intermediate-step-50K-105b", 1, 0, 0, 50000, 105000000000},
    {NULL, "hf://a/step-7", 1, 0, 0, 7, -1},
    {NULL, "hf://a/model-7", 0, 0, 0, -1, -1}, /* a size or a version, for all we know */
    {NULL, "hf://a/instep7", 0, 0, 0, -1, -1},
    {NULL, "hf://tomg-group-umd/Gemstone-256x23", 0, 0, 0, -1, -1}, /* width and depth */
    {NULL, "hf://marin-community/delphi-3e18-447Mparams-1.2Btokens", 0, 0, 0, -1, -1},
    {NULL, "hf://allenai/Emo_1b14b_130B", 0, 0, 0, -1, -1},
    {NULL, "hf://LLM360/K2-V2-base_0020000", 0, 0, 0, -1, -1},
};

static void test_published_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        struct model_revision revision;
        model_revision_parse(published[i].model, published[i].revision, NULL, &revision);
        if (revision.is_step != published[i].is_step || revision.stage != published[i].stage ||
            revision.ingredient != published[i].ingredient || revision.step != published[i].step ||
            revision.tokens != published[i].tokens)
            fail_msg("%s: %d %lld %lld %lld %lld", published[i].revision, revision.is_step,
                     (long long)revision.stage, (long long)revision.ingredient, (long long)revision.step,
                     (long long)revision.tokens);
    }
}

/* Named as 0, and not named, are two things. */
static void test_what_is_named(void **state)
{
    static const struct {
        const char *revision, *rule;
        int has_stage, has_ingredient;
        int64_t tokens;
    } cases[] = {
        {"step7", NULL, 0, 0, -1},
        {"step0-tokens0B", NULL, 0, 0, 0},
        {"stage1-step7-tokens1B", NULL, 1, 0, 1000000000},
        {"stage2-ingredient3-step7-tokens1B", NULL, 1, 1, 1000000000},
        {"s0i0-7", "s{stage}i{ingredient}-{step}", 1, 1, -1},
        {"anneal_iter_0001000", NULL, 1, 0, -1},
        {"anneal_iter_0001000", "anneal_iter_{step}", 0, 0, -1}, /* by a rule of one's own */
        {"main", NULL, 0, 0, -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_revision revision;
        model_revision_parse("a/b", cases[i].revision, cases[i].rule, &revision);
        assert_int_equal(revision.has_stage, cases[i].has_stage);
        assert_int_equal(revision.has_ingredient, cases[i].has_ingredient);
        assert_int_equal(revision.tokens, cases[i].tokens);
    }
    struct model_revision revision;
    model_revision_parse("EleutherAI/pythia-14m", "step0", NULL, &revision);
    assert_int_equal(revision.tokens, 0);
}

static void test_own_rules(void **state)
{
    (void)state;
    struct model_revision revision;
    model_revision_parse(NULL, "run7-00012.ckpt", "run7-{step}.ckpt", &revision);
    assert_true(revision.is_step && revision.step == 12);
    model_revision_parse(NULL, "step12", "run7-{step}.ckpt", &revision); /* the rule stands alone */
    assert_false(revision.is_step);
    model_revision_parse(NULL, "epoch=3-step=500.ckpt", "epoch={epoch}-step={step}.ckpt", &revision);
    assert_true(revision.is_step && revision.step == 500 && revision.stage == 0 && !revision.has_stage);
    model_revision_parse(NULL, "hf://a/x-chck_2M", "hf://a/x-chck_{tokens}", &revision); /* words */
    assert_true(revision.is_step && revision.step == 2000000 && revision.tokens == -1);
    static const char model[] = "OpenCoder-LLM/OpenCoder-8B-Base-Checkpoints";
    model_revision_parse(model, "anneal_iter_0010000", "anneal_iter_{step}", &revision);
    assert_int_equal(revision.tokens, -1); /* its steps count from 0 again, whoever reads them */
    model_revision_parse(model, "pretrain_iter_0300000", "pretrain_iter_{step}", &revision);
    assert_int_equal(revision.tokens, 2516582400000);
}

static void test_units(void **state)
{
    static const struct {
        const char *model, *revision, *rule;
        enum step_unit unit;
    } cases[] = {
        {"a/b", "step1000", NULL, STEP_UNIT_STEPS},
        {"allenai/OLMo-7B", "step1000-tokens4B", NULL, STEP_UNIT_STEPS},
        {"a/b", "240b_tokens", NULL, STEP_UNIT_TOKENS},
        {"a/b", "train_00220B", NULL, STEP_UNIT_TOKENS},
        {"LumiOpen/Poro-34B", "200B", NULL, STEP_UNIT_TOKENS},
        {"a/b", "chck_100M", NULL, STEP_UNIT_WORDS},
        {"a/b", "hf://a/x-chck_100M", NULL, STEP_UNIT_WORDS},
        {"a/b", "main^Training in progress, step 500", NULL, STEP_UNIT_STEPS},
        {"a/b", "main^Training in progress, epoch 3", NULL, STEP_UNIT_EPOCHS},
        {"a/b", "x/epoch_3", "x/epoch_{step}", STEP_UNIT_EPOCHS},
        {"a/b", "Epoch-3", "Epoch-{step}", STEP_UNIT_EPOCHS},
        {"a/b", "epoch=3-step=500", "epoch={epoch}-step={step}", STEP_UNIT_STEPS},
        {"a/b", "step1000-tokens4B", "step*-tokens{tokens}", STEP_UNIT_TOKENS},
        {"a/b", "hf://a/x-chck_2M", "hf://a/x-chck_{tokens}", STEP_UNIT_WORDS},
        {"a/b", "main", NULL, STEP_UNIT_STEPS},
        {"LLM360/Amber", "ckpt_358", NULL, STEP_UNIT_CHECKPOINTS},
        {"LLM360/Amber", "ckpt_358", "ckpt_{step}", STEP_UNIT_CHECKPOINTS},
        {"LLM360/K2", "ckpt_360", NULL, STEP_UNIT_CHECKPOINTS},
        {"LLM360/K2-V2", "base_0020000", NULL, STEP_UNIT_STEPS},
        {"a/b", "ckpt_358", NULL, STEP_UNIT_STEPS},
        {NULL, "ckpt_358", NULL, STEP_UNIT_STEPS},
        {"a/b", "ckpt_358", "ckpt_{checkpoint}", STEP_UNIT_CHECKPOINTS},
        {"a/b", "save3-step500", "save{checkpoint}-step{step}", STEP_UNIT_STEPS},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_revision revision;
        model_revision_parse(cases[i].model, cases[i].revision, cases[i].rule, &revision);
        assert_int_equal(revision.unit, cases[i].unit);
    }
    struct model_revision revision;
    model_revision_parse("a/b", "save3", "save{checkpoint}", &revision);
    assert_true(revision.is_step && revision.step == 3 && revision.tokens == -1);
    /* a batch of tokens for each step says nothing of words and epochs */
    model_revision_parse("EleutherAI/pythia-14m", "chck_2M", NULL, &revision);
    assert_int_equal(revision.tokens, -1);
    model_revision_parse("EleutherAI/pythia-14m", "main^Training in progress, epoch 3", NULL, &revision);
    assert_int_equal(revision.tokens, -1);
}

static void test_rules_of_series(void **state)
{
    static const struct {
        const char *model, *rule;
    } cases[] = {
        {"google/multiberts-seed_0-step_20k", "hf://google/multiberts-seed_0-step_{step}"},
        {"TinyLlama/TinyLlama-1.1B-intermediate-step-50K-105b",
         "hf://TinyLlama/TinyLlama-1.1B-intermediate-step-{step}-{tokens}"},
        {"a/model-7", ""},
        {"step-7", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char rule[NAME_RULE_SIZE];
        assert_int_equal(model_revision_write_series_rule(cases[i].model, rule), cases[i].rule[0] != '\0');
        assert_string_equal(rule, cases[i].rule);
    }
}

static int compare(const void *a, const void *b)
{
    struct model_revision x, y;
    model_revision_parse(NULL, *(const char *const *)a, NULL, &x);
    model_revision_parse(NULL, *(const char *const *)b, NULL, &y);
    return model_revision_compare(&x, &y);
}

static void test_order(void **state)
{
    (void)state;
    const char *names[] = {"main",
                           "step1000",
                           "step2",
                           "stage2-ingredient2-step1-tokens1B",
                           "step512",
                           "stage1-step900-tokens2B",
                           "step0",
                           "stage2-ingredient1-step9-tokens1B",
                           "step1000-tokens5B",
                           "step1000-tokens4B"};
    static const char *const expected[] = {"step0",
                                           "step2",
                                           "step512",
                                           "step1000",
                                           "step1000-tokens4B",
                                           "step1000-tokens5B",
                                           "stage1-step900-tokens2B",
                                           "stage2-ingredient1-step9-tokens1B",
                                           "stage2-ingredient2-step1-tokens1B",
                                           "main"};
    qsort(names, 10, sizeof names[0], compare);
    for (int i = 0; i < 10; i++)
        assert_string_equal(names[i], expected[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_names), cmocka_unit_test(test_what_is_named),
        cmocka_unit_test(test_own_rules),       cmocka_unit_test(test_units),
        cmocka_unit_test(test_rules_of_series), cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
