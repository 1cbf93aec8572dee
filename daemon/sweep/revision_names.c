#include "daemon/sweep/revision_names.h"

#include <stdlib.h>
#include <string.h>

int revision_names_init(struct revision_names *names, size_t capacity, struct err *err)
{
    *names = (struct revision_names){.rows = calloc(capacity ? capacity : 1, sizeof *names->rows)};
    return names->rows ? 0 : err_set(err, ERR_NO_MEMORY, "revisions: out of memory");
}

void revision_names_free(struct revision_names *names)
{
    free(names->rows);
    *names = (struct revision_names){0};
}

void revision_names_add(struct revision_names *names, const char *text, size_t at)
{
    names->rows[names->count++] = (struct revision_name){text, at};
}

static int compare_names(const void *left, const void *right)
{
    const struct revision_name *a = left, *b = right;
    int order = strcmp(a->text, b->text);
    return order ? order : (a->at > b->at) - (a->at < b->at);
}

void revision_names_index(struct revision_names *names)
{
    size_t kept = 0;
    if (names->count)
        qsort(names->rows, names->count, sizeof *names->rows, compare_names);
    for (size_t i = 0; i < names->count; i++) {
        if (!kept || strcmp(names->rows[kept - 1].text, names->rows[i].text) != 0)
            names->rows[kept++] = names->rows[i];
    }
    names->count = kept;
}

static int compare_text(const void *text, const void *name)
{
    return strcmp(text, ((const struct revision_name *)name)->text);
}

const struct revision_name *revision_names_find(const struct revision_names *names, const char *text)
{
    if (!names->count)
        return NULL;
    return bsearch(text, names->rows, names->count, sizeof *names->rows, compare_text);
}
