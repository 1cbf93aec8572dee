#include "daemon/planner.h"

#include "daemon/base/log.h"
#include "daemon/describe.h"
#include "daemon/model/revision.h"
#include "daemon/plan_watch.h"
#include "daemon/revision_source.h"
#include "daemon/sweep_spec.h"
#include "store/models.h"
#include "store/revisions.h"
#include "store/sweeps.h"
#include "store/tasks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A revision of the model with its place in the training run. */
struct placed {
    struct revision_row row;
    struct model_revision place;
    int is_selected;
};

struct plan {
    struct store *store;
    const atomic_bool *cancel;
    struct sweep_row sweep;
    struct sweep_spec spec;
    struct repository *repository;
    struct placed *revisions; /* all of the model, in step order once listed */
    size_t count;
    size_t capacity;
};

static int add_revision(struct plan *plan, const char *name, const char *commit, struct err *err)
{
    if (strlen(name) > LIMIT_REVISION_NAME_BYTES)
        return 0; /* nobody can ask for it */
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity ? plan->capacity * 2 : 64;
        struct placed *revisions = realloc(plan->revisions, capacity * sizeof *revisions);
        if (!revisions)
            return err_set(err, ERR_NO_MEMORY, "plan: out of memory");
        plan->revisions = revisions;
        plan->capacity = capacity;
    }
    struct placed *placed = &plan->revisions[plan->count];
    *placed = (struct placed){0};
    model_revision_parse(plan->sweep.model, name, plan->spec.rule, &placed->place);
    (void)snprintf(placed->row.name, sizeof placed->row.name, "%s", name);
    (void)snprintf(placed->row.commit, sizeof placed->row.commit, "%s", commit);
    placed->row.step = placed->place.is_step ? placed->place.step : REVISIONS_STEP_NONE;
    if (placed->place.is_step) {
        placed->row.stage = placed->place.stage;
        placed->row.ingredient = placed->place.ingredient;
        placed->row.tokens = placed->place.tokens > 0 ? placed->place.tokens : 0;
    }
    plan->count++;
    return 0;
}

static struct placed *find_revision(struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (strcmp(plan->revisions[i].row.name, name) == 0)
            return &plan->revisions[i];
    }
    return NULL;
}

static int compare_placed(const void *left, const void *right)
{
    const struct placed *a = left, *b = right;
    int order = model_revision_compare(&a->place, &b->place);
    return order ? order : strcmp(a->row.name, b->row.name);
}

/* A name that is no branch or tag may still be a commit or a pull request. */
static int add_named(struct plan *plan, const char *name, struct err *err)
{
    char commit[REPOSITORY_COMMIT_SIZE];
    struct err reason = ERR_INIT;
    if (find_revision(plan, name))
        return 0;
    int code = repository_resolve(plan->repository, name, commit, &reason);
    if (code == ERR_NOT_FOUND)
        return add_revision(plan, name, PLANNER_NO_COMMIT, err);
    if (code) {
        *err = reason;
        return code;
    }
    return add_revision(plan, name, commit, err);
}

static int list_revisions(struct plan *plan, struct err *err)
{
    struct repository_refs *refs = NULL;
    int code = repository_list_refs(plan->repository, &refs, err);
    for (size_t i = 0; !code && i < refs->count; i++) {
        const struct repository_ref *ref = &refs->rows[i];
        if (ref->kind != REPOSITORY_REF_KIND_PULL_REQUEST && !find_revision(plan, ref->name))
            code = add_revision(plan, ref->name, ref->commit, err);
    }
    for (size_t i = 0; !code && i < plan->spec.name_count; i++)
        code = add_named(plan, plan->spec.names[i], err);
    if (!code && plan->spec.reference)
        code = add_named(plan, plan->spec.reference, err);
    repository_refs_free(refs);
    if (!code)
        qsort(plan->revisions, plan->count, sizeof *plan->revisions, compare_placed);
    return code;
}

static int store_revisions(struct plan *plan, struct err *err)
{
    struct revision_row *rows = calloc(plan->count ? plan->count : 1, sizeof *rows);
    if (!rows)
        return err_set(err, ERR_NO_MEMORY, "plan: out of memory");
    for (size_t i = 0; i < plan->count; i++)
        rows[i] = plan->revisions[i].row;
    int code = revisions_update(plan->store, plan->sweep.model_id, rows, plan->count, 1, NULL, err);
    for (size_t i = 0; !code && i < plan->count; i++)
        plan->revisions[i].row.id = rows[i].id;
    free(rows);
    return code;
}

/* Marks what the sweep asks for; keeps every n-th of it and the last. */
static int select_revisions(struct plan *plan, size_t *ret_count, struct err *err)
{
    size_t matching = 0, number = 0, selected = 0;
    for (size_t i = 0; i < plan->count; i++)
        matching +=
            sweep_spec_selects(&plan->spec, plan->revisions[i].row.name, &plan->revisions[i].place) != 0;
    for (size_t i = 0; i < plan->count; i++) {
        struct placed *placed = &plan->revisions[i];
        if (!sweep_spec_selects(&plan->spec, placed->row.name, &placed->place))
            continue;
        placed->is_selected = number % (size_t)plan->spec.every == 0 || number + 1 == matching;
        selected += placed->is_selected != 0;
        number++;
    }
    if (selected == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "%s: none of its %zu branches and tags is a training step within the bounds of the "
                       "sweep; name revisions, or give a rule such as \"step{step}\"",
                       plan->sweep.model, plan->count);
    *ret_count = selected;
    return 0;
}

static int exists(const struct placed *placed)
{
    return strcmp(placed->row.commit, PLANNER_NO_COMMIT) != 0;
}

/* The revision that displacement is measured from: the named one, or the first in step order. */
static const struct placed *reference_of(struct plan *plan)
{
    if (plan->spec.reference)
        return find_revision(plan, plan->spec.reference);
    for (size_t i = 0; i < plan->count && plan->revisions[i].place.is_step; i++) {
        if (exists(&plan->revisions[i]))
            return &plan->revisions[i];
    }
    return NULL;
}

/* Asks for the files of every revision that the sweep touches. One that cannot be listed is left to its task,
 * which tries again and tells; only a cancelled plan stops here. */
static int list_files(struct plan *plan, struct err *err)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct revision_source source;
        struct err reason = ERR_INIT;
        int is_needed = plan->revisions[i].is_selected ||
                        (i + 1 < plan->count && plan->revisions[i + 1].is_selected) || i == 0;
        if (!is_needed || !exists(&plan->revisions[i]))
            continue;
        if (atomic_load(plan->cancel))
            return err_set(err, ERR_CANCELLED, "the plan was cancelled");
        int code =
            revision_source_open(&source, plan->store, plan->repository, &plan->revisions[i].row, &reason);
        if (!code)
            revision_source_close(&source);
        else if (code == ERR_CANCELLED || code == ERR_DATABASE || code == ERR_NO_SPACE) {
            *err = reason;
            return code;
        }
    }
    return 0;
}

static int make_tasks(struct plan *plan, size_t selected, struct err *err)
{
    struct model_row model;
    struct task_plan *tasks = calloc(selected, sizeof *tasks);
    if (!tasks)
        return err_set(err, ERR_NO_MEMORY, "plan: out of memory");
    size_t count = 0;
    const struct placed *reference = reference_of(plan);
    const struct placed *previous = NULL;
    int code = models_get(plan->store, plan->sweep.model_id, &model, err);
    for (size_t i = 0; !code && i < plan->count; i++) {
        const struct placed *placed = &plan->revisions[i];
        if (placed->is_selected)
            tasks[count++] = (struct task_plan){
                .revision_id = placed->row.id,
                .ordinal = (int64_t)i,
                .reference_revision_id = reference ? reference->row.id : 0,
                .previous_revision_id = previous && placed->place.is_step ? previous->row.id : 0,
                .bytes_expected = plan->spec.tensor_count ? 0 : describe_expected_bytes(&model),
            };
        /* A name that does not exist must not cost its neighbour the displacement. */
        if (placed->place.is_step && exists(placed) && (placed->is_selected || plan->spec.every == 1))
            previous = placed;
    }
    if (!code)
        code = tasks_plan(plan->store, plan->sweep.id, tasks, count, err);
    free(tasks);
    return code;
}

/* Learns what the model is from the newest selected revision that tells; a few are tried. If none tells, each
 * task tries its own and says why it cannot. */
static int describe(struct plan *plan, struct err *err)
{
    int attempts = 0;
    for (size_t i = plan->count; attempts < 3 && i > 0; i--) {
        const struct placed *placed = &plan->revisions[i - 1];
        struct model_row model;
        struct err reason = ERR_INIT;
        if (!placed->is_selected || !exists(placed))
            continue;
        attempts++;
        int code = describe_model(plan->store, plan->repository, plan->sweep.model_id, &placed->row, &model,
                                  &reason);
        if (code == 0)
            return 0;
        if (code == ERR_CANCELLED || code == ERR_DATABASE || code == ERR_NO_SPACE) {
            *err = reason;
            return code;
        }
    }
    return 0;
}

static int make_plan(struct plan *plan, struct hub *hub, struct err *err)
{
    size_t selected = 0;
    struct buf request;
    buf_init(&request, LIMIT_API_BODY_BYTES);
    int code = sweeps_get_request(plan->store, plan->sweep.id, &request, err);
    if (!code)
        code = sweep_spec_parse(buf_text(&request), request.size, &plan->spec, err);
    if (!code)
        code = hub_open_repository(hub, REPOSITORY_KIND_MODEL, plan->sweep.model, plan->cancel,
                                   &plan->repository, err);
    if (!code)
        code = list_revisions(plan, err);
    if (!code)
        code = select_revisions(plan, &selected, err);
    if (!code)
        code = store_revisions(plan, err);
    if (!code)
        code = list_files(plan, err);
    if (!code)
        code = describe(plan, err);
    if (!code)
        code = make_tasks(plan, selected, err);
    if (!code)
        code = sweeps_start(plan->store, plan->sweep.id, err);
    buf_free(&request);
    if (!code)
        log_info("sweep planned", log_int("sweep", plan->sweep.id), log_text("model", plan->sweep.model),
                 log_int("revisions", (int64_t)selected), log_end);
    return code;
}

int planner_run_once(struct store *store, struct hub *hub, struct reserve *reserve, const atomic_bool *cancel,
                     int *ret_planned, struct err *err)
{
    struct plan plan = {.store = store};
    struct plan_watch *watch = NULL;
    struct err reason = ERR_INIT;
    *ret_planned = 0;
    int code = sweeps_next_planning(store, &plan.sweep, err);
    if (code == ERR_NOT_FOUND) {
        *err = (struct err)ERR_INIT;
        return 0;
    }
    if (code)
        return code;
    code = plan_watch_start(store, plan.sweep.id, cancel, &watch, err);
    if (code)
        return code;
    plan.cancel = plan_watch_cancel(watch);
    *ret_planned = 1;
    code = make_plan(&plan, hub, &reason);
    repository_close(plan.repository);
    int is_cancelled = code == ERR_CANCELLED && atomic_load(plan.cancel);
    plan_watch_end(watch);
    sweep_spec_free(&plan.spec);
    free(plan.revisions);
    if (code == ERR_CANCELLED && atomic_load(cancel)) {
        *err = reason;
        return code;
    }
    if (code == ERR_CONFLICT || is_cancelled)
        return 0; /* the sweep was cancelled meanwhile */
    if (code) {
        if (!strstr(reason.message, plan.sweep.model))
            (void)err_wrap(&reason, "model %s", plan.sweep.model);
        log_warning("sweep cannot be planned", log_int("sweep", plan.sweep.id),
                    log_text("model", plan.sweep.model), log_text("error", err_name(code)),
                    log_text("reason", reason.message), log_end);
        code = sweeps_fail(store, plan.sweep.id, &reason, err);
        if (code == ERR_NO_SPACE && reserve_spend(reserve))
            code = sweeps_fail(store, plan.sweep.id, &reason, err);
        if (code == ERR_CONFLICT)
            code = 0;
    }
    return code;
}
