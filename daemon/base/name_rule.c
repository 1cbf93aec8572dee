#include "daemon/base/name_rule.h"

#include <stdio.h>
#include <string.h>

/* What stands for a number, and the word that names mostly have before it; NULL: that word means another. */
static const struct {
    const char *placeholder, *word;
} parts[NAME_RULE_PART_COUNT] = {
    [NAME_RULE_PART_STEP] = {"{step}", "step"},
    [NAME_RULE_PART_STAGE] = {"{stage}", "stage"},
    [NAME_RULE_PART_INGREDIENT] = {"{ingredient}", "ingredient"},
    [NAME_RULE_PART_TOKENS] = {"{tokens}", "tokens"},
    [NAME_RULE_PART_EPOCH] = {"{epoch}", "epoch"},
    [NAME_RULE_PART_CHECKPOINT] = {"{checkpoint}", NULL}, /* "checkpoint-500" is step 500 */
};

/* The placeholder at the beginning of `text`, or NAME_RULE_PART_COUNT. */
static int placeholder_at(const char *text)
{
    int i = *text == '{' ? 0 : NAME_RULE_PART_COUNT;
    while (i < NAME_RULE_PART_COUNT && strncmp(text, parts[i].placeholder, strlen(parts[i].placeholder)) != 0)
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
static const char *read_number(const char *text, enum name_rule_part part, int64_t *number)
{
    int is_tokens = part == NAME_RULE_PART_TOKENS;
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
    int64_t unit = part == NAME_RULE_PART_STEP || is_tokens ? unit_of(*text, is_tokens) : 0;
    if (unit)
        text++;
    else
        unit = 1;
    if (__builtin_mul_overflow(whole, unit, &whole) ||
        __builtin_add_overflow(whole, fraction * unit / scale, &whole)) /* at most 1e6 * 1e12 */
        return NULL;
    if ((part == NAME_RULE_PART_STEP || part == NAME_RULE_PART_CHECKPOINT) && whole > NAME_RULE_STEP_MAX)
        return NULL;
    *number = whole;
    return text;
}

int name_rule_check(const char *rule, struct err *err)
{
    int seen[NAME_RULE_PART_COUNT] = {0}, star_count = 0;
    if (strlen(rule) > LIMIT_REVISION_NAME_BYTES)
        return err_set(err, ERR_INVALID, "the rule for revision names is longer than %d bytes",
                       LIMIT_REVISION_NAME_BYTES);
    for (const char *p = rule; *p;) {
        int part = placeholder_at(p);
        if (part < NAME_RULE_PART_COUNT) {
            if (seen[part]++)
                return err_set(err, ERR_INVALID, "%s occurs twice in the rule for revision names",
                               parts[part].placeholder);
            p += strlen(parts[part].placeholder);
        } else if (*p == '{' || *p == '}') {
            return err_set(err, ERR_INVALID,
                           "unknown placeholder in \"%.100s\": {step}, {stage}, {ingredient}, {tokens}, "
                           "{checkpoint} and {epoch} exist",
                           rule);
        } else if (*p++ == '*' && ++star_count > NAME_RULE_STARS_MAX) {
            return err_set(err, ERR_INVALID, "more than %d '*' in the rule for revision names",
                           NAME_RULE_STARS_MAX);
        }
    }
    if (!seen[NAME_RULE_PART_STEP] && !seen[NAME_RULE_PART_TOKENS] && !seen[NAME_RULE_PART_CHECKPOINT])
        return err_set(err, ERR_INVALID,
                       "the rule \"%.100s\" for revision names lacks {step}, {tokens} or {checkpoint}", rule);
    return 0;
}

/* Reads the rule up to its end or its next '*' from the beginning of `text`. Returns what follows in the
 * text, NULL if that does not match. */
static const char *read_piece(const char *rule, const char *text, int64_t numbers[NAME_RULE_PART_COUNT])
{
    while (*rule && *rule != '*') {
        int part = placeholder_at(rule);
        if (part < NAME_RULE_PART_COUNT) {
            text = read_number(text, (enum name_rule_part)part, &numbers[part]);
            if (!text)
                return NULL;
            rule += strlen(parts[part].placeholder);
        } else if (*rule++ != *text++) {
            return NULL;
        }
    }
    return text;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Whether a number that a rule reads here would begin in the midst of one: a number that is too large must
 * not match by its end. */
static int is_inside_number(const char *rule, const char *begin, const char *text)
{
    const int part = placeholder_at(rule);
    if (part == NAME_RULE_PART_COUNT || text == begin)
        return 0;
    return is_digit(text[-1]) ||
           (part == NAME_RULE_PART_TOKENS && text[-1] == '.' && text - begin > 1 && is_digit(text[-2]));
}

int name_rule_read(const char *rule, const char *name, int64_t numbers[NAME_RULE_PART_COUNT])
{
    const char *text = read_piece(rule, name, numbers);
    /* The first place where a piece matches is the best: from a later one it ends no earlier. So no choice is
     * ever taken back, but that of the last piece, which must end with the name. */
    while (text && *(rule += strcspn(rule, "*"))) {
        const char *end = NULL;
        const int is_last = !strchr(++rule, '*');
        for (; !end; text++) {
            if (!is_inside_number(rule, name, text))
                end = read_piece(rule, text, numbers);
            if (end && is_last && *end)
                end = NULL;
            if (!end && !*text)
                return 0;
        }
        text = end;
    }
    return text && *text == 0;
}

/* The part that begins here, a word with a number behind it; NAME_RULE_PART_COUNT for none. */
static int part_at(const char *text, size_t *ret_before, const char **ret_end)
{
    for (int i = 0; i < NAME_RULE_PART_COUNT; i++) {
        size_t before = parts[i].word ? strlen(parts[i].word) : 0;
        int64_t number;
        if (!before || strncmp(text, parts[i].word, before) != 0)
            continue;
        before += text[before] && strchr("-_=", text[before]) ? 1 : 0;
        if ((*ret_end = read_number(text + before, (enum name_rule_part)i, &number))) {
            *ret_before = before;
            return i;
        }
    }
    return NAME_RULE_PART_COUNT;
}

int name_rule_write(const char *name, char rule[NAME_RULE_SIZE])
{
    int is_seen[NAME_RULE_PART_COUNT] = {0};
    size_t used = 0;
    rule[0] = '\0';
    if (strlen(name) > LIMIT_REVISION_NAME_BYTES || strpbrk(name, "{}*"))
        return 0;
    while (*name) {
        size_t before = 1;
        const char *end = NULL;
        const int part = part_at(name, &before, &end);
        const int is_part = part < NAME_RULE_PART_COUNT && !is_seen[part]++;
        before = is_part ? before : 1;
        used += (size_t)snprintf(rule + used, NAME_RULE_SIZE - used, "%.*s%s", (int)before, name,
                                 is_part ? parts[part].placeholder : "");
        name = is_part ? end : name + 1;
    }
    if (is_seen[NAME_RULE_PART_STEP] && used <= LIMIT_REVISION_NAME_BYTES)
        return 1;
    rule[0] = '\0';
    return 0;
}
