#include "tests/gpu/cases.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int case_begins(struct cases *cases, const char *name, enum case_cost cost)
{
    if (cost > cases->cost_max || (cases->only && !strstr(name, cases->only)) ||
        (cases->parts && cases->turn++ % cases->parts != cases->part) || cases->is_lost ||
        cases->begun++ < cases->after)
        return 0;
    (void)alarm(cases->limit_s);
    printf("begins %s\n", name);
    (void)fflush(stdout);
    return 1;
}

void case_ends(struct cases *cases, const char *name, double value, const char *what)
{
    int is_good = value <= 1; /* NaN is not */
    *(is_good ? &cases->passed : &cases->failed) += 1;
    printf("%-6s %-64s %9.3g of its tolerance (%s)\n", is_good ? "passed" : "FAILED", name, value, what);
    (void)fflush(stdout);
}

void case_breaks(struct cases *cases, const char *name, const struct err *err)
{
    cases->failed++;
    cases->is_lost = cases->is_lost || err->code == ERR_DEVICE_LOST;
    printf("FAILED %-64s %s: %s\n", name, err_name(err->code), err->message);
    (void)fflush(stdout);
}
