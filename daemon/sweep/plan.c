#include "daemon/sweep/plan.h"

#include "daemon/base/local_name.h"
#include "daemon/base/log.h"
#include "daemon/base/name_rule.h"
#include "daemon/base/revision_place.h"
#include "daemon/base/weight_layout.h"
#include "daemon/sweep/cached_revisions.h"
#include "daemon/sweep/describe.h"
#include "daemon/sweep/plan_watch.h"
#include "daemon/sweep/revision_list.h"
#include "daemon/sweep/revision_source.h"
#include "daemon/sweep/sweep_spec.h"
#include "daemon/sweep/weights_hint.h"
#include "store/models.h"
#include "store/revisions.h"
#include "store/sweeps.h"
#include "store/tasks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which other places than branches and tags a rule can say. */
#define PLACE_RULES                                                                                          \
    "of folders \"main:checkpoint-{step}\", of commits \"main^Step {step}\", of repositories "               \
    "\"hf://OWNER/NAME-step{step}\""

struct plan {
    struct store *store;
    struct hub *hub;
    const atomic_bool *cancel;
    struct sweep_row sweep;
    struct sweep_spec spec;
    struct repository *repository;
    struct revision_list list; /* all of the model */
};

static int is_asked_for(const struct plan *plan, const struct revision_listed *listed)
{
    return revision_listed_is_readable(&plan->list, listed) &&
           sweep_spec_selects(&plan->spec, listed->row.name, &listed->place);
}

/* Names give no step: the checkpoints may lie elsewhere than in revisions. */
static int is_told_where(const struct plan *plan, const struct revision_listed *revision, struct err *err)
{
    struct repository_tree *tree = NULL;
    struct err ignored = ERR_INIT;
    char rule[NAME_RULE_SIZE];
    int is_told = 0;
    if (repository_list_tree(plan->repository, revision->row.commit, &tree, &ignored) == 0)
        is_told = weights_hint_name_subfolders(plan->sweep.model, revision->row.name, tree, err);
    repository_tree_free(tree);
    if (is_told)
        return 1;
    if (local_name_is(plan->sweep.model) || !model_revision_write_series_rule(plan->sweep.model, rule))
        return 0;
    (void)err_set(err, ERR_NOT_FOUND,
                  "%s: it is one checkpoint of a series of repositories, by its name: sweep all of them with "
                  "--rule '%s'",
                  plan->sweep.model, rule);
    return 1;
}

/* A rule of other places than branches and tags has found nothing. */
static int refuse_rule(const struct plan *plan, struct err *err)
{
    const struct revision_list *list = &plan->list;
    return err_set(err, ERR_NOT_FOUND, "%s: the rule \"%.100s\" matches nothing%s%s", plan->sweep.model,
                   plan->spec.rule, list->is_partial ? " that is known offline: " : "; looked at ",
                   list->looked);
}

/* A name that tells how a rule could be, with that rule, or else the first one. */
static const struct revision_listed *example_of(const struct revision_list *list,
                                                const struct revision_listed *first, char *rule)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct revision_listed *listed = &list->rows[i];
        if ((!listed->is_remembered || list->is_partial) && name_rule_write(listed->row.name, rule))
            return listed;
    }
    (void)snprintf(rule, NAME_RULE_SIZE, "run7-{step}");
    return first;
}

/* Offline: how many that the sweep would take are not in the cache, and the last of them. */
static const struct revision_listed *count_elsewhere(const struct revision_list *list, size_t *ret_count)
{
    const struct revision_listed *last = NULL;
    *ret_count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->rows[i].cached != REVISION_CACHED_ELSEWHERE)
            continue;
        last = &list->rows[i];
        (*ret_count)++;
    }
    return last;
}

/* Nothing is asked for: names that give no step are another matter than bounds that leave none. */
static int refuse_selection(const struct plan *plan, struct err *err)
{
    const struct revision_list *list = &plan->list;
    const struct revision_listed *first = NULL;
    char rule[NAME_RULE_SIZE];
    size_t count = 0, steps = 0, elsewhere = 0;
    const struct revision_listed *last = count_elsewhere(list, &elsewhere);
    if (last)
        return err_set(
            err, ERR_NOT_FOUND,
            "%s: of the %zu revisions that are known of it and asked for, the weights of none are in "
            "the cache, and the hub is not asked (HF_HUB_OFFLINE, or the option offline); "
            "`bifurcated check` names the cache; --revision %.100s says how to bring one there",
            plan->sweep.model, elsewhere, last->row.name);
    for (size_t i = 0; i < list->count; i++) {
        const struct revision_listed *listed = &list->rows[i];
        int is_deleted = listed->is_remembered && !list->is_partial;
        if (is_deleted && plan->spec.name_count &&
            sweep_spec_selects(&plan->spec, listed->row.name, &listed->place))
            return err_set(err, ERR_NOT_FOUND, "%s: %.100s was deleted; what was measured of it stays",
                           plan->sweep.model, listed->row.name);
        if (is_deleted)
            continue;
        first = first ? first : listed;
        steps += listed->place.is_step != 0;
        count++;
    }
    if (steps && list->unit != STEP_UNIT_STEPS)
        return err_set(err, ERR_NOT_FOUND,
                       "%s: none of its %zu %s lies within the bounds of the sweep, which are in %s, as its "
                       "names count",
                       plan->sweep.model, count, list->place_count ? "revisions" : "branches and tags",
                       step_unit_name(list->unit));
    if (steps)
        return err_set(err, ERR_NOT_FOUND,
                       "%s: none of its %zu %s%s is a training step within the bounds of the sweep",
                       plan->sweep.model, count, list->place_count ? "revisions" : "branches and tags",
                       hub_is_offline(plan->repository) ? ", as far as they are known offline," : "");
    if (list->failure.code && !plan->spec.name_count) {
        *err = list->failure;
        return err->code;
    }
    if (plan->spec.rule && list->looked[0])
        return refuse_rule(plan, err);
    if (!first)
        return err_set(
            err, ERR_NOT_FOUND,
            "%s: it has no branches and tags, or no subfolders with checkpoints (" WEIGHT_LAYOUT_MARKS ")",
            plan->sweep.model);
    err->code = ERR_NOT_FOUND;
    if (is_told_where(plan, first, err))
        return ERR_NOT_FOUND;
    if (count == 1 && strcmp(first->row.name, "main") == 0 && list->looked[0])
        return err_set(err, ERR_NOT_FOUND,
                       "%s: its only revision is main, and no checkpoint is named by its step there (looked "
                       "at %s); --revision main measures it alone; a rule (--rule) says where else "
                       "checkpoints lie: " PLACE_RULES,
                       plan->sweep.model, list->looked);
    if (count == 1 && strcmp(first->row.name, "main") == 0 && local_name_is(plan->sweep.model))
        return err_set(
            err, ERR_NOT_FOUND,
            "%s: its only revision is main: if this folder is a checkpoint itself, sweep the one that "
            "holds it; --revision main measures it alone",
            plan->sweep.model);
    first = example_of(list, first, rule);
    return err_set(
        err, ERR_NOT_FOUND,
        "%s: none of its %zu branches and tags, such as \"%.100s\", is named like a training "
        "step%s%s%s; name revisions, or say where the step stands with a rule (--rule) such as \"%.100s\"%s",
        plan->sweep.model, count, first->row.name, list->looked[0] ? " (looked also at " : "", list->looked,
        list->looked[0] ? ")" : "", rule, local_name_is(plan->sweep.model) ? "" : ", " PLACE_RULES);
}

/* Marks what the sweep asks for; keeps every n-th of it and the last. */
static int select_revisions(struct plan *plan, size_t *ret_count, struct err *err)
{
    size_t matching = 0, number = 0, selected = 0;
    for (size_t i = 0; i < plan->list.count; i++)
        matching += is_asked_for(plan, &plan->list.rows[i]) ? 1 : 0;
    for (size_t i = 0; i < plan->list.count; i++) {
        struct revision_listed *placed = &plan->list.rows[i];
        if (!is_asked_for(plan, placed))
            continue;
        placed->is_selected = number % (size_t)plan->spec.every == 0 || number + 1 == matching;
        selected += placed->is_selected != 0;
        number++;
    }
    if (selected == 0)
        return refuse_selection(plan, err);
    *ret_count = selected;
    return 0;
}

/* The revision that displacement is measured from: the named one, or the first in step order. */
static const struct revision_listed *reference_of(struct plan *plan)
{
    if (plan->spec.reference)
        return revision_list_find(&plan->list, plan->spec.reference);
    for (size_t i = 0; i < plan->list.count && plan->list.rows[i].place.is_step; i++) {
        if (revision_listed_exists(&plan->list.rows[i]))
            return &plan->list.rows[i];
    }
    return NULL;
}

/* Whether it stops the plan, since the next revision would fare no better. What only files need may be down
 * while the API answers, which is all that a plan cannot do without. */
static int is_of_no_revision(const struct plan *plan, int code)
{
    if (local_name_is(plan->sweep.model) && (code == ERR_UNREACHABLE || code == ERR_TIMEOUT))
        return 1;
    return code == ERR_CANCELLED || code == ERR_DATABASE ||
           (code == ERR_UNREACHABLE && hub_is_down(plan->hub));
}

static int make_tasks(struct plan *plan, size_t selected, struct err *err)
{
    struct model_row model;
    struct task_plan *tasks = calloc(selected ? selected : 1, sizeof *tasks);
    if (!tasks)
        return err_set(err, ERR_NO_MEMORY, "plan: out of memory");
    size_t count = 0;
    const struct revision_listed *reference = reference_of(plan);
    const struct revision_listed *previous = NULL;
    int code = models_get(plan->store, plan->sweep.model_id, &model, err);
    int is_whole = plan->spec.wants_perplexity;
    int64_t bytes_expected =
        !code && (is_whole || !plan->spec.tensor_count) ? describe_expected_bytes(&model, is_whole) : 0;
    for (size_t i = 0; !code && i < plan->list.count; i++) {
        const struct revision_listed *placed = &plan->list.rows[i];
        if (placed->is_selected)
            tasks[count++] = (struct task_plan){
                .revision_id = placed->row.id,
                .ordinal = (int64_t)i,
                .reference_revision_id = reference ? reference->row.id : 0,
                .previous_revision_id = previous && placed->place.is_step ? previous->row.id : 0,
                .bytes_expected = bytes_expected,
            };
        /* A name that does not exist must not cost its neighbour the displacement. */
        if (placed->place.is_step && revision_listed_exists(placed) &&
            (placed->is_selected || plan->spec.every == 1))
            previous = placed;
    }
    if (!code)
        code = tasks_plan(plan->store, plan->sweep.id, tasks, count, err);
    free(tasks);
    return code;
}

/* Learns what the model is from the newest selected revision that tells; a few are tried, offline all that
 * are known, since few may have a configuration in the cache. If none tells, each task tries its own and says
 * why it cannot. */
static int describe(struct plan *plan, struct err *err)
{
    const int is_offline = hub_is_offline(plan->repository);
    int attempts = 0;
    for (size_t i = plan->list.count; (attempts < 3 || is_offline) && i > 0; i--) {
        const struct revision_listed *placed = &plan->list.rows[i - 1];
        struct model_row model;
        struct err reason = ERR_INIT;
        if ((!placed->is_selected && !(is_offline && placed->cached == REVISION_CACHED_HERE)) ||
            !revision_listed_exists(placed))
            continue;
        if (atomic_load(plan->cancel))
            return err_set(err, ERR_CANCELLED, "the plan was cancelled");
        attempts++;
        int code = describe_model(plan->store, plan->repository, plan->sweep.model_id, &placed->row, &model,
                                  &reason);
        if (code == 0)
            return 0;
        if (is_of_no_revision(plan, code)) {
            *err = reason;
            return code;
        }
    }
    return 0;
}

/* Whoever starts a sweep may have been granted access since the last one was refused. */
static void ask_anew(const struct plan *plan)
{
    struct revision_place place;
    struct err ignored = ERR_INIT;
    hub_forget_refusals(plan->hub, plan->sweep.model);
    for (size_t i = 0; i < plan->list.count; i++) {
        const char *name = plan->list.rows[i].row.name;
        if (revision_place_read(plan->sweep.model, name, &place, &ignored) == 0 &&
            place.kind == REVISION_PLACE_REPOSITORY)
            hub_forget_refusals(plan->hub, place.rest);
    }
    if (plan->spec.wants_perplexity && plan->spec.dataset)
        hub_forget_refusals(plan->hub, plan->spec.dataset);
}

/* The model, whose name may be mistyped unless it is known already. */
static int open_model(struct plan *plan, struct err *err)
{
    struct model_row model;
    int code = models_get(plan->store, plan->sweep.model_id, &model, err);
    if (!code)
        code = hub_open_guarded(plan->hub, plan->sweep.model, plan->cancel, &plan->repository, err);
    if (!code && model.revision_count)
        hub_expect_repository(plan->repository);
    return code;
}

static int make_plan(struct plan *plan, struct err *err)
{
    size_t selected = 0;
    struct buf request;
    buf_init(&request, LIMIT_API_BODY_BYTES);
    int code = sweeps_get_request(plan->store, plan->sweep.id, &request, err);
    if (!code)
        code = sweep_spec_parse(buf_text(&request), request.size, &plan->spec, err);
    if (!code)
        code = sweep_spec_remember_rule(&plan->spec, plan->store, plan->sweep.model_id, err);
    if (!code)
        code = open_model(plan, err);
    if (!code)
        code = revision_list_read(&plan->list, plan->repository, &plan->spec, err);
    if (!code)
        ask_anew(plan);
    if (!code)
        code = revision_list_remember(&plan->list, plan->store, plan->sweep.model_id, plan->sweep.model,
                                      &plan->spec, err);
    if (!code)
        code = revision_list_check_reference(&plan->list, plan->sweep.model, plan->spec.reference, err);
    if (!code)
        code = cached_revisions_find(&plan->list, plan->repository, &plan->spec, err);
    if (!code)
        code = select_revisions(plan, &selected, err);
    if (!code)
        code = revision_list_store(&plan->list, plan->store, plan->sweep.model_id, NULL, err);
    if (!code)
        code = revision_list_store_files(&plan->list, plan->store, err);
    if (!code)
        code = describe(plan, err);
    if (!code)
        code = make_tasks(plan, selected, err);
    if (!code)
        code = sweeps_start(plan->store, plan->sweep.id, err);
    buf_free(&request);
    if (!code && plan->list.place_count)
        log_info("revisions that are no branches", log_text("model", plan->sweep.model),
                 log_int("count", (int64_t)plan->list.place_count), log_text("among", plan->list.looked),
                 log_end);
    size_t elsewhere = 0;
    (void)count_elsewhere(&plan->list, &elsewhere);
    if (!code && hub_is_offline(plan->repository))
        log_info("the hub is not asked: a sweep of what the cache holds", log_int("sweep", plan->sweep.id),
                 log_int("revisions", (int64_t)selected), log_int("known_elsewhere", (int64_t)elsewhere),
                 log_end);
    if (!code)
        log_info("sweep planned", log_int("sweep", plan->sweep.id), log_text("model", plan->sweep.model),
                 log_int("revisions", (int64_t)selected), log_end);
    return code;
}

int plan_run(struct store *store, struct hub *hub, const struct sweep_row *sweep, const atomic_bool *cancel,
             int *ret_is_cancelled, struct err *err)
{
    struct plan plan = {.store = store, .hub = hub, .sweep = *sweep};
    struct plan_watch *watch = NULL;
    *ret_is_cancelled = 0;
    int code = plan_watch_start(store, sweep->id, cancel, &watch, err);
    if (code)
        return code;
    plan.cancel = plan_watch_cancel(watch);
    code = make_plan(&plan, err);
    if (code == ERR_NETWORK && !local_name_is(sweep->model)) {
        const struct err reason = *err;
        (void)err_set(err, ERR_NETWORK,
                      "%.400s; without the internet, HF_HUB_OFFLINE=1 measures what the cache holds",
                      reason.message);
    }
    repository_close(plan.repository);
    *ret_is_cancelled = code == ERR_CANCELLED && atomic_load(plan.cancel);
    plan_watch_end(watch);
    sweep_spec_free(&plan.spec);
    revision_list_free(&plan.list);
    return code;
}
