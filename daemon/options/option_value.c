#include "daemon/options/option_value.h"

#include "daemon/base/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct option_row *option_find(const char *name)
{
    for (size_t i = 0; i < option_row_count; i++) {
        if (strcmp(option_rows[i].name, name) == 0)
            return &option_rows[i];
    }
    return NULL;
}

const char *option_ask(const char *name, const char *prefix, char question[GUESS_QUESTION_SIZE])
{
    struct guess guess;
    guess_init(&guess, name);
    for (size_t i = 0; i < option_row_count; i++)
        guess_offer(&guess, option_rows[i].name);
    return guess.name ? guess_ask(&guess, prefix, question) : "; see bifurcated --help";
}

static int is_choice(const char *choices, const char *value)
{
    size_t size = strlen(value);
    for (const char *p = choices; size;) {
        size_t length = strcspn(p, "|");
        if (length == size && strncmp(p, value, size) == 0)
            return 1;
        if (!p[length])
            return 0;
        p += length + 1;
    }
    return 0;
}

static int parse_bool(const char *value, int64_t *ret_value)
{
    static const char *const yes[] = {"yes", "true", "on", "1"};
    static const char *const no[] = {"no", "false", "off", "0", ""};
    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp(value, yes[i]) == 0) {
            *ret_value = 1;
            return 1;
        }
    }
    for (size_t i = 0; i < 5; i++) {
        if (strcasecmp(value, no[i]) == 0) {
            *ret_value = 0;
            return 1;
        }
    }
    return 0;
}

int option_set_text(struct options *options, size_t offset, const char *value, struct err *err)
{
    char **member = (char **)(void *)((char *)options + offset);
    char *copy = strdup(value);
    if (!copy)
        return err_set(err, ERR_NO_MEMORY, "options: out of memory");
    free(*member);
    *member = copy;
    return 0;
}

/* Where no shell reads the value (a configuration, docker --env-file), quotes would be part of it: of the
 * name of a folder. */
static int is_quoted(const char *value)
{
    const size_t size = strlen(value);
    return size > 1 && (value[0] == '"' || value[0] == '\'') && value[size - 1] == value[0];
}

int option_set(struct options *options, const struct option_row *row, const char *value, const char *where,
               struct err *err)
{
    int64_t number = 0;
    char *end = NULL;
    if (strlen(value) > LIMIT_OPTION_VALUE_BYTES)
        return err_set(err, ERR_LIMIT, "%s: longer than %d bytes", where, LIMIT_OPTION_VALUE_BYTES);
    if (is_quoted(value))
        return err_set(err, ERR_INVALID, "%s: %s: write it without the quotes", where, value);
    switch (row->kind) {
    case OPTION_KIND_CHOICE:
        if (!is_choice(row->choices, value))
            return err_set(err, ERR_INVALID, "%s: \"%s\" is not one of %s", where, value, row->choices);
        return option_set_text(options, row->offset, value, err);
    case OPTION_KIND_TEXT:
        if (row->check && row->check(value, err))
            return err_wrap(err, "%s", where);
        return option_set_text(options, row->offset, value, err);
    case OPTION_KIND_BOOL:
        if (!parse_bool(value, &number))
            return err_set(err, ERR_INVALID, "%s: \"%s\" is neither yes nor no", where, value);
        break;
    case OPTION_KIND_INT:
        errno = 0;
        number = strtoll(value, &end, 10);
        if (end == value || *end || errno || number < row->minimum || number > row->maximum)
            return err_set(err, ERR_INVALID, "%s: \"%s\" is not a number from %" PRId64 " to %" PRId64, where,
                           value, row->minimum, row->maximum);
        break;
    }
    *(int64_t *)(void *)((char *)options + row->offset) = number;
    return 0;
}
