/*
 * What a list of revisions lacks and the store still knows (revision_list.h).
 */
#include "daemon/base/limits.h"
#include "daemon/base/local_name.h"
#include "daemon/sweep/revision_list_parts.h"
#include "daemon/sweep/revision_names.h"
#include "daemon/sweep/run_before.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is added to a list whose rows are not in order meanwhile. */
struct memory {
    struct revision_list *list;
    struct revision_names names; /* of the rows that were there before */
    const char *model;
    const struct sweep_spec *spec;
    int code; /* of the last row, and why */
    struct err *err;
};

static int take_known(void *context, const struct revision_row *row)
{
    const struct memory *memory = context;
    const struct revision_name *name = revision_names_find(&memory->names, row->name);
    if (name)
        memory->list->rows[name->at].is_known = 1;
    return 0;
}

static int take_remembered(void *context, const struct revision_row *row)
{
    struct memory *memory = context;
    struct revision_list *list = memory->list;
    size_t before = list->count;
    const struct revision_name *name = revision_names_find(&memory->names, row->name);
    /* Of a folder: asked for by name, but deleted. Of the hub it is gone, and its task says so. */
    if (name && !list->is_partial && !revision_listed_exists(&list->rows[name->at])) {
        list->rows[name->at].row = *row;
        list->rows[name->at].is_remembered = 1;
    }
    /* A part of a folder's files tells nothing of its commit. */
    if (name && list->rows[name->at].tree && list->rows[name->at].tree->is_partial)
        memcpy(list->rows[name->at].row.commit, row->commit, sizeof row->commit);
    if (name)
        return 0;
    memory->code = revision_list_add(list, memory->model, memory->spec, row->name, row->commit, memory->err);
    if (!memory->code && list->count > before) {
        list->rows[before].row.id = row->id;
        list->rows[before].is_remembered = 1;
    }
    return memory->code;
}

/* Of remembered rows keeps those before the newest checkpoint and before the first new one. A folder without
 * any tells of no other run: it may be one that is not mounted now. */
static void keep_older(struct revision_list *list)
{
    size_t end = list->count, kept = 0;
    for (size_t i = 0; i < list->count && list->rows[i].place.is_step; i++) {
        const struct revision_listed *listed = &list->rows[i];
        if (listed->is_remembered || !revision_listed_exists(listed))
            continue;
        end = i;
        if (!listed->is_known)
            break;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (!list->rows[i].is_remembered || i < end)
            list->rows[kept++] = list->rows[i];
    }
    list->count = kept;
}

int revision_list_remember(struct revision_list *list, struct store *store, int64_t model_id,
                           const char *model, const struct sweep_spec *spec, struct err *err)
{
    enum { TEXT_SIZE = LIMIT_REVISION_NAME_BYTES + 1 };
    int is_whole_folder = !list->is_partial && local_name_is(model);
    if (!list->is_partial && !is_whole_folder)
        return 0;
    struct memory memory = {.list = list, .model = model, .spec = spec, .err = err};
    char *texts = calloc(list->count + 1, TEXT_SIZE); /* copies: the rows move when others are added */
    int code = texts ? revision_names_init(&memory.names, list->count, err)
                     : err_set(err, ERR_NO_MEMORY, "revisions: out of memory");
    for (size_t i = 0; !code && i < list->count; i++) {
        (void)snprintf(texts + i * TEXT_SIZE, TEXT_SIZE, "%s", list->rows[i].row.name);
        revision_names_add(&memory.names, texts + i * TEXT_SIZE, i);
    }
    revision_names_index(&memory.names);
    if (!code)
        code = revisions_list(store, model_id, NULL, INT_MAX, is_whole_folder ? take_known : take_remembered,
                              &memory, err);
    if (!code && is_whole_folder)
        code = revisions_list_measured(store, model_id, take_remembered, &memory, err);
    if (!code)
        code = memory.code; /* a listing that was ended succeeds */
    if (!code)
        revision_list_arrange(list);
    if (!code && is_whole_folder) {
        keep_older(list);
        code = run_before_drop(list, store, model_id, err);
    }
    free(texts);
    revision_names_free(&memory.names);
    return code;
}
