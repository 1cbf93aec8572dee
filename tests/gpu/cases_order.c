#include "tests/gpu/cases_score.h"

#include <string.h>

/* A run may be cut: what says most comes first. */
enum turn { TURN_FIRST_OF_FAMILY, TURN_SMALL, TURN_LARGE, TURN_COUNT };

static enum turn turn_of(const struct family_table *table, size_t number)
{
    const struct family_case *family = &table->cases[number];
    if (family->cost == CASE_COST_LARGE)
        return TURN_LARGE;
    for (size_t i = 0; i < number; i++)
        if (table->cases[i].cost != CASE_COST_LARGE &&
            strcmp(table->cases[i].scored.config.architecture, family->scored.config.architecture) == 0)
            return TURN_SMALL;
    return TURN_FIRST_OF_FAMILY;
}

void cases_families(struct cases *cases)
{
    const struct family_table *const tables[] = {&families_table, &scaled_table, &windows_table,
                                                 &experts_table};
    for (enum turn turn = 0; turn < TURN_COUNT; turn++) {
        for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
            for (size_t j = 0; j < tables[i]->count; j++)
                if (turn_of(tables[i], j) == turn)
                    case_family(cases, &tables[i]->cases[j]);
        if (turn == TURN_SMALL)
            cases_attention(cases);
    }
}
