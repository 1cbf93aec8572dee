#include "daemon/model/schedule.h"

#include <math.h>
#include <string.h>

/* Bounds the loop of model_schedule_sum to a fraction of a second. */
#define STEPS_MAX 10000000

/* Peak rates of the Pythia suite, from the table in the README of github.com/EleutherAI/pythia; the files
 * models/<size>/pythia-<size>.yml agree but for 1b, where the file says 2.5e-4. Common to all, by those
 * files: GPT-NeoX 1.0, cosine, warm-up 1 %, floor a tenth of the peak, 143000 steps, weight decay 0.1. */
static const struct {
    const char *size;
    double peak;
} pythias[] = {
    {"14m", 1.0e-3}, {"31m", 1.0e-3},  {"70m", 1.0e-3},  {"160m", 6.0e-4}, {"410m", 3.0e-4},
    {"1b", 3.0e-4},  {"1.4b", 2.0e-4}, {"2.8b", 1.6e-4}, {"6.9b", 1.2e-4}, {"12b", 1.2e-4},
};

#define PYTHIA_COUNT (sizeof pythias / sizeof pythias[0])

/* What may follow the size: other data or seeds, the same schedule. Not "-v0", which took half the steps. */
static const char *const variants[] = {"-deduped", "-seed#", "-data-seed#", "-weight-seed#"};

#define VARIANT_COUNT (sizeof variants / sizeof variants[0])

static const char *const kind_names[MODEL_SCHEDULE_KIND_COUNT] = {
#define X(symbol, name, meaning) [symbol] = (name),
    MODEL_SCHEDULE_KINDS(X)
#undef X
};

static int is_variant(const char *text)
{
    if (!*text)
        return 1;
    for (size_t i = 0; i < VARIANT_COUNT; i++) {
        size_t fixed = strcspn(variants[i], "#");
        if (strncmp(text, variants[i], fixed) != 0)
            continue;
        size_t digits = strspn(text + fixed, "0123456789");
        if (text[fixed + digits] == 0 && (digits > 0) == (variants[i][fixed] == '#'))
            return 1;
    }
    return 0;
}

int model_schedule_find(const char *model, struct model_schedule *ret_schedule, struct err *err)
{
    static const char prefix[] = "EleutherAI/pythia-";
    const char *size = model + sizeof prefix - 1;
    for (size_t i = 0; strncmp(model, prefix, sizeof prefix - 1) == 0 && i < PYTHIA_COUNT; i++) {
        size_t length = strlen(pythias[i].size);
        if (strncmp(size, pythias[i].size, length) != 0 || !is_variant(size + length))
            continue;
        *ret_schedule = (struct model_schedule){
            .kind = MODEL_SCHEDULE_KIND_COSINE_NEOX,
            .peak = pythias[i].peak,
            .floor = pythias[i].peak / 10,
            .warmup_steps = 1430,
            .total_steps = 143000,
            .weight_decay = 0.1,
        };
        return 0;
    }
    return err_set(err, ERR_NOT_FOUND, "the learning-rate schedule of %.200s is not known", model);
}

int model_schedule_kind_parse(const char *name, enum model_schedule_kind *ret_kind, struct err *err)
{
    for (int i = 0; i < MODEL_SCHEDULE_KIND_COUNT; i++) {
        if (strcmp(kind_names[i], name) == 0) {
            *ret_kind = (enum model_schedule_kind)i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID,
                   "unknown learning-rate schedule \"%.40s\": cosine, cosine_neox, linear and constant exist",
                   name);
}

int model_schedule_check(const struct model_schedule *schedule, struct err *err)
{
    if ((unsigned)schedule->kind >= MODEL_SCHEDULE_KIND_COUNT)
        return err_set(err, ERR_INVALID, "unknown learning-rate schedule");
    if (!(schedule->peak > 0) || !isfinite(schedule->peak) || !(schedule->floor >= 0) ||
        schedule->floor > schedule->peak)
        return err_set(err, ERR_INVALID, "learning rates: 0 <= floor <= peak and 0 < peak are needed");
    if (schedule->warmup_steps < 0 || schedule->total_steps <= schedule->warmup_steps ||
        schedule->total_steps > STEPS_MAX)
        return err_set(err, ERR_INVALID,
                       "learning-rate schedule: 0 <= warm-up < total <= %d steps are needed", STEPS_MAX);
    if (!(schedule->weight_decay >= 0) || !isfinite(schedule->weight_decay))
        return err_set(err, ERR_INVALID, "the weight decay is negative or no number");
    return 0;
}

/* megatron/learning_rates.py of github.com/EleutherAI/gpt-neox, AnnealingLR.get_lr: the cosine spans all
 * `total` steps but starts after warm-up, and the step is clamped at total - warmup. */
static double cosine_neox(const struct model_schedule *schedule, int64_t step)
{
    int64_t last = schedule->total_steps - schedule->warmup_steps;
    double after = (double)((step < last ? step : last) - schedule->warmup_steps);
    double rate = schedule->peak / 2 * (cos(M_PI * after / (double)schedule->total_steps) + 1);
    return rate > schedule->floor ? rate : schedule->floor;
}

double model_schedule_rate(const struct model_schedule *schedule, int64_t step)
{
    if (step < schedule->warmup_steps)
        return schedule->peak * (double)step / (double)schedule->warmup_steps;
    double part =
        (double)(step - schedule->warmup_steps) / (double)(schedule->total_steps - schedule->warmup_steps);
    if (part > 1)
        part = 1;
    switch (schedule->kind) {
    case MODEL_SCHEDULE_KIND_COSINE_NEOX:
        return cosine_neox(schedule, step);
    case MODEL_SCHEDULE_KIND_COSINE:
        return schedule->floor + (schedule->peak - schedule->floor) * (1 + cos(M_PI * part)) / 2;
    case MODEL_SCHEDULE_KIND_LINEAR:
        return schedule->peak + (schedule->floor - schedule->peak) * part;
    case MODEL_SCHEDULE_KIND_CONSTANT:
    case MODEL_SCHEDULE_KIND_COUNT:
        break;
    }
    return schedule->peak;
}

double model_schedule_sum(const struct model_schedule *schedule, int64_t step)
{
    double sum = 0;
    for (int64_t i = 0; i < step && i < STEPS_MAX; i++)
        sum += model_schedule_rate(schedule, i);
    return sum;
}
