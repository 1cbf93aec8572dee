#include "daemon/sweep/revision_list.h"

#include "daemon/base/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add(struct revision_list *list, const char *model, const struct sweep_spec *spec, const char *name,
               const char *commit, struct err *err)
{
    if (strlen(name) > LIMIT_REVISION_NAME_BYTES)
        return 0; /* nobody can ask for it */
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        struct revision_listed *rows = realloc(list->rows, capacity * sizeof *rows);
        if (!rows)
            return err_set(err, ERR_NO_MEMORY, "revisions: out of memory");
        list->rows = rows;
        list->capacity = capacity;
    }
    struct revision_listed *listed = &list->rows[list->count];
    *listed = (struct revision_listed){0};
    model_revision_parse(model, name, spec->rule, &listed->place);
    (void)snprintf(listed->row.name, sizeof listed->row.name, "%s", name);
    (void)snprintf(listed->row.commit, sizeof listed->row.commit, "%s", commit);
    listed->row.step = listed->place.is_step ? listed->place.step : REVISIONS_STEP_NONE;
    if (listed->place.is_step) {
        listed->row.stage = listed->place.stage;
        listed->row.ingredient = listed->place.ingredient;
        listed->row.tokens = listed->place.tokens > 0 ? listed->place.tokens : 0;
    }
    list->count++;
    return 0;
}

struct revision_listed *revision_list_find(const struct revision_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->rows[i].row.name, name) == 0)
            return &list->rows[i];
    }
    return NULL;
}

static int compare(const void *left, const void *right)
{
    const struct revision_listed *a = left, *b = right;
    int order = model_revision_compare(&a->place, &b->place);
    return order ? order : strcmp(a->row.name, b->row.name);
}

/* A name that is no branch or tag may still be a commit or a pull request. */
static int add_named(struct revision_list *list, struct repository *repository, const char *model,
                     const struct sweep_spec *spec, const char *name, struct err *err)
{
    char commit[REPOSITORY_COMMIT_SIZE];
    struct err reason = ERR_INIT;
    if (revision_list_find(list, name))
        return 0;
    int code = repository_resolve(repository, name, commit, &reason);
    if (code == ERR_NOT_FOUND && !list->is_partial) /* offline nobody knows whether it exists */
        return add(list, model, spec, name, REVISION_LIST_NO_COMMIT, err);
    if (code) {
        *err = reason;
        return code;
    }
    return add(list, model, spec, name, commit, err);
}

int revision_list_read(struct revision_list *list, struct repository *repository, const char *model,
                       const struct sweep_spec *spec, struct err *err)
{
    struct repository_refs *refs = NULL;
    *list = (struct revision_list){0};
    int code = repository_list_refs(repository, &refs, err);
    if (!code)
        list->is_partial = refs->is_partial;
    for (size_t i = 0; !code && i < refs->count; i++) {
        const struct repository_ref *ref = &refs->rows[i];
        if (ref->kind != REPOSITORY_REF_KIND_PULL_REQUEST && !revision_list_find(list, ref->name))
            code = add(list, model, spec, ref->name, ref->commit, err);
    }
    for (size_t i = 0; !code && i < spec->name_count; i++)
        code = add_named(list, repository, model, spec, spec->names[i], err);
    if (!code && spec->reference)
        code = add_named(list, repository, model, spec, spec->reference, err);
    repository_refs_free(refs);
    if (!code && list->count)
        qsort(list->rows, list->count, sizeof *list->rows, compare);
    return code;
}

void revision_list_free(struct revision_list *list)
{
    free(list->rows);
    *list = (struct revision_list){0};
}

void revision_list_drop_missing(struct revision_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (revision_listed_exists(&list->rows[i]))
            list->rows[kept++] = list->rows[i];
    }
    list->count = kept;
}

int revision_list_store(struct revision_list *list, struct store *store, int64_t model_id,
                        const struct revisions_note *note, struct err *err)
{
    struct revision_row *rows = calloc(list->count ? list->count : 1, sizeof *rows);
    if (!rows)
        return err_set(err, ERR_NO_MEMORY, "revisions: out of memory");
    for (size_t i = 0; i < list->count; i++)
        rows[i] = list->rows[i].row;
    int code = revisions_update_noting(store, model_id, rows, list->count, !list->is_partial, note, err);
    for (size_t i = 0; !code && i < list->count; i++)
        list->rows[i].row.id = rows[i].id;
    free(rows);
    return code;
}

int revision_listed_exists(const struct revision_listed *listed)
{
    return strcmp(listed->row.commit, REVISION_LIST_NO_COMMIT) != 0;
}
