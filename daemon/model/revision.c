#include "daemon/model/revision.h"

#include "daemon/base/name_rule.h"

#include <fnmatch.h>
#include <stddef.h>
#include <string.h>

/* BabyLM's: chck_900K, chck_1000M. It counts words, whatever they became as tokens: a word is a step here. */
static const char words_rule[] = "chck_{tokens}";

/* How the published families name their revisions; the first rule that matches counts. */
static const struct {
    const char *rule;
    int64_t stage; /* that the words mean, whose steps count from 0 again; 0: none but what {stage} says */
    const char *model; /* a pattern of fnmatch: of these alone; NULL: of all */
} rules[] = {
    {"step{step}", 0, NULL},                /* Pythia, PolyPythias, Lucie */
    {"step{step}-tokens{tokens}", 0, NULL}, /* OLMo, Apertus */
    {"step{step}-seed-default", 0, NULL},   /* DataDecide: of its seeds the one that is trained to the end */
    {"stage{stage}-step{step}-tokens{tokens}", 0, NULL},                        /* OLMo 2, first stage */
    {"stage{stage}-ingredient{ingredient}-step{step}-tokens{tokens}", 0, NULL}, /* OLMo 2, later stages */
    {"stage{stage}-step-{step}", 0, NULL},                                      /* SmolLM3 */
    {"lc-4k-to-32k-step-{step}", 4, NULL},                       /* SmolLM3, after its three stages */
    {"lc-32k-to-64k-step-{step}", 5, NULL},                      /* SmolLM3 */
    {"stage{stage}-step{step}", 0, NULL},                        /* OLMo 3 */
    {"stage{stage}-ingredient{ingredient}-step{step}", 0, NULL}, /* OLMo 3, of 32B */
    {"extension_step{step}", 2, NULL},                           /* Lucie, with a longer context */
    {"step-{step}", 0, NULL},                                    /* SmolLM2 */
    {"step-{step}-{tokens}T", 0, NULL},                          /* FineWeb ablations: step-001000-2BT */
    {"step-{step}-{tokens}", 0, NULL}, /* how TinyLlama's repositories end: step-1431k-3T */
    {"step-{step}-token-{tokens}", 0, NULL},
    {"step_{step}", 0, NULL},                                 /* OLMo 2 Instruct */
    {"global_step{step}", 0, NULL},                           /* BLOOM, StableLM 2 */
    {"ckpt_{step}", 0, NULL},                                 /* Amber, K2 */
    {"{tokens}_tokens", 0, NULL},                             /* RedPajama-INCITE: 240b_tokens */
    {"train_{tokens}", 0, NULL},                              /* Baichuan 2: train_00220B */
    {"step{step}-{tokens}tokens", 0, NULL},                   /* TransNormerLLM 3: step13000-50Btokens */
    {"CrystalCoder_phase{stage}_checkpoint_{step}", 0, NULL}, /* Crystal */
    {"checkpoint-{step}", 0, NULL},                           /* folders of transformers' Trainer, mistral */
    {"iter_{step}", 0, NULL},                                 /* Megatron */
    {"iter{step}", 0, NULL},                                  /* Zamba */
    {"pretrain_iter_{step}", 1, NULL},                        /* OpenCoder */
    {"anneal_iter_{step}", 2, NULL},                          /* OpenCoder */
    {"{step}", 0, NULL},                                      /* B-GPT, Tri */
    {words_rule, 0, NULL},
    {"{tokens}", 0, "LumiOpen/*"}, /* Poro: 200B; elsewhere that is a model's size */
};

#define RULE_COUNT (sizeof rules / sizeof rules[0])

/* Tokens per step, where a family's names do not say it. The v0 Pythias took batches twice as large but were
 * renamed to the same labels. */
static const struct {
    const char *model; /* a pattern of fnmatch */
    int64_t tokens_per_step;
} batches[] = {
    {"EleutherAI/pythia-*", 2097152},
    {"HuggingFaceTB/SmolLM2-1.7B-intermediate-checkpoints", 2097152},
    {"HuggingFaceTB/SmolLM3-*", 2359296},
    {"OpenCoder-LLM/OpenCoder-1.5B-Base-Checkpoints", 4194304},
    {"OpenCoder-LLM/OpenCoder-8B-Base-Checkpoints", 8388608},
};

#define BATCH_COUNT (sizeof batches / sizeof batches[0])

/* Whether a rule of the table is one for this model. */
static int is_for(const char *pattern, const char *model)
{
    return !pattern || (model && fnmatch(pattern, model, 0) == 0);
}

/* Whether the words of a published name say a stage whose steps count from 0 again, by whatever rule its step
 * is read. */
static int counts_anew(const char *revision)
{
    for (size_t i = 0; i < RULE_COUNT; i++) {
        int64_t numbers[NAME_RULE_PART_COUNT] = {0};
        if (rules[i].stage > 1 && name_rule_read(rules[i].rule, revision, numbers))
            return 1;
    }
    return 0;
}

/* Tokens that a model has been trained with after so many steps; -1 if that is not known. */
static int64_t tokens_of(const char *model, int64_t step)
{
    int64_t tokens = -1;
    for (size_t i = 0; model && step >= 0 && i < BATCH_COUNT; i++) {
        if (fnmatch(batches[i].model, model, 0) == 0 &&
            __builtin_mul_overflow(step, batches[i].tokens_per_step, &tokens))
            return -1;
    }
    return tokens;
}

void model_revision_parse(const char *model, const char *revision, const char *rule,
                          struct model_revision *ret_revision)
{
    *ret_revision = (struct model_revision){.step = -1, .tokens = -1};
    for (size_t i = 0; i < (rule ? 1 : RULE_COUNT); i++) {
        int64_t numbers[NAME_RULE_PART_COUNT] = {-1, -1, -1, -1, -1};
        if ((!rule && !is_for(rules[i].model, model)) ||
            !name_rule_read(rule ? rule : rules[i].rule, revision, numbers))
            continue;
        if (!rule && rules[i].stage)
            numbers[NAME_RULE_PART_STAGE] = rules[i].stage;
        if (!rule && rules[i].rule == words_rule) {
            numbers[NAME_RULE_PART_STEP] = numbers[NAME_RULE_PART_TOKENS];
            numbers[NAME_RULE_PART_TOKENS] = -1;
        }
        if (numbers[NAME_RULE_PART_STEP] > NAME_RULE_STEP_MAX)
            break;
        *ret_revision = (struct model_revision){
            .is_step = 1,
            .stage = numbers[NAME_RULE_PART_STAGE] > 0 ? numbers[NAME_RULE_PART_STAGE] : 0,
            .ingredient = numbers[NAME_RULE_PART_INGREDIENT] > 0 ? numbers[NAME_RULE_PART_INGREDIENT] : 0,
            .step = numbers[NAME_RULE_PART_STEP],
            .tokens = numbers[NAME_RULE_PART_TOKENS],
            .has_stage = numbers[NAME_RULE_PART_STAGE] >= 0,
            .has_ingredient = numbers[NAME_RULE_PART_INGREDIENT] >= 0,
        };
        break;
    }
    if (ret_revision->tokens < 0 && !counts_anew(revision))
        ret_revision->tokens = tokens_of(model, ret_revision->step);
}

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

int model_revision_compare(const struct model_revision *a, const struct model_revision *b)
{
    int order = compare_numbers(b->is_step, a->is_step);
    if (!order)
        order = compare_numbers(a->stage, b->stage);
    if (!order)
        order = compare_numbers(a->ingredient, b->ingredient);
    if (!order)
        order = compare_numbers(a->step, b->step);
    return order ? order : compare_numbers(a->tokens, b->tokens);
}
