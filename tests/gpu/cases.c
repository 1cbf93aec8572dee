#include "tests/gpu/cases.h"

#include <stdio.h>
#include <string.h>

int case_begins(const struct cases *cases, const char *name, enum case_cost cost)
{
    return cost <= cases->cost_max && !(cases->only && !strstr(name, cases->only));
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
    printf("FAILED %-64s %s: %s\n", name, err_name(err->code), err->message);
}
