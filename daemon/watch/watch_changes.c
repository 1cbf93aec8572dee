#include "daemon/watch/watch_changes.h"

#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"

#include <stdlib.h>
#include <string.h>

static const char *const KINDS[] = {"new", "moved", "gone"};
#define KIND_COUNT (sizeof KINDS / sizeof KINDS[0])

struct kind {
    const char *name;
    json_int_t count;
    json_t *names;
    int is_earlier; /* some are of an earlier run */
    int failed;     /* a name is missing for lack of memory */
};

/* An entry of the list, in another order. */
struct entry {
    const struct revision_listed *listed;
};

struct comparison {
    struct entry *by_name; /* the list, ordered by name */
    size_t count;
    char *is_known; /* beside by_name */
    struct kind added, moved, gone;
    int is_partial; /* of the list: what is missing need not be gone */
    struct revision_key last;
    int rows; /* of the present page */
};

static int compare_rows(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    return strcmp(left->listed->row.name, right->listed->row.name);
}

static int compare_name(const void *key, const void *element)
{
    return strcmp(key, ((const struct entry *)element)->listed->row.name);
}

static int has_name(const json_t *names, const char *name)
{
    size_t i;
    const json_t *one;
    json_array_foreach(names, i, one)
    {
        const char *text = json_string_value(one);
        if (text && strcmp(text, name) == 0)
            return 1;
    }
    return 0;
}

/* A name of an earlier run may have changed again since. */
static void note(struct kind *kind, const char *name)
{
    if (kind->is_earlier && has_name(kind->names, name))
        return;
    if (kind->count++ < WATCH_CHANGES_NAMES_MAX)
        kind->failed |= json_array_append_new(kind->names, json_string(name)) != 0;
}

/* Begins with what earlier runs have found. */
static void begin_kind(struct kind *kind, const char *name, const json_t *earlier)
{
    const json_t *found = json_object_get(earlier, name), *names = json_object_get(found, "names");
    *kind = (struct kind){.name = name, .count = json_integer_value(json_object_get(found, "count"))};
    kind->is_earlier = kind->count > 0;
    kind->names = names ? json_copy((json_t *)(uintptr_t)names) : json_array();
}

static int take_known(void *context, const struct revision_row *row)
{
    struct comparison *comparison = context;
    comparison->rows++;
    revision_key_of(row, &comparison->last);
    const struct entry *found = comparison->count ? bsearch(row->name, comparison->by_name, comparison->count,
                                                            sizeof comparison->by_name[0], compare_name)
                                                  : NULL;
    if (!found) {
        if (!comparison->is_partial && strcmp(row->commit, REVISION_NO_COMMIT) != 0)
            note(&comparison->gone, row->name);
        return 0;
    }
    if (strcmp(row->commit, REVISION_NO_COMMIT) == 0)
        return 0; /* was asked for before it existed */
    comparison->is_known[found - comparison->by_name] = 1;
    if (!found->listed->is_carrier && strcmp(found->listed->row.commit, row->commit) != 0)
        note(&comparison->moved, row->name);
    return 0;
}

static int read_known(struct store *store, int64_t model_id, struct comparison *comparison, struct err *err)
{
    int code = 0;
    int is_first = 1;
    do {
        struct revision_key after = comparison->last;
        comparison->rows = 0;
        code = revisions_list(store, model_id, is_first ? NULL : &after, LIMIT_API_PAGE_ROWS, take_known,
                              comparison, err);
        is_first = 0;
    } while (!code && comparison->rows == LIMIT_API_PAGE_ROWS);
    return code;
}

static int add_kind(json_t *report, struct kind *kind, struct err *err)
{
    json_t *value = json_pack("{s:I, s:o}", "count", kind->count, "names", kind->names);
    kind->names = NULL;
    if (json_object_set_new(report, kind->name, value) || kind->failed)
        return err_set(err, ERR_NO_MEMORY, "watch: out of memory");
    return 0;
}

int watch_changes_report(struct store *store, int64_t model_id, const struct revision_list *list,
                         const json_t *earlier, json_t *report, struct err *err)
{
    struct comparison comparison = {.is_partial = list->is_partial,
                                    .count = list->count,
                                    .by_name = calloc(list->count + 1, sizeof *comparison.by_name),
                                    .is_known = calloc(list->count + 1, 1)};
    int code = 0;
    begin_kind(&comparison.added, KINDS[0], earlier);
    begin_kind(&comparison.moved, KINDS[1], earlier);
    begin_kind(&comparison.gone, KINDS[2], earlier);
    if (!comparison.by_name || !comparison.is_known || !comparison.added.names || !comparison.moved.names ||
        !comparison.gone.names) {
        code = err_set(err, ERR_NO_MEMORY, "watch: out of memory");
        goto out;
    }
    for (size_t i = 0; i < list->count; i++)
        comparison.by_name[i].listed = &list->rows[i];
    if (list->count)
        qsort(comparison.by_name, list->count, sizeof *comparison.by_name, compare_rows);
    code = read_known(store, model_id, &comparison, err);
    if (code)
        goto out;
    for (size_t i = 0; i < list->count; i++) {
        if (!comparison.is_known[i])
            note(&comparison.added, comparison.by_name[i].listed->row.name);
    }
    code = add_kind(report, &comparison.added, err);
    if (!code)
        code = add_kind(report, &comparison.moved, err);
    if (!code)
        code = add_kind(report, &comparison.gone, err);
out:
    json_decref(comparison.added.names);
    json_decref(comparison.moved.names);
    json_decref(comparison.gone.names);
    free(comparison.by_name);
    free(comparison.is_known);
    return code;
}

void watch_changes_take_back(json_t *report)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        (void)json_object_del(report, KINDS[i]);
}

int watch_changes_dump(const json_t *report, char **ret_text, struct err *err)
{
    json_t *changes = json_object();
    json_int_t count = 0;
    int failed = !changes;
    *ret_text = NULL;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        json_t *kind = json_object_get(report, KINDS[i]);
        count += json_integer_value(json_object_get(kind, "count"));
        failed |= json_object_set(changes, KINDS[i], kind);
    }
    if (!failed && count) {
        *ret_text = json_text_dump(changes, JSON_COMPACT);
        failed = !*ret_text;
    }
    json_decref(changes);
    return failed ? err_set(err, ERR_NO_MEMORY, "watch: out of memory") : 0;
}
