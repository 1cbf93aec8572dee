#include "daemon/base/guess.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PREFIX_BYTES_MIN 3

static int is_equal(char a, char b)
{
    return strncasecmp(&a, &b, 1) == 0;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: Levenshtein's distance, in which two neighbours may change places. Both words are
 * at most GUESS_WORD_BYTES_MAX long. */
static size_t count_slips(const char *a, const char *b)
{
    size_t rows[3][GUESS_WORD_BYTES_MAX + 1], length = strlen(b);
    size_t *older = rows[0], *old = rows[1], *row = rows[2];
    for (size_t i = 0; i <= length; i++)
        row[i] = i;
    for (size_t k = 1; a[k - 1]; k++) {
        size_t *oldest = older;
        older = old;
        old = row;
        row = oldest;
        row[0] = k;
        for (size_t i = 1; i <= length; i++) {
            row[i] = smaller(smaller(old[i], row[i - 1]) + 1, old[i - 1] + !is_equal(a[k - 1], b[i - 1]));
            if (k > 1 && i > 1 && is_equal(a[k - 1], b[i - 2]) && is_equal(a[k - 2], b[i - 1]))
                row[i] = smaller(row[i], older[i - 2] + 1);
        }
    }
    return row[length];
}

static int is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

static double read_digits(const char **text)
{
    double number = 0;
    for (; is_digit(**text); (*text)++)
        number = 10 * number + (**text - '0');
    return number;
}

/* How far the numbers of two words lie apart that are equal but for one number, or wholly (0); infinite where
 * they are not. */
static double find_gap(const char *a, const char *b)
{
    double gap = 0;
    while (*a || *b) {
        if (is_digit(*a) && is_digit(*b)) {
            double x = read_digits(&a), y = read_digits(&b);
            if (x < y || x > y) {
                if (gap > 0)
                    return (double)INFINITY;
                gap = x < y ? y - x : x - y;
            }
        } else if (!*a || !*b || !is_equal(*a++, *b++)) {
            return (double)INFINITY;
        }
    }
    return gap;
}

void guess_init(struct guess *guess, const char *typed)
{
    *guess = (struct guess){.typed = typed, .limit = strlen(typed) / 3 + 1, .gap = (double)INFINITY};
}

void guess_offer(struct guess *guess, const char *name)
{
    size_t length = strlen(guess->typed);
    if (length > GUESS_WORD_BYTES_MAX || strlen(name) > GUESS_WORD_BYTES_MAX)
        return;
    double gap = find_gap(guess->typed, name);
    if (gap < guess->gap) {
        guess->gap = gap;
        guess->name = name;
        guess->limit = 0; /* no slip is nearer than a number */
    }
    if (gap < (double)INFINITY)
        return;
    int is_beginning =
        length >= PREFIX_BYTES_MIN && strncasecmp(name, guess->typed, length) == 0 && name[length];
    size_t slips = is_beginning ? 1 : count_slips(guess->typed, name);
    if (slips >= guess->limit)
        return;
    guess->limit = slips;
    guess->name = name;
}

const char *guess_ask(const struct guess *guess, const char *prefix, char question[GUESS_QUESTION_SIZE])
{
    question[0] = '\0';
    if (guess->name)
        (void)snprintf(question, GUESS_QUESTION_SIZE, "; did you mean \"%s%s\"?", prefix, guess->name);
    return question;
}
