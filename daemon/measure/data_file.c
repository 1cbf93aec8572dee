#include "daemon/measure/data_file.h"

#include "daemon/base/buf.h"
#include "daemon/base/file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 12 /* that a message lists */

/* The length of `path` without `ending`, or 0 if it does not end so. */
static size_t without(const char *path, size_t size, const char *ending)
{
    size_t ending_size = strlen(ending);
    return size > ending_size && memcmp(path + size - ending_size, ending, ending_size) == 0
               ? size - ending_size
               : 0;
}

/* A path taken apart; is_jsonl is -1 if it is no file of texts. */
struct parts {
    const char *path;
    size_t stem_size; /* without its endings */
    int is_jsonl, is_packed;
};

static struct parts take_apart(const char *path)
{
    struct parts parts = {.path = path, .is_jsonl = -1};
    size_t size = strlen(path), inner = without(path, size, ".gz");
    inner = inner ? inner : without(path, size, ".zst");
    parts.is_packed = inner != 0;
    size = inner ? inner : size;
    if ((inner = without(path, size, ".jsonl")))
        parts.is_jsonl = 1;
    else if ((inner = without(path, size, ".txt")))
        parts.is_jsonl = 0;
    parts.stem_size = inner;
    return parts;
}

static int is_word_byte(char byte)
{
    return isalnum((unsigned char)byte) || (unsigned char)byte >= 0x80;
}

/* Whether the stem has `word` as a word of its own; with `is_last`, as its last one. */
static int has_word(const struct parts *parts, const char *word, int is_last)
{
    size_t size = strlen(word);
    for (size_t at = 0; at + size <= parts->stem_size; at++) {
        int begins = at == 0 || !is_word_byte(parts->path[at - 1]);
        int ends = at + size == parts->stem_size || (!is_last && !is_word_byte(parts->path[at + size]));
        if (begins && ends && memcmp(parts->path + at, word, size) == 0)
            return 1;
    }
    return 0;
}

/* -- Rules: whether a file fits; `word` as far as the rule needs one ------------------------------- */

static int fits_jsonl(const struct parts *parts, const char *word)
{
    (void)word;
    return parts->is_jsonl == 1;
}

static int fits_word(const struct parts *parts, const char *word)
{
    return has_word(parts, word, 0);
}

static int fits_last_word(const struct parts *parts, const char *word)
{
    return has_word(parts, word, 1);
}

static int fits_plain(const struct parts *parts, const char *word)
{
    (void)word;
    return !parts->is_packed;
}

/* Keeps the files that fit, if there are any; says whether there are. */
static int narrow(const struct repository_tree *tree, unsigned char *is_left, size_t *left,
                  int (*fits)(const struct parts *parts, const char *word), const char *word)
{
    size_t fitting = 0;
    for (size_t i = 0; i < tree->count; i++) {
        struct parts parts = take_apart(tree->files[i].path);
        fitting += is_left[i] && fits(&parts, word);
    }
    for (size_t i = 0; i < tree->count && fitting; i++) {
        struct parts parts = take_apart(tree->files[i].path);
        is_left[i] = is_left[i] && fits(&parts, word);
    }
    if (fitting)
        *left = fitting;
    return fitting > 0;
}

/* The words for the part of a data set that models are measured with, the best one first. */
static const char *const parts_of_sets[] = {"test", "validation", "valid", "dev"};

static void apply_rules(const struct repository_tree *tree, unsigned char *is_left, size_t *left)
{
    (void)narrow(tree, is_left, left, fits_jsonl, NULL);
    for (size_t i = 0; i < sizeof parts_of_sets / sizeof parts_of_sets[0] && *left > 1; i++) {
        if (!narrow(tree, is_left, left, fits_word, parts_of_sets[i]))
            continue;
        if (*left > 1)
            (void)narrow(tree, is_left, left, fits_last_word, parts_of_sets[i]);
        break;
    }
    if (*left > 1)
        (void)narrow(tree, is_left, left, fits_word, "en");
    if (*left > 1)
        (void)narrow(tree, is_left, left, fits_plain, NULL);
}

/* The names of the files of texts, as far as a message has room. */
static void list_names(const struct repository_tree *tree, struct buf *list)
{
    size_t count = 0;
    for (size_t i = 0; i < tree->count; i++) {
        struct parts parts = take_apart(tree->files[i].path);
        if (parts.is_jsonl >= 0 && count++ < NAMES_MAX)
            (void)buf_appendf(list, "%s%.60s", list->size ? ", " : "", tree->files[i].path);
    }
    if (count > NAMES_MAX)
        (void)buf_appendf(list, " and %zu more", count - NAMES_MAX);
}

int data_file_choose(const struct repository_tree *tree, const char *name,
                     const struct repository_file **ret_file, struct err *err)
{
    size_t left = 0;
    unsigned char *is_left = calloc(tree->count + 1, 1);
    if (!is_left)
        return err_set(err, ERR_NO_MEMORY, "data set %s: out of memory", name);
    for (size_t i = 0; i < tree->count; i++) {
        is_left[i] = take_apart(tree->files[i].path).is_jsonl >= 0;
        left += is_left[i];
    }
    apply_rules(tree, is_left, &left);
    for (size_t i = 0; i < tree->count; i++)
        if (left == 1 && is_left[i])
            *ret_file = &tree->files[i];
    free(is_left);
    if (left == 1)
        return 0;
    if (left == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "data set %s: it has no .jsonl or .txt file (plain, .gz or .zst); name a local one as "
                       "file:/PATH",
                       name);
    struct buf list;
    buf_init(&list, ERR_MESSAGE_BYTES);
    list_names(tree, &list);
    int code = err_set(err, ERR_INVALID, "data set %s: say which file, as %s:FILE; it has %s", name, name,
                       buf_text(&list));
    buf_free(&list);
    return code;
}

int data_file_find(const struct repository_tree *tree, const char *name, const char *path,
                   const struct repository_file **ret_file, struct err *err)
{
    const struct repository_file *file = repository_tree_find(tree, path);
    struct buf list;
    if (file) {
        *ret_file = file;
        return 0;
    }
    if (!file_is_safe_relative(path))
        return err_set(
            err, ERR_INVALID,
            "data set %s: \"%.100s\": names with a backslash or control characters, or that leave the "
            "data set, are not read; name a local copy as file:/PATH",
            name, path);
    buf_init(&list, ERR_MESSAGE_BYTES);
    list_names(tree, &list);
    int code = err_set(err, ERR_NOT_FOUND, "data set %s: it has no file %.100s; it has %s", name, path,
                       list.size ? buf_text(&list) : "no .jsonl or .txt file at all");
    buf_free(&list);
    return code;
}
