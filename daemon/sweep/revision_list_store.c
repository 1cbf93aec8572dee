/*
 * What the store keeps of a list of revisions (revision_list.h).
 */
#include "daemon/sweep/revision_list.h"
#include "daemon/sweep/revision_source.h"

#include <stdlib.h>

int revision_list_store(struct revision_list *list, struct store *store, int64_t model_id,
                        const struct revisions_note *note, struct err *err)
{
    struct revision_row *rows = calloc(list->count ? list->count : 1, sizeof *rows);
    if (!rows)
        return err_set(err, ERR_NO_MEMORY, "revisions: out of memory");
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (!list->rows[i].is_remembered || !list->is_partial)
            rows[count++] = list->rows[i].row;
    }
    /* A list without steps, as of a hub that does not tell of the places now, says nothing of their unit. */
    const enum step_unit *unit = revision_list_has_steps(list) ? &list->unit : NULL;
    int code = revisions_update_counted(store, model_id, unit, rows, count, !list->is_partial, note, err);
    for (size_t i = list->count; !code && i-- > 0;) {
        if (!list->rows[i].is_remembered || !list->is_partial)
            list->rows[i].row.id = rows[--count].id;
    }
    free(rows);
    return code;
}

int revision_list_store_files(const struct revision_list *list, struct store *store, struct err *err)
{
    int code = 0;
    for (size_t i = 0; !code && i < list->count; i++) {
        const struct revision_listed *listed = &list->rows[i];
        struct revision_file_row ignored_file;
        struct err ignored = ERR_INIT;
        int are_known = 0, forgotten = 0;
        if (!listed->tree || listed->tree->is_partial)
            continue;
        code = revisions_find_file(store, listed->row.id, "", &ignored_file, &are_known, &ignored);
        if (code && code != ERR_NOT_FOUND)
            *err = ignored;
        else
            code = are_known ? 0 : revision_source_store(store, &listed->row, listed->tree, &forgotten, err);
    }
    return code;
}
