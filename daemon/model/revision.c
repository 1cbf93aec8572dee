#include "daemon/model/revision.h"

#include "daemon/base/name_rule.h"

#include <fnmatch.h>
#include <stddef.h>
#include <string.h>

/* How the published families name their revisions; the first rule that matches counts. */
static const char *const rules[] = {
    "step{step}",                /* Pythia, PolyPythias */
    "step{step}-tokens{tokens}", /* OLMo, Apertus */
    "step{step}-seed-default",   /* DataDecide: of its seeds the one that is trained to the end */
    "stage{stage}-step{step}-tokens{tokens}",                        /* OLMo 2, first stage */
    "stage{stage}-ingredient{ingredient}-step{step}-tokens{tokens}", /* OLMo 2, later stages */
    "stage{stage}-step-{step}",                                      /* SmolLM3 */
    "stage{stage}-step{step}",
    "step-{step}",           /* SmolLM2 */
    "step-{step}-{tokens}T", /* FineWeb ablations: step-001000-2BT */
    "step-{step}-{tokens}",  /* how the names of TinyLlama's repositories end: step-1431k-3T */
    "step-{step}-token-{tokens}",
    "step_{step}",                                 /* OLMo 2 Instruct */
    "global_step{step}",                           /* BLOOM */
    "ckpt_{step}",                                 /* Amber */
    "{tokens}_tokens",                             /* RedPajama-INCITE: 240b_tokens */
    "train_{tokens}",                              /* Baichuan 2: train_00220B */
    "step{step}-{tokens}tokens",                   /* TransNormerLLM 3: step13000-50Btokens */
    "CrystalCoder_phase{stage}_checkpoint_{step}", /* Crystal */
    "checkpoint-{step}",                           /* folders of transformers' Trainer */
    "iter_{step}",                                 /* Megatron */
    "{step}",                                      /* B-GPT */
};

#define RULE_COUNT (sizeof rules / sizeof rules[0])

/* Tokens per step, where a family's names do not say it. The v0 Pythias took batches twice as large but were
 * renamed to the same labels. */
static const struct {
    const char *model; /* a pattern of fnmatch */
    int64_t tokens_per_step;
} batches[] = {
    {"EleutherAI/pythia-*", 2097152},
    {"HuggingFaceTB/SmolLM3-*", 2359296},
};

#define BATCH_COUNT (sizeof batches / sizeof batches[0])

void model_revision_parse(const char *model, const char *revision, const char *rule,
                          struct model_revision *ret_revision)
{
    const char *const *candidates = rule ? &rule : rules;
    size_t count = rule ? 1 : RULE_COUNT;
    *ret_revision = (struct model_revision){.step = -1, .tokens = -1};
    for (size_t i = 0; i < count; i++) {
        int64_t numbers[NAME_RULE_PART_COUNT] = {-1, -1, -1, -1, -1};
        if (!name_rule_read(candidates[i], revision, numbers))
            continue;
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
    for (size_t i = 0; model && ret_revision->step >= 0 && ret_revision->tokens < 0 && i < BATCH_COUNT; i++) {
        if (fnmatch(batches[i].model, model, 0) == 0 &&
            __builtin_mul_overflow(ret_revision->step, batches[i].tokens_per_step, &ret_revision->tokens))
            ret_revision->tokens = -1;
    }
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
