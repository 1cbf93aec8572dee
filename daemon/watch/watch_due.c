#include "daemon/watch/watch_due.h"

#include "daemon/base/clock.h"
#include "daemon/sweep/completeness.h"
#include "daemon/watch/watch_changes.h"

#include <stdlib.h>
#include <string.h>

/* A row of the list, in another order. */
struct entry {
    struct revision_listed *listed;
};

/* The list by identifier, to find rows that the store names. */
struct selection {
    struct store *store;
    const struct watch_row *watch;
    const struct sweep_spec *spec;
    struct revision_list *list;
    struct entry *by_id;
    int64_t *previous; /* beside list->rows: id of the revision before it in step order; 0: none */
    char *is_stale;    /* beside list->rows: shown against what is not its reference any more */
    int64_t reference_id;
};

static int compare_rows(const void *a, const void *b)
{
    int64_t left = ((const struct entry *)a)->listed->row.id,
            right = ((const struct entry *)b)->listed->row.id;
    return (left > right) - (left < right);
}

static struct revision_listed *find(const struct selection *selection, int64_t id)
{
    size_t low = 0, high = selection->list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (selection->by_id[middle].listed->row.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < selection->list->count && selection->by_id[low].listed->row.id == id
               ? selection->by_id[low].listed
               : NULL;
}

static int is_watched(const struct selection *selection, const struct revision_listed *listed)
{
    return !listed->is_remembered && listed->cached != REVISION_CACHED_ELSEWHERE &&
           sweep_spec_selects(selection->spec, listed->row.name, &listed->place);
}

static void select_one(struct revision_listed *listed, int refusals)
{
    listed->is_selected = !refusals;
    listed->is_refused = refusals && refusals < WATCH_DUE_REFUSALS_MAX;
    listed->is_given_up = refusals >= WATCH_DUE_REFUSALS_MAX;
}

static int take_due(void *context, const struct revision_row *row, int refusals)
{
    const struct selection *selection = context;
    struct revision_listed *listed = find(selection, row->id);
    if (listed && is_watched(selection, listed))
        select_one(listed, refusals);
    return 0;
}

/* What the series of a revision refers to must be what a sweep of all would take. */
static int take_link(void *context, const struct watch_link *link)
{
    const struct selection *selection = context;
    const struct revision_listed *listed = find(selection, link->revision_id);
    if (!listed || !listed->place.is_step || !is_watched(selection, listed))
        return 0;
    size_t at = (size_t)(listed - selection->list->rows);
    if (link->is_first ? !link->is_reference_current : link->reference_id != selection->previous[at])
        selection->is_stale[at] = 1;
    return 0;
}

static struct watch_query query_of(const struct sweep_spec *spec)
{
    struct watch_query query = {.mode = PERPLEXITY_MODE_LAST_WORD};
    if (spec->wants_statistics)
        query.statistics = spec->tensor_count ? WATCH_WANT_SWEPT : WATCH_WANT_MEASURED;
    if (spec->wants_perplexity)
        query.perplexity = spec->dataset || spec->field || spec->limit || spec->window || spec->stride
                               ? WATCH_WANT_SWEPT
                               : WATCH_WANT_MEASURED;
    for (int mode = 0; spec->mode && mode < PERPLEXITY_MODE_COUNT; mode++) {
        if (strcmp(spec->mode, perplexity_mode_name((enum perplexity_mode)mode)) == 0)
            query.mode = (enum perplexity_mode)mode;
    }
    return query;
}

/* Rows are in step order. */
static void place(struct selection *selection)
{
    const struct revision_list *list = selection->list;
    int64_t previous = 0;
    for (size_t i = 0; i < list->count; i++) {
        selection->by_id[i].listed = &list->rows[i];
        if (!list->rows[i].place.is_step)
            continue;
        selection->previous[i] = previous;
        previous = list->rows[i].row.id;
        if (!selection->reference_id)
            selection->reference_id = previous;
    }
    const struct revision_listed *named =
        selection->spec->reference ? revision_list_find(list, selection->spec->reference) : NULL;
    if (selection->spec->reference)
        selection->reference_id = named ? named->row.id : 0;
    if (list->count)
        qsort(selection->by_id, list->count, sizeof *selection->by_id, compare_rows);
}

static int select_stale(struct selection *selection, struct err *err)
{
    int code = watches_list_links(selection->store, selection->watch->model_id, take_link, selection, err);
    for (size_t i = 0; !code && i < selection->list->count; i++) {
        struct revision_listed *listed = &selection->list->rows[i];
        int has_swept = 0, refusals = 0;
        if (!selection->is_stale[i] || listed->is_selected || listed->is_refused)
            continue;
        const struct watch_compared compared = {listed->row.id, selection->reference_id,
                                                selection->previous[i]};
        code = watches_has_swept(selection->store, selection->watch, &compared, &has_swept, &refusals, err);
        if (!code && !has_swept)
            select_one(listed, refusals);
    }
    return code;
}

int watch_due_select(struct store *store, const struct watch_row *watch, const struct sweep_spec *spec,
                     struct revision_list *list, struct err *err)
{
    struct selection selection = {.store = store,
                                  .watch = watch,
                                  .spec = spec,
                                  .list = list,
                                  .by_id = calloc(list->count + 1, sizeof *selection.by_id),
                                  .previous = calloc(list->count + 1, sizeof *selection.previous),
                                  .is_stale = calloc(list->count + 1, 1)};
    struct watch_query query = query_of(spec);
    int code = 0;
    if (!selection.by_id || !selection.previous || !selection.is_stale)
        code = err_set(err, ERR_NO_MEMORY, "watch: out of memory");
    if (!code) {
        place(&selection);
        code = watches_list_due_revisions(store, watch, &query, take_due, &selection, err);
    }
    if (!code && spec->wants_statistics && !list->is_partial) /* offline, neighbours seem to be missing */
        code = select_stale(&selection, err);
    free(selection.by_id);
    free(selection.previous);
    free(selection.is_stale);
    return code;
}

int watch_due_drop_unfinished(struct store *store, struct repository *repository, struct revision_list *list,
                              json_t *report, int *ret_is_fresh, struct err *err)
{
    json_t *unfinished = json_array();
    int code = 0, failed = 0;
    for (size_t i = 0; !code && i < list->count; i++) {
        struct revision_listed *listed = &list->rows[i];
        enum completeness completeness;
        char reason[ERR_MESSAGE_BYTES];
        if (!listed->is_selected)
            continue;
        code =
            completeness_check(repository, store, &listed->row, clock_wall_ms(), &completeness, reason, err);
        if (code || completeness == COMPLETENESS_WHOLE)
            continue;
        listed->is_selected = 0;
        *ret_is_fresh |= completeness == COMPLETENESS_FRESH;
        if (json_array_size(unfinished) < WATCH_CHANGES_NAMES_MAX)
            failed |= json_array_append_new(
                unfinished, json_pack("{s:s, s:s}", "revision", listed->row.name, "reason", reason));
    }
    failed |= json_object_set_new(report, "unfinished", unfinished);
    return !code && failed ? err_set(err, ERR_NO_MEMORY, "watch: out of memory") : code;
}
