#include "daemon/analysis/schedule.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979324

int schedule_has_stable(enum schedule_kind kind)
{
    return kind == SCHEDULE_KIND_WSD || kind == SCHEDULE_KIND_WSD_COSINE || kind == SCHEDULE_KIND_WSD_SQRT ||
           kind == SCHEDULE_KIND_WSD_EXPONENTIAL;
}

/* The whole number that is this near, as far as doubles tell. */
static double whole_if_near(double value, double tolerance)
{
    double whole = round(value);
    return fabs(value - whole) <= tolerance ? whole : value;
}

double schedule_clock_step(const struct schedule_clock *clock, double number)
{
    return whole_if_near(clock->each * (number + clock->first), 1e-6);
}

double schedule_clock_number(const struct schedule_clock *clock, double step)
{
    double number = step / clock->each - clock->first;
    return whole_if_near(number, 1e-12 * fabs(number));
}

double schedule_rate(const struct schedule *schedule, double step)
{
    double low = schedule->rate_min, range = schedule->rate_max - low;
    if (schedule->kind == SCHEDULE_KIND_UNKNOWN)
        return (double)NAN;
    if (schedule->warmup_steps > 0 && step <= schedule->warmup_steps)
        return schedule->rate_max * step / schedule->warmup_steps;
    double start = schedule->warmup_steps; /* of the descent */
    if (schedule_has_stable(schedule->kind))
        start = fmax(start, schedule->stable_until);
    double share = schedule->end_step > start ? (step - start) / (schedule->end_step - start) : 1;
    share = fmax(fmin(share, 1), 0);
    switch (schedule->kind) {
    case SCHEDULE_KIND_COSINE:
    case SCHEDULE_KIND_WSD_COSINE:
        return low + range * 0.5 * (1 + cos(PI * share));
    case SCHEDULE_KIND_WSD_SQRT:
        return low + range * (1 - sqrt(share));
    case SCHEDULE_KIND_WSD_EXPONENTIAL:
        return schedule->rate_max * pow(low / schedule->rate_max, share);
    case SCHEDULE_KIND_LINEAR:
    case SCHEDULE_KIND_WSD:
        return low + range * (1 - share);
    case SCHEDULE_KIND_NEOX_COSINE: {
        double capped = fmin(step, schedule->end_step - schedule->warmup_steps) - schedule->warmup_steps;
        return fmax(schedule->rate_max * 0.5 * (1 + cos(PI * capped / schedule->end_step)), low);
    }
    case SCHEDULE_KIND_UNKNOWN:
    case SCHEDULE_KIND_CONSTANT:
        break;
    }
    return schedule->rate_max;
}

double schedule_floor_step(const struct schedule *schedule)
{
    double high = schedule->rate_max, low = schedule->rate_min;
    switch (schedule->kind) {
    case SCHEDULE_KIND_COSINE:
    case SCHEDULE_KIND_LINEAR:
    case SCHEDULE_KIND_WSD:
    case SCHEDULE_KIND_WSD_COSINE:
    case SCHEDULE_KIND_WSD_SQRT:
    case SCHEDULE_KIND_WSD_EXPONENTIAL:
        return schedule->end_step;
    case SCHEDULE_KIND_NEOX_COSINE: {
        double at = acos(fmax(2 * low / high - 1, -1)) / PI * schedule->end_step;
        double last = schedule->end_step - 2 * schedule->warmup_steps;
        return at <= last ? at + schedule->warmup_steps : (double)NAN;
    }
    case SCHEDULE_KIND_UNKNOWN:
    case SCHEDULE_KIND_CONSTANT:
        break;
    }
    return (double)NAN;
}

/* Models that are saved after so many steps, by whose count their checkpoints are named. */
struct saved {
    const char *names[2];
    struct schedule_clock clock;
    struct schedule schedule;
};

static const struct saved *find_saved(const char *model)
{
    static const struct saved models[] = {
        {{"LLM360/Amber", "IFM/Amber"},
         {762, 1},
         {.kind = SCHEDULE_KIND_COSINE,
          .rate_max = 3e-4,
          .rate_min = 3e-5,
          .warmup_steps = 2000,
          .end_step = 274320,
          .weight_decay = 0.1}},
        {{"LLM360/K2", "IFM/K2"},
         {941, 0},
         {.kind = SCHEDULE_KIND_COSINE,
          .rate_max = 1.5e-4,
          .rate_min = 1.5e-5,
          .warmup_steps = 2000,
          .end_step = 338760,
          .weight_decay = 0.1}},
    };
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        if (strcmp(models[i].names[0], model) == 0 || strcmp(models[i].names[1], model) == 0)
            return &models[i];
    }
    return NULL;
}

struct schedule_clock schedule_clock_of_model(const char *model)
{
    static const struct schedule_clock steps = {1, 0};
    return find_saved(model) ? find_saved(model)->clock : steps;
}

struct schedule schedule_of_model(const char *model)
{
    static const struct {
        const char *size;
        double rate;
    } sizes[] = {{"14m", 1e-3}, {"31m", 1e-3},  {"70m", 1e-3},    {"160m", 6e-4},   {"410m", 3e-4},
                 {"1b", 3e-4},  {"1.4b", 2e-4}, {"2.8b", 1.6e-4}, {"6.9b", 1.2e-4}, {"12b", 1.2e-4}};
    struct schedule schedule = {.kind = SCHEDULE_KIND_UNKNOWN};
    static const char prefix[] = "EleutherAI/pythia-";
    if (strcmp(model, "HuggingFaceTB/SmolLM3-3B-checkpoints") == 0)
        return (struct schedule){.kind = SCHEDULE_KIND_WSD,
                                 .rate_max = 2e-4,
                                 .warmup_steps = 2000,
                                 .stable_until = 4198001,
                                 .end_step = 4720000};
    if (strcmp(model, "swiss-ai/Apertus-8B-2509") == 0)
        return (struct schedule){.kind = SCHEDULE_KIND_WSD_SQRT,
                                 .rate_max = 1.1e-4,
                                 .rate_min = 1.1e-5,
                                 .warmup_steps = 4000,
                                 .stable_until = 2429920,
                                 .end_step = 2627139,
                                 .weight_decay = 0.1};
    if (find_saved(model))
        return find_saved(model)->schedule;
    if (strncmp(model, prefix, sizeof(prefix) - 1) != 0)
        return schedule;
    const char *size = model + sizeof(prefix) - 1;
    size_t length = strcspn(size, "-");
    if (strcmp(size + length, "-v0") == 0 || strcmp(size + length, "-deduped-v0") == 0)
        return schedule; /* other batch sizes and step numbers */
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (strlen(sizes[i].size) != length || strncmp(size, sizes[i].size, length) != 0)
            continue;
        schedule = (struct schedule){.kind = SCHEDULE_KIND_NEOX_COSINE,
                                     .rate_max = sizes[i].rate,
                                     .rate_min = sizes[i].rate / 10,
                                     .warmup_steps = 1430,
                                     .end_step = 143000,
                                     .weight_decay = 0.1};
    }
    return schedule;
}
