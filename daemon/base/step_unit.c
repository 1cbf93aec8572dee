#include "daemon/base/step_unit.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *one;
    int is_large; /* billions are usual */
} units[STEP_UNIT_COUNT] = {
    [STEP_UNIT_STEPS] = {"steps", "step", 0},
    [STEP_UNIT_TOKENS] = {"tokens", "token", 1},
    [STEP_UNIT_WORDS] = {"words", "word", 1},
    [STEP_UNIT_EPOCHS] = {"epochs", "epoch", 0},
    [STEP_UNIT_CHECKPOINTS] = {"checkpoints", "checkpoint", 0},
};

const char *step_unit_name(enum step_unit unit)
{
    return units[unit].name;
}

enum step_unit step_unit_find(const char *name)
{
    int unit = name ? STEP_UNIT_COUNT - 1 : 0;
    while (unit > 0 && strcmp(units[unit].name, name) != 0)
        unit--;
    return (enum step_unit)unit;
}

void step_unit_write_number(enum step_unit unit, double number, char text[STEP_UNIT_TEXT_SIZE])
{
    static const struct {
        double size;
        const char *letter;
    } scales[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "K"}};
    size_t i = 0, count = units[unit].is_large ? sizeof scales / sizeof scales[0] : 0;
    while (i < count && !(fabs(number) >= scales[i].size * 0.99995)) /* 999,950 is 1M, not 1000K */
        i++;
    if (i < count)
        (void)snprintf(text, STEP_UNIT_TEXT_SIZE, "%.4g%s", number / scales[i].size, scales[i].letter);
    else
        (void)snprintf(text, STEP_UNIT_TEXT_SIZE, "%.17g", nearbyint(number));
}

void step_unit_write_place(enum step_unit unit, double number, char text[STEP_UNIT_TEXT_SIZE])
{
    char digits[STEP_UNIT_TEXT_SIZE];
    step_unit_write_number(unit, number, digits);
    if (units[unit].is_large)
        (void)snprintf(text, STEP_UNIT_TEXT_SIZE, "%.32s %s", digits, units[unit].name);
    else
        (void)snprintf(text, STEP_UNIT_TEXT_SIZE, "%s %.32s", units[unit].one, digits);
}

void step_unit_write_every(enum step_unit unit, double number, char text[STEP_UNIT_TEXT_SIZE])
{
    char digits[STEP_UNIT_TEXT_SIZE];
    step_unit_write_number(unit, number, digits);
    if (strcmp(digits, "1") == 0)
        (void)snprintf(text, STEP_UNIT_TEXT_SIZE, "%s", units[unit].one);
    else
        (void)snprintf(text, STEP_UNIT_TEXT_SIZE, "%.32s %s", digits, units[unit].name);
}
