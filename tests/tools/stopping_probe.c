/*
 * Applies every stopping rule to perplexity curves: lines "MODEL STEP PERPLEXITY" on standard input, each
 * model's in ascending order of step and together; one line of JSON per model and rule on standard output.
 */
#include "daemon/analysis/stopping.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define POINTS_MAX 4096

static void print_number(const char *name, double value, const char *end)
{
    if (isnan(value))
        (void)printf("\"%s\": null%s", name, end);
    else
        (void)printf("\"%s\": %.17g%s", name, value, end);
}

static void print_scores(const char *model, const struct stopping_point *points, size_t count)
{
    char name[160];
    (void)snprintf(name, sizeof(name), "EleutherAI/%s", model);
    struct schedule schedule = schedule_of_model(name);
    for (int rule = 0; rule < STOPPING_RULE_COUNT; rule++) {
        struct stopping_score score = stopping_apply((enum stopping_rule)rule, points, count, &schedule);
        (void)printf("{\"model\": \"%s\", \"rule\": \"%s\", \"verdict\": \"%s\", ", model,
                     stopping_rule_name((enum stopping_rule)rule), series_verdict_name(score.verdict));
        print_number("step", score.step, ", ");
        print_number("perplexity", score.perplexity, ", ");
        print_number("given_up", score.given_up, ", ");
        print_number("saved", score.saved, "}\n");
    }
}

int main(void)
{
    static struct stopping_point points[POINTS_MAX];
    char model[128], current[128] = "";
    double step = 0, perplexity = 0;
    size_t count = 0;
    while (scanf("%127s %lf %lf", model, &step, &perplexity) == 3) {
        if (strcmp(model, current) != 0) {
            if (count)
                print_scores(current, points, count);
            (void)snprintf(current, sizeof(current), "%s", model);
            count = 0;
        }
        if (count == POINTS_MAX) {
            (void)fprintf(stderr, "%s: more than %d evaluations\n", model, POINTS_MAX);
            return 1;
        }
        points[count++] = (struct stopping_point){.step = step, .perplexity = perplexity};
    }
    if (count)
        print_scores(current, points, count);
    return 0;
}
