#include "daemon/sweep/run_before.h"

#include "daemon/analysis/sample.h"
#include "store/rewrites.h"

#include <stdlib.h>
#include <string.h>

struct search {
    struct revision_list *list;
    char *is_dropped; /* beside list->rows */
};

static int take_rewrite(void *context, const struct rewrite_row *rewrite)
{
    const struct search *search = context;
    const struct revision_list *list = search->list;
    const struct revision_listed *listed = revision_list_find(list, rewrite->revision.name);
    if (!listed || !listed->place.is_step)
        return 0;
    const size_t at = (size_t)(listed - list->rows);
    const int is_other =
        rewrite->count && !sample_is_of_one_run(rewrite->values, rewrite->values_before, rewrite->count);
    for (size_t i = 0; i < list->count; i++) {
        const struct revision_listed *row = &list->rows[i];
        /* A run is seen in the order of its steps: before this one came what is new of it, too. */
        const int is_of_before = i > at ? row->row.id < rewrite->since_id : row->row.id < rewrite->before_id;
        if (row->is_remembered && is_of_before && (is_other || i > at))
            search->is_dropped[i] = 1;
    }
    return 0;
}

int run_before_drop(struct revision_list *list, struct store *store, int64_t model_id, struct err *err)
{
    struct search search = {.list = list, .is_dropped = calloc(list->count + 1, 1)};
    size_t kept = 0;
    if (!search.is_dropped)
        return err_set(err, ERR_NO_MEMORY, "revisions: out of memory");
    int code = rewrites_list(store, model_id, take_rewrite, &search, err);
    for (size_t i = 0; !code && i < list->count; i++) {
        if (!search.is_dropped[i])
            list->rows[kept++] = list->rows[i];
    }
    if (!code)
        list->count = kept;
    free(search.is_dropped);
    return code;
}
