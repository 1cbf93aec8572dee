#include "daemon/model/revision.h"

#include "daemon/base/revision_place.h"

#include <fnmatch.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* BabyLM's: chck_900K, chck_1000M. It counts words, whatever they became as tokens, also
 * in a rule for a series of repositories. */
static const char words_rule[] = "chck_{tokens}";

/* What stands before the number of epochs, in the Trainer's titles and in rules of one's own, of either case.
 */
static const char *const epochs_rules[] = {"epoch{step}", "epoch {step}", "epoch-{step}", "epoch_{step}",
                                           "epoch={step}"};

/* Models whose names number the checkpoints, which are saved after every chunk of the data: the code that
 * trained them says so (LLM360's amber-train and k2-train). The hub calls their owner IFM, too. */
static const char checkpoints_rule[] = "ckpt_{step}";
static const char *const numbered[] = {"LLM360/Amber", "IFM/Amber", "LLM360/K2", "IFM/K2"};

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
    {"step-{step}_tokens-{tokens}-phase{stage}", 0, NULL},    /* Gaperon, whose phases count on */
    {"step_{step}", 0, NULL},                                 /* Gemstones; OLMo 2 and 3, after pretraining */
    {"global_step{step}", 0, NULL},                           /* BLOOM, StableLM 2, Deep Ignorance */
    {checkpoints_rule, 0, NULL},                              /* Amber, K2 */
    {"{tokens}_tokens", 0, NULL},                             /* RedPajama-INCITE: 240b_tokens */
    {"train_{tokens}", 0, NULL},                              /* Baichuan 2: train_00220B */
    {"step{step}-{tokens}tokens", 0, NULL},                   /* TransNormerLLM 3: step13000-50Btokens */
    {"CrystalCoder_phase{stage}_checkpoint_{step}", 0, NULL}, /* Crystal */
    {"checkpoint-{step}", 0, NULL},                           /* folders of transformers' Trainer, mistral */
    {"checkpoint_{step}", 0, NULL},                           /* HPLT's and OpenEuroLLM's models */
    {"iter_{step}", 0, NULL},                                 /* Megatron, open-sci-ref, FLAME-MoE */
    {"iter{step}", 0, NULL},                                  /* Zamba */
    {"pretrain_iter_{step}", 1, NULL},                        /* OpenCoder */
    {"anneal_iter_{step}", 2, NULL},                          /* OpenCoder */
    {"{step}", 0, NULL},                                      /* B-GPT, Tri */
    {words_rule, 0, NULL},
    {"base_{step}", 0, "LLM360/K2-V2"}, /* elsewhere "base" may mean anything */
    {"{tokens}", 0, "LumiOpen/*"},      /* Poro: 200B; elsewhere that is a model's size */
};

#define RULE_COUNT (sizeof rules / sizeof rules[0])

/* The titles of transformers' Trainer (hub_strategy="every_save"), by save_strategy: steps, epochs. */
static const char *const title_rules[] = {"Training in progress, step {step}",
                                          "Training in progress, epoch {step}"};

#define TITLE_RULE_COUNT (sizeof title_rules / sizeof title_rules[0])

/* Tokens per step or checkpoint, where a family's names do not say it. The v0 Pythias took batches twice as
 * large but were renamed to the same labels. */
static const struct {
    const char *model; /* a pattern of fnmatch */
    int64_t tokens;    /* of each */
    int64_t first;     /* so many had been seen at number 0 */
} batches[] = {
    {"EleutherAI/pythia-*", 2097152, 0},
    /* 119,200 of them are the 500B; the stage after them, in repositories of its own, ends 50B at 11921 */
    {"EleutherAI/deep-ignorance-pretraining-stage-*", 4194304, 0},
    {"HuggingFaceTB/SmolLM2-1.7B-intermediate-checkpoints", 2097152, 0},
    {"HuggingFaceTB/SmolLM2-360M-intermediate-checkpoints", 1572864, 0},
    {"HuggingFaceTB/SmolLM3-*", 2359296, 0},
    {"OpenCoder-LLM/OpenCoder-1.5B-Base-Checkpoints", 4194304, 0},
    {"OpenCoder-LLM/OpenCoder-8B-Base-Checkpoints", 8388608, 0},
    {"HPLT/hplt2c_*_checkpoints", 2097152, 0}, /* the last of 47684 ends 100B */
    {"openeurollm/datamix-2b-*", 4194304, 0},  /* the last of 953675 ends 4T */
    {"CMU-FLAME/FLAME-MoE-*", 2097152, 0},     /* 1024 sequences of 2048 */
    {"tomg-group-umd/Gemstone-*", 4194304, 0}, /* 2048 sequences of 2048 */
    {"Gemstone-Models/Gemstone-*", 4194304, 0},
    /* 360 chunks of 1,706,976 sequences of 2,049, which are the 1259.13B of the model's card; ckpt_000 is
     * saved after the first */
    {"LLM360/Amber", 3497593824, 1},
    {"IFM/Amber", 3497593824, 1},
    /* 941 steps of 2,040 sequences of 2,048 each; ckpt_360 is the last of 338,760 */
    {"LLM360/K2", 3931422720, 0},
    {"IFM/K2", 3931422720, 0},
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

static int are_numbered(const char *model)
{
    size_t i = 0;
    while (model && i < sizeof numbered / sizeof numbered[0] && strcmp(numbered[i], model) != 0)
        i++;
    return model && i < sizeof numbered / sizeof numbered[0];
}

/* Tokens that a model has been trained with after so many steps or checkpoints, whichever it is known for; -1
 * if that is not known. */
static int64_t tokens_of(const char *model, int64_t step, enum step_unit unit)
{
    const enum step_unit known = are_numbered(model) ? STEP_UNIT_CHECKPOINTS : STEP_UNIT_STEPS;
    int64_t tokens = -1;
    for (size_t i = 0; model && step >= 0 && unit == known && i < BATCH_COUNT; i++) {
        if (fnmatch(batches[i].model, model, 0) == 0 &&
            __builtin_mul_overflow(step + batches[i].first, batches[i].tokens, &tokens))
            return -1;
    }
    return tokens;
}

static enum step_unit unit_of(const char *model, const char *rule,
                              const int64_t numbers[NAME_RULE_PART_COUNT])
{
    if (strstr(rule, checkpoints_rule) && are_numbered(model))
        return STEP_UNIT_CHECKPOINTS;
    if (strstr(rule, words_rule))
        return STEP_UNIT_WORDS;
    for (size_t i = 0; i < sizeof epochs_rules / sizeof epochs_rules[0]; i++) {
        if (strcasestr(rule, epochs_rules[i]))
            return STEP_UNIT_EPOCHS;
    }
    return numbers[NAME_RULE_PART_STEP] >= 0         ? STEP_UNIT_STEPS
           : numbers[NAME_RULE_PART_CHECKPOINT] >= 0 ? STEP_UNIT_CHECKPOINTS
                                                     : STEP_UNIT_TOKENS;
}

/* Whether the whole name matches; `stage` is what the words of the rule mean, or 0. */
static int read_by(const char *model, const char *rule, const char *name, int64_t stage,
                   struct model_revision *ret_revision)
{
    int64_t numbers[NAME_RULE_PART_COUNT] = {-1, -1, -1, -1, -1, -1};
    if (!name_rule_read(rule, name, numbers))
        return 0;
    if (stage)
        numbers[NAME_RULE_PART_STAGE] = stage;
    const enum step_unit unit = unit_of(model, rule, numbers);
    if (unit == STEP_UNIT_WORDS || unit == STEP_UNIT_TOKENS) /* so that it has a place in the series */
        numbers[NAME_RULE_PART_STEP] = numbers[NAME_RULE_PART_TOKENS];
    else if (numbers[NAME_RULE_PART_STEP] < 0)
        numbers[NAME_RULE_PART_STEP] = numbers[NAME_RULE_PART_CHECKPOINT];
    if (unit == STEP_UNIT_WORDS)
        numbers[NAME_RULE_PART_TOKENS] = -1;
    if (numbers[NAME_RULE_PART_STEP] > NAME_RULE_STEP_MAX)
        return 0;
    *ret_revision = (struct model_revision){
        .is_step = 1,
        .stage = numbers[NAME_RULE_PART_STAGE] > 0 ? numbers[NAME_RULE_PART_STAGE] : 0,
        .ingredient = numbers[NAME_RULE_PART_INGREDIENT] > 0 ? numbers[NAME_RULE_PART_INGREDIENT] : 0,
        .step = numbers[NAME_RULE_PART_STEP],
        .unit = unit,
        .tokens = numbers[NAME_RULE_PART_TOKENS],
        .has_stage = numbers[NAME_RULE_PART_STAGE] >= 0,
        .has_ingredient = numbers[NAME_RULE_PART_INGREDIENT] >= 0,
    };
    return 1;
}

static int read_by_table(const char *model, const char *name, struct model_revision *ret_revision)
{
    size_t i = 0;
    while (i < RULE_COUNT && (!is_for(rules[i].model, model) ||
                              !read_by(model, rules[i].rule, name, rules[i].stage, ret_revision)))
        i++;
    return i < RULE_COUNT;
}

static int read_title(const char *title, struct model_revision *ret_revision)
{
    size_t i = 0;
    while (i < TITLE_RULE_COUNT && !read_by(NULL, title_rules[i], title, 0, ret_revision))
        i++;
    return i < TITLE_RULE_COUNT;
}

/* Where the end of a repository's name begins that a rule with words reads, the longest; NULL: none does. A
 * number alone may be the model's size or version. */
static const char *read_end(const char *repository, const char **ret_rule,
                            struct model_revision *ret_revision)
{
    const char *owner_end = strchr(repository, '/');
    const char *name = owner_end ? owner_end + 1 : repository;
    for (const char *end = name; *end; end++) {
        if (end > name && !strchr("-_.", end[-1]))
            continue;
        for (size_t i = 0; i < RULE_COUNT; i++) {
            if (rules[i].rule[0] != '{' && is_for(rules[i].model, repository) &&
                read_by(NULL, rules[i].rule, end, rules[i].stage, ret_revision)) {
                *ret_rule = rules[i].rule;
                return end;
            }
        }
    }
    return NULL;
}

/* The part of a name that the table of rules reads. */
static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void read_place(const char *model, const char *revision, struct model_revision *ret_revision)
{
    struct revision_place place;
    struct err ignored = ERR_INIT;
    const char *rule = NULL;
    if (revision_place_read(model, revision, &place, &ignored))
        return;
    if (place.kind == REVISION_PLACE_FOLDER)
        (void)read_by_table(model, last_component(place.rest), ret_revision);
    else if (place.kind == REVISION_PLACE_COMMIT)
        (void)read_title(place.rest, ret_revision);
    else if (place.kind == REVISION_PLACE_REPOSITORY)
        (void)read_end(place.rest, &rule, ret_revision);
    else
        (void)read_by_table(model, revision, ret_revision);
}

void model_revision_parse(const char *model, const char *revision, const char *rule,
                          struct model_revision *ret_revision)
{
    *ret_revision = (struct model_revision){.step = -1, .tokens = -1};
    if (rule)
        (void)read_by(model, rule, revision, 0, ret_revision);
    else
        read_place(model, revision, ret_revision);
    if (ret_revision->tokens < 0 && !counts_anew(revision))
        ret_revision->tokens = tokens_of(model, ret_revision->step, ret_revision->unit);
}

int model_revision_write_series_rule(const char *model, char rule[NAME_RULE_SIZE])
{
    struct model_revision ignored;
    const char *table_rule = NULL, *end = read_end(model, &table_rule, &ignored);
    int size = end && strchr(model, '/')
                   ? snprintf(rule, NAME_RULE_SIZE, REVISION_PLACE_REPOSITORY_PREFIX "%.*s%s",
                              (int)(end - model), model, table_rule)
                   : 0;
    if (size > 0 && size <= LIMIT_REVISION_NAME_BYTES)
        return 1;
    rule[0] = '\0';
    return 0;
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
