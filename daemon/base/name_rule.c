#include "daemon/base/name_rule.h"

#include <stdio.h>
#include <string.h>

/* The word before a number, what stands for the number, and the units that it may have. */
static const struct {
    const char *word, *placeholder, *units;
    int has_fraction;
} parts[] = {
    {"step", "{step}", "kK", 0}, {"tokens", "{tokens}", "kKmMbBtT", 1}, {"epoch", "{epoch}", "", 0},
    {"stage", "{stage}", "", 0}, {"ingredient", "{ingredient}", "", 0},
};

#define PART_COUNT (sizeof parts / sizeof parts[0])
#define DIGITS "0123456789"

/* Bytes of the number with its unit, 0 for none. */
static size_t number_size(const char *text, size_t part)
{
    size_t size = strspn(text, DIGITS);
    if (!size)
        return 0;
    if (parts[part].has_fraction && text[size] == '.')
        size += strspn(text + size + 1, DIGITS) ? 1 + strspn(text + size + 1, DIGITS) : 0;
    return size + (text[size] && strchr(parts[part].units, text[size]) ? 1 : 0);
}

/* The part that begins here, with a number behind its word; PART_COUNT for none. */
static size_t part_at(const char *text, size_t *ret_before, size_t *ret_number)
{
    for (size_t i = 0; i < PART_COUNT; i++) {
        size_t before = strlen(parts[i].word);
        if (strncmp(text, parts[i].word, before) != 0)
            continue;
        before += text[before] && strchr("-_=", text[before]) ? 1 : 0;
        if ((*ret_number = number_size(text + before, i))) {
            *ret_before = before;
            return i;
        }
    }
    return PART_COUNT;
}

int name_rule_write(const char *name, char rule[NAME_RULE_SIZE])
{
    int is_seen[PART_COUNT] = {0};
    size_t used = 0;
    rule[0] = '\0';
    if (strlen(name) > LIMIT_REVISION_NAME_BYTES || strpbrk(name, "{}"))
        return 0;
    while (*name) {
        size_t before = 1, number = 0, part = part_at(name, &before, &number);
        const int is_part = part < PART_COUNT && !is_seen[part]++;
        before = is_part ? before : 1;
        used += (size_t)snprintf(rule + used, NAME_RULE_SIZE - used, "%.*s%s", (int)before, name,
                                 is_part ? parts[part].placeholder : "");
        name += before + (is_part ? number : 0);
    }
    if (is_seen[0] && used <= LIMIT_REVISION_NAME_BYTES)
        return 1;
    rule[0] = '\0';
    return 0;
}
