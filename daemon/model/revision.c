#include "daemon/model/revision.h"

#include "daemon/base/limits.h"

#include <fnmatch.h>
#include <stddef.h>
#include <string.h>

/* How the published families name their revisions; the first rule that matches counts. */
static const char *const rules[] = {
    "step{step}",                /* Pythia, PolyPythias */
    "step{step}-tokens{tokens}", /* OLMo */
    "step{step}-seed-default",   /* DataDecide: of its seeds the one that is trained to the end */
    "stage{stage}-step{step}-tokens{tokens}",                        /* OLMo 2, first stage */
    "stage{stage}-ingredient{ingredient}-step{step}-tokens{tokens}", /* OLMo 2, later stages */
    "stage{stage}-step-{step}",                                      /* SmolLM3 */
    "stage{stage}-step{step}",
    "step-{step}",           /* SmolLM2 */
    "step-{step}-{tokens}T", /* FineWeb ablations: step-001000-2BT */
    "step-{step}-{tokens}",  /* how the names of TinyLlama's repositories end: step-1431k-3T */
    "step-{step}-token-{tokens}",
    "step_{step}",       /* OLMo 2 Instruct */
    "global_step{step}", /* BLOOM */
    "ckpt_{step}",       /* Amber */
    "{tokens}_tokens",   /* RedPajama-INCITE: 240b_tokens */
    "checkpoint-{step}", /* folders of transformers' Trainer */
    "iter_{step}",       /* Megatron */
    "{step}",            /* B-GPT */
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

/* Larger steps are no doubles, in which analyses and most readers of JSON have them; no training takes as
 * many. */
#define STEP_MAX ((int64_t)1 << 53)

enum placeholder { STEP, STAGE, INGREDIENT, TOKENS, EPOCH, PLACEHOLDER_COUNT };

static const char *const placeholders[PLACEHOLDER_COUNT] = {"{step}", "{stage}", "{ingredient}", "{tokens}",
                                                            "{epoch}"};

/* The placeholder at the beginning of `text`, or PLACEHOLDER_COUNT. */
static int placeholder_at(const char *text)
{
    int i = 0;
    while (i < PLACEHOLDER_COUNT && strncmp(text, placeholders[i], strlen(placeholders[i])) != 0)
        i++;
    return i;
}

static int64_t unit_of(char letter, int is_tokens)
{
    switch (letter) {
    case 'k':
    case 'K':
        return 1000;
    case 'm':
    case 'M':
        return is_tokens ? 1000000 : 0;
    case 'b':
    case 'B':
        return is_tokens ? 1000000000 : 0;
    case 't':
    case 'T':
        return is_tokens ? 1000000000000 : 0;
    default:
        return 0;
    }
}

/* Reads the number of a placeholder: digits, for tokens also a fraction, and a unit for steps and tokens.
 * Returns what follows it, NULL if there is none or it does not fit. */
static const char *read_number(const char *text, enum placeholder placeholder, int64_t *number)
{
    int is_tokens = placeholder == TOKENS;
    int64_t whole = 0, fraction = 0, scale = 1;
    if (*text < '0' || *text > '9')
        return NULL;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, *text - '0', &whole))
            return NULL;
    }
    if (is_tokens && text[0] == '.' && text[1] >= '0' && text[1] <= '9') {
        for (text++; *text >= '0' && *text <= '9'; text++) {
            if (scale < 1000000) { /* further digits are below a token's worth */
                fraction = fraction * 10 + (*text - '0');
                scale *= 10;
            }
        }
    }
    int64_t unit = placeholder == STEP || is_tokens ? unit_of(*text, is_tokens) : 0;
    if (unit)
        text++;
    else
        unit = 1;
    if (__builtin_mul_overflow(whole, unit, &whole) ||
        __builtin_add_overflow(whole, fraction * unit / scale, &whole)) /* at most 1e6 * 1e12 */
        return NULL;
    if (placeholder == STEP && whole > STEP_MAX)
        return NULL;
    *number = whole;
    return text;
}

/* Whether the whole name matches the rule; then the numbers that it names are set. */
static int matches(const char *rule, const char *name, int64_t *numbers)
{
    while (*rule) {
        int placeholder = placeholder_at(rule);
        if (placeholder < PLACEHOLDER_COUNT) {
            name = read_number(name, (enum placeholder)placeholder, &numbers[placeholder]);
            if (!name)
                return 0;
            rule += strlen(placeholders[placeholder]);
        } else if (*rule++ != *name++) {
            return 0;
        }
    }
    return *name == 0;
}

void model_revision_parse(const char *model, const char *revision, const char *rule,
                          struct model_revision *ret_revision)
{
    const char *const *candidates = rule ? &rule : rules;
    size_t count = rule ? 1 : RULE_COUNT;
    *ret_revision = (struct model_revision){.step = -1, .tokens = -1};
    for (size_t i = 0; i < count; i++) {
        int64_t numbers[PLACEHOLDER_COUNT] = {-1, -1, -1, -1, -1};
        if (!matches(candidates[i], revision, numbers))
            continue;
        *ret_revision = (struct model_revision){
            .is_step = 1,
            .stage = numbers[STAGE] > 0 ? numbers[STAGE] : 0,
            .ingredient = numbers[INGREDIENT] > 0 ? numbers[INGREDIENT] : 0,
            .step = numbers[STEP],
            .tokens = numbers[TOKENS],
            .has_stage = numbers[STAGE] >= 0,
            .has_ingredient = numbers[INGREDIENT] >= 0,
        };
        break;
    }
    for (size_t i = 0; model && ret_revision->step >= 0 && ret_revision->tokens < 0 && i < BATCH_COUNT; i++) {
        if (fnmatch(batches[i].model, model, 0) == 0 &&
            __builtin_mul_overflow(ret_revision->step, batches[i].tokens_per_step, &ret_revision->tokens))
            ret_revision->tokens = -1;
    }
}

int model_revision_check_rule(const char *rule, struct err *err)
{
    int seen[PLACEHOLDER_COUNT] = {0};
    if (strlen(rule) > LIMIT_REVISION_NAME_BYTES)
        return err_set(err, ERR_INVALID, "the rule for revision names is longer than %d bytes",
                       LIMIT_REVISION_NAME_BYTES);
    for (const char *p = rule; *p;) {
        int placeholder = placeholder_at(p);
        if (placeholder < PLACEHOLDER_COUNT) {
            if (seen[placeholder]++)
                return err_set(err, ERR_INVALID, "%s stands twice in the rule for revision names",
                               placeholders[placeholder]);
            p += strlen(placeholders[placeholder]);
        } else if (*p == '{' || *p == '}') {
            return err_set(err, ERR_INVALID,
                           "unknown placeholder in \"%.100s\": {step}, {stage}, {ingredient}, {tokens} and "
                           "{epoch} exist",
                           rule);
        } else {
            p++;
        }
    }
    if (!seen[STEP] && !seen[TOKENS])
        return err_set(err, ERR_INVALID, "the rule \"%.100s\" for revision names lacks {step} or {tokens}",
                       rule);
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
