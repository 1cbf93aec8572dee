#include "daemon/sweep/revision_list.h"

#include "daemon/base/digest.h"
#include "daemon/base/guess.h"
#include "daemon/base/limits.h"
#include "daemon/base/local_name.h"
#include "daemon/base/revision_place.h"
#include "daemon/sweep/revision_list_parts.h"
#include "daemon/sweep/revision_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ABSENT_MAX 100 /* names that are asked for in vain */

/* Nobody can ask for a longer name. */
static int is_askable(const char *name)
{
    return strlen(name) <= LIMIT_REVISION_NAME_BYTES;
}

/* Names of another unit give no step of the series. */
static void set_place(struct revision_listed *listed, enum step_unit unit)
{
    static const struct model_revision none = {.step = -1, .tokens = -1};
    const struct model_revision *named = &listed->named;
    struct revision_row *row = &listed->row;
    const int is_step = named->is_step && named->unit == unit;
    listed->place = is_step ? *named : none;
    row->step = is_step ? named->step : REVISIONS_STEP_NONE;
    row->stage = is_step ? named->stage : 0;
    row->ingredient = is_step ? named->ingredient : 0;
    row->tokens = is_step && named->tokens > 0 ? named->tokens : 0;
    row->stated = !is_step ? 0
                           : (named->has_stage ? REVISION_STATES_STAGE : 0) |
                                 (named->has_ingredient ? REVISION_STATES_INGREDIENT : 0) |
                                 (named->tokens >= 0 ? REVISION_STATES_TOKENS : 0);
}

int revision_list_add(struct revision_list *list, const char *model, const struct sweep_spec *spec,
                      const char *name, const char *commit, struct err *err)
{
    if (!is_askable(name))
        return 0;
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
    model_revision_parse(model, name, spec->rule, &listed->named);
    (void)snprintf(listed->row.name, sizeof listed->row.name, "%s", name);
    (void)snprintf(listed->row.commit, sizeof listed->row.commit, "%s", commit);
    set_place(listed, listed->named.unit);
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

/* Numbers of two units make no series: that counts which most names have, as a run whose trainer saved by
 * epochs and then by steps. What is in a folder now outvotes any number of what was deleted from it. */
static void choose_unit(struct revision_list *list)
{
    const size_t there = list->is_partial ? 1 : list->count + 1; /* the weight of a name that is there */
    size_t counts[STEP_UNIT_COUNT] = {0};
    for (size_t i = 0; i < list->count; i++) {
        if (list->rows[i].named.is_step)
            counts[list->rows[i].named.unit] += list->rows[i].is_remembered ? 1 : there;
    }
    list->unit = STEP_UNIT_STEPS;
    for (int unit = 0; unit < STEP_UNIT_COUNT; unit++)
        list->unit = counts[unit] > counts[list->unit] ? (enum step_unit)unit : list->unit;
    for (size_t i = 0; i < list->count; i++)
        set_place(&list->rows[i], list->unit);
}

void revision_list_arrange(struct revision_list *list)
{
    choose_unit(list);
    if (list->count)
        qsort(list->rows, list->count, sizeof *list->rows, compare);
}

/* Or of a tag. */
static int is_of_branch(const struct repository_ref *ref)
{
    return ref->kind == REPOSITORY_REF_KIND_BRANCH || ref->kind == REPOSITORY_REF_KIND_TAG;
}

static int collect_names(const struct repository_refs *refs, struct revision_names *names, struct err *err)
{
    int code = revision_names_init(names, refs->count, err);
    for (size_t i = 0; !code && i < refs->count; i++) {
        if (is_of_branch(&refs->rows[i]) && is_askable(refs->rows[i].name))
            revision_names_add(names, refs->rows[i].name, i);
    }
    revision_names_index(names);
    return code;
}

/* Whether a name is that of no branch: of a commit, "refs/pr/1", or a place. */
static int is_no_branch(const char *name)
{
    return digest_is_hex(name, REPOSITORY_COMMIT_SIZE - 1) || strncmp(name, "refs/", 5) == 0 ||
           strpbrk(name, ":^");
}

/* A list while it is read. */
struct reading {
    struct revision_list *list;
    struct repository *repository;
    const struct sweep_spec *spec;
    struct revision_names names; /* of the branches and tags, which are the first rows */
    size_t absent;               /* names besides these that were asked for in vain */
};

/* A name that is none of the listed branches and tags may still be something else, and some mirrors of the
 * hub do not list all. Where so many were asked for in vain, further ones are mistyped, too, and not asked
 * for. */
static int add_named(struct reading *reading, const char *name, struct err *err)
{
    struct revision_list *list = reading->list;
    const struct sweep_spec *spec = reading->spec;
    const char *model = reading->repository->name;
    char commit[REPOSITORY_COMMIT_SIZE];
    struct err reason = ERR_INIT;
    if (revision_names_find(&reading->names, name))
        return 0;
    for (size_t i = reading->names.count; i < list->count; i++) {
        if (strcmp(list->rows[i].row.name, name) == 0)
            return 0;
    }
    if (reading->absent >= ABSENT_MAX && !list->is_partial && !local_name_is(model) && !is_no_branch(name))
        return revision_list_add(list, model, spec, name, REVISION_NO_COMMIT, err);
    int code = repository_resolve(reading->repository, name, commit, &reason);
    /* Offline nobody knows whether it exists; the hub does, whatever else it does not tell. */
    if (code == ERR_NOT_FOUND && (!list->is_partial || reason.absent == ERR_ABSENT_REVISION)) {
        reading->absent++;
        return revision_list_add(list, model, spec, name, REVISION_NO_COMMIT, err);
    }
    if (code) {
        *err = reason;
        return code;
    }
    return revision_list_add(list, model, spec, name, commit, err);
}

int revision_list_check_reference(const struct revision_list *list, const char *model, const char *reference,
                                  struct err *err)
{
    char question[GUESS_QUESTION_SIZE];
    struct guess guess;
    const struct revision_listed *found = reference ? revision_list_find(list, reference) : NULL;
    if (!found || revision_listed_exists(found))
        return 0;
    guess_init(&guess, reference);
    for (size_t i = 0; i < list->count; i++) {
        if (revision_listed_exists(&list->rows[i]))
            guess_offer(&guess, list->rows[i].row.name);
    }
    return err_set(err, ERR_NOT_FOUND, "%.100s has no revision %.100s for displacements to start from%s",
                   model, reference, guess_ask(&guess, "", question));
}

int revision_list_has_steps(const struct revision_list *list)
{
    size_t i = 0;
    while (i < list->count && !list->rows[i].place.is_step)
        i++;
    return i < list->count;
}

/* The places lie in one branch, if in any: each checkpoint that is pushed moves it. */
static void mark_carrier(struct revision_list *list, const char *name_of_place, const struct sweep_spec *spec)
{
    struct revision_place place;
    struct err ignored = ERR_INIT;
    if (revision_place_read(NULL, name_of_place, &place, &ignored))
        return;
    struct revision_listed *branch = revision_list_find(list, place.branch);
    if (branch)
        branch->is_carrier = !sweep_spec_selects(spec, branch->row.name, &branch->place);
}

/* Adds what is no branch or tag; the list is of those alone, as yet. */
static int add_places(struct revision_list *list, const struct places_search *search,
                      const struct sweep_spec *spec, struct err *err)
{
    const char *model = search->repository->name;
    struct places places = {.rows = NULL};
    /* Where a branch or tag is a step, there is the run. */
    if (local_name_is(model) || (!spec->rule && revision_list_has_steps(list)))
        return 0;
    int code = places_find(search, &places, err);
    if (!code && places.count)
        mark_carrier(list, places.rows[0].name, spec);
    for (size_t i = 0; !code && i < places.count; i++) {
        const size_t before = list->count;
        code = revision_list_add(list, model, spec, places.rows[i].name, places.rows[i].commit, err);
        if (!code && list->count > before) { /* else no one could ask for it */
            list->rows[before].tree = places.rows[i].tree;
            places.rows[i].tree = NULL;
        }
    }
    list->place_count = places.count;
    list->is_partial |= places.is_partial;
    list->failure = places.failure;
    memcpy(list->looked, places.looked, sizeof list->looked);
    places_free(&places);
    return code;
}

static int add_all(struct reading *reading, const struct places_search *search, struct err *err)
{
    const struct sweep_spec *spec = reading->spec;
    const struct repository_refs *refs = search->refs; /* NULL or empty: there are no names */
    int code = 0;
    for (size_t i = 0; !code && refs && refs->count && i < reading->names.count; i++) {
        const struct repository_ref *ref = &refs->rows[reading->names.rows[i].at];
        code = revision_list_add(reading->list, reading->repository->name, spec, ref->name, ref->commit, err);
    }
    if (!code)
        code = add_places(reading->list, search, spec, err);
    for (size_t i = 0; !code && i < spec->name_count; i++)
        code = add_named(reading, spec->names[i], err);
    if (!code && spec->reference)
        code = add_named(reading, spec->reference, err);
    return code;
}

/* Offline a model of which the cache has no ref may still be known to the store: `absence` says why there is
 * none. */
static int list_refs(struct repository *repository, struct repository_refs **ret_refs, struct err *absence,
                     struct err *err)
{
    int code = repository_list_refs(repository, ret_refs, absence);
    if (code == ERR_NOT_FOUND && hub_is_offline(repository)) {
        struct repository_refs *none = calloc(1, sizeof *none);
        if (!none)
            return err_set(err, ERR_NO_MEMORY, "revisions: out of memory");
        none->is_partial = 1;
        *ret_refs = none;
        return 0;
    }
    if (code)
        *err = *absence;
    return code;
}

int revision_list_read(struct revision_list *list, struct repository *repository,
                       const struct sweep_spec *spec, struct err *err)
{
    struct repository_refs *refs = NULL;
    struct reading reading = {.list = list, .repository = repository, .spec = spec};
    *list = (struct revision_list){0};
    struct err absence = ERR_INIT;
    int code = places_are_repositories(repository->name, spec->rule)
                   ? 0
                   : list_refs(repository, &refs, &absence, err);
    if (!code && refs) {
        list->is_partial = refs->is_partial;
        code = collect_names(refs, &reading.names, err);
    }
    const struct places_search search = {.repository = repository, .refs = refs, .rule = spec->rule};
    if (!code)
        code = add_all(&reading, &search, err);
    if (!code && absence.code)
        list->failure = absence;
    revision_names_free(&reading.names);
    repository_refs_free(refs);
    if (!code)
        revision_list_arrange(list);
    return code;
}

void revision_list_free(struct revision_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        repository_tree_free(list->rows[i].tree);
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

int revision_listed_is_readable(const struct revision_list *list, const struct revision_listed *listed)
{
    struct revision_place place;
    struct err ignored = ERR_INIT;
    if (listed->cached || !listed->is_remembered)
        return listed->cached != REVISION_CACHED_ELSEWHERE;
    return list->is_partial && revision_place_read(NULL, listed->row.name, &place, &ignored) == 0 &&
           place.kind != REVISION_PLACE_REF;
}

int revision_listed_exists(const struct revision_listed *listed)
{
    return strcmp(listed->row.commit, REVISION_NO_COMMIT) != 0;
}
