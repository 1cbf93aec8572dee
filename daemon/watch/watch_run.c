#include "daemon/watch/watch_run.h"

#include "daemon/base/clock.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/base/local_name.h"
#include "daemon/base/log.h"
#include "daemon/sweep/cached_revisions.h"
#include "daemon/watch/watch_changes.h"
#include "daemon/watch/watch_due.h"
#include "store/models.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_MS 60000
#define RETRY_LONGEST_MS 3600000
#define RETRIES_MAX 8                              /* of one run; then the timetable decides again */
#define NAMES_BYTES_MAX (LIMIT_API_BODY_BYTES / 2) /* beside what else a request holds */

struct run {
    struct store *store;
    const struct watch_row *watch;
    const struct watch_others *others;
    json_t *request; /* what its sweeps ask for */
    json_t *earlier; /* changes that a run before could not report; NULL: none */
    struct sweep_spec spec;
    struct repository *repository;
    struct revision_list list;
    json_t *report;
    uint64_t more_requests;       /* than the repository has counted */
    char said[ERR_MESSAGE_BYTES]; /* the error of the run before */
    int is_cut;                   /* the report lacks something, as there was no memory for it */
    int is_fresh;                 /* a checkpoint is being written: look again soon */
    size_t due;                   /* rows of the list that are selected */
    struct watch_run result;
};

const char *watch_outcome_name(enum watch_outcome outcome)
{
    static const char *const names[WATCH_OUTCOME_COUNT] = {"unchanged", "sweeping", "skipped",
                                                           "failed",    "waiting",  "missing"};
    return names[outcome];
}

static void say(struct run *run, const char *key, json_t *value)
{
    run->is_cut |= json_object_set_new(run->report, key, value) != 0;
}

static int read_request(struct run *run, struct err *err)
{
    struct buf request, report, changes;
    buf_init(&request, LIMIT_API_BODY_BYTES);
    buf_init(&report, LIMIT_API_BODY_BYTES);
    buf_init(&changes, LIMIT_API_BODY_BYTES);
    int code = watches_get_texts(run->store, run->watch->id, &request, &report, &changes, err);
    if (!code)
        code = sweep_spec_parse(buf_text(&request), request.size, &run->spec, err);
    if (!code)
        code = sweep_spec_remember_rule(&run->spec, run->store, run->watch->model_id, err);
    if (!code && report.size) {
        json_t *before = json_text_load(buf_text(&report), report.size, 0, NULL);
        const char *error = json_string_value(json_object_get(json_object_get(before, "error"), "message"));
        (void)snprintf(run->said, sizeof run->said, "%s", error ? error : "");
        json_decref(before);
    }
    if (!code) {
        run->request = json_text_load(buf_text(&request), request.size, 0, NULL);
        if (changes.size)
            run->earlier = json_text_load(buf_text(&changes), changes.size, 0, NULL);
        if (!run->request || (changes.size && !run->earlier))
            code = err_set(err, ERR_NO_MEMORY, "watch: out of memory");
    }
    buf_free(&request);
    buf_free(&report);
    buf_free(&changes);
    return code;
}

/* Brings the store up to date. Should this process end before the run is recorded, the next one says what it
 * has changed. */
static int store_list(struct run *run, struct err *err)
{
    char *changes = NULL;
    int code = watch_changes_dump(run->report, &changes, err);
    struct revisions_note note = {.watch_id = run->watch->id, .changes = changes};
    if (!code)
        code = revision_list_store(&run->list, run->store, run->watch->model_id, changes ? &note : NULL, err);
    free(changes);
    run->result.has_changes = !code;
    return code;
}

static int settle_access(struct run *run, struct hub *hub, const atomic_bool *cancel, struct err *err)
{
    const struct watch_access access = {.own = {.hub = hub,
                                                .store = run->store,
                                                .repository = run->repository,
                                                .spec = &run->spec,
                                                .cancel = cancel},
                                        .model_id = run->watch->model_id,
                                        .others = run->others};
    return watch_access_settle(&access, &run->list, run->report, &run->more_requests, err);
}

/* What is not due, since others had failed alike. */
static int report_untried(struct run *run, struct err *err)
{
    struct watch_untried untried;
    int code = watches_count_untried(run->store, run->watch, &untried, err);
    if (!code && untried.count)
        say(run, "untried",
            json_pack("{s:I, s:I, s:s}", "count", (json_int_t)untried.count, "sweep",
                      (json_int_t)untried.sweep_id, "reason", untried.reason));
    return code;
}

/* Lists the model, notes what is different, brings the store up to date, and selects what is due. */
static int look(struct run *run, struct hub *hub, const atomic_bool *cancel, struct err *err)
{
    int code = hub_open_guarded(hub, run->watch->model, cancel, &run->repository, err);
    if (!code)
        code = revision_list_read(&run->list, run->repository, &run->spec, err);
    /* Whom a token does not reach any more, the hub hides without a word. */
    if (!code && !run->list.count && places_are_repositories(run->watch->model, run->spec.rule))
        run->list.is_partial = 1;
    if (!code && !run->list.is_partial)
        code = revision_list_remember(&run->list, run->store, run->watch->model_id, run->watch->model,
                                      &run->spec, err);
    if (!code)
        code = revision_list_check_reference(&run->list, run->watch->model, run->spec.reference, err);
    if (code)
        return code;
    revision_list_drop_missing(&run->list);
    code = watch_changes_report(run->store, run->watch->model_id, &run->list, run->earlier, run->report, err);
    if (!code)
        code = store_list(run, err);
    if (!run->result.has_changes) /* the next look finds them again, and is the one that says them */
        watch_changes_take_back(run->report);
    if (!code)
        code = cached_revisions_find(&run->list, run->repository, &run->spec, err);
    if (!code)
        code = watch_due_select(run->store, run->watch, &run->spec, &run->list, err);
    if (!code)
        code = report_untried(run, err);
    if (!code)
        code = settle_access(run, hub, cancel, err);
    if (!code && local_name_is(run->watch->model))
        code = watch_due_drop_unfinished(run->store, run->repository, &run->list, run->report, &run->is_fresh,
                                         err);
    return code;
}

/* The request of the sweep: the watch's, with the names of what is due. What does not fit waits for the next
 * run. */
static int make_sweep(struct run *run, struct err *err)
{
    json_t *names = json_array(), *revisions = json_object(), *request = json_deep_copy(run->request);
    const json_t *rule = json_object_get(json_object_get(request, "revisions"), "rule");
    size_t left_bytes = NAMES_BYTES_MAX;
    int failed = 0;
    for (size_t i = 0; i < run->list.count && json_array_size(names) < WATCH_DUE_NAMES_MAX; i++) {
        const char *name = run->list.rows[i].row.name;
        size_t bytes = 2 * strlen(name) + 3; /* of JSON: a backslash and a quote have another before them */
        if (!run->list.rows[i].is_selected)
            continue;
        if (bytes > left_bytes)
            break;
        left_bytes -= bytes;
        failed |= json_array_append_new(names, json_string(name));
    }
    run->due = json_array_size(names);
    if (!failed && run->due) {
        failed = (rule && json_object_set_new(revisions, "rule", json_deep_copy(rule))) ||
                 json_object_set(revisions, "names", names) ||
                 json_object_set(request, "revisions", revisions);
        run->result.sweep_request = failed ? NULL : json_text_dump(request, JSON_COMPACT | JSON_SORT_KEYS);
        failed = !run->result.sweep_request;
    }
    json_decref(names);
    json_decref(revisions);
    json_decref(request);
    if (failed)
        return err_set(err, ERR_NO_MEMORY, "watch: out of memory");
    if (run->result.sweep_request && strlen(run->result.sweep_request) > LIMIT_API_BODY_BYTES) {
        free((void *)(uintptr_t)run->result.sweep_request);
        run->result.sweep_request = NULL;
        run->due = 0;
        return err_set(
            err, ERR_LIMIT,
            "watch: what it asks for, with the names of what is due, is longer than %zu bytes: ask "
            "for less",
            LIMIT_API_BODY_BYTES);
    }
    return 0;
}

/* What no further look can help: the watch asks for what cannot be. A model that is not found may be there in
 * a minute, of a hub in trouble or a folder that is mounted again, and a token may be renewed. */
static int is_lasting(int code)
{
    return code == ERR_INVALID || code == ERR_LIMIT || code == ERR_UNSUPPORTED;
}

/* Then the cache alone was looked at. */
static int is_offline(const struct run *run)
{
    return run->repository && hub_is_offline(run->repository);
}

static void report_error(struct run *run, const struct err *reason)
{
    say(run, "error", json_pack("{s:s, s:s}", "code", err_name(reason->code), "message", reason->message));
}

static void set_failure(struct run *run, const struct err *reason)
{
    int64_t pause_ms = RETRY_FIRST_MS;
    report_error(run, reason);
    if (is_lasting(reason->code) || run->watch->failures >= RETRIES_MAX || is_offline(run))
        return;
    run->result.failures = run->watch->failures + 1;
    for (int i = 0; i < run->watch->failures && pause_ms < RETRY_LONGEST_MS; i++)
        pause_ms *= 2;
    run->result.retry_ms = clock_wall_ms() + (pause_ms < RETRY_LONGEST_MS ? pause_ms : RETRY_LONGEST_MS);
}

/* How a run ended that met an error. A trainer makes the folder or the repository with its first checkpoint.
 */
static enum watch_outcome outcome_of(const struct run *run, const struct err *reason)
{
    struct model_row model;
    struct err ignored = ERR_INIT;
    if (reason->code != ERR_NOT_FOUND || run->list.count ||
        models_get(run->store, run->watch->model_id, &model, &ignored) || model.revision_count)
        return WATCH_OUTCOME_FAILED;
    return reason->absent == ERR_ABSENT_MODEL ? WATCH_OUTCOME_MISSING : WATCH_OUTCOME_WAITING;
}

/* How a run ended that found nothing to sweep: no name may give a step so far. */
static enum watch_outcome outcome_without_error(struct run *run)
{
    struct model_row model;
    struct err reason = ERR_INIT, ignored = ERR_INIT;
    size_t count = run->list.count, steps = run->spec.name_count;
    for (size_t i = 0; i < count; i++)
        steps += run->list.rows[i].place.is_step != 0;
    if (steps)
        return WATCH_OUTCOME_UNCHANGED;
    if (run->list.failure.code) {
        set_failure(run, &run->list.failure);
        return WATCH_OUTCOME_FAILED;
    }
    if (!count && !models_get(run->store, run->watch->model_id, &model, &ignored) && model.revision_count) {
        (void)err_set(&reason, ERR_NOT_FOUND, "none of its %" PRId64 " revisions is there now%s%s",
                      model.revision_count, run->list.looked[0] ? "; looked at " : "", run->list.looked);
        set_failure(run, &reason);
        return WATCH_OUTCOME_FAILED;
    }
    if (count)
        (void)err_set(
            &reason, ERR_NOT_FOUND,
            "none of its %zu revisions, such as \"%.100s\", is named like a training step%s%s%s; if their "
            "names give the step in another form, say where with a rule (--rule)",
            count, run->list.rows[0].row.name, run->list.looked[0] ? " (looked also at " : "",
            run->list.looked, run->list.looked[0] ? ")" : "");
    else
        (void)err_set(&reason, ERR_NOT_FOUND, "it has no revisions so far%s%s",
                      run->list.looked[0] ? "; looked at " : "", run->list.looked);
    report_error(run, &reason);
    return WATCH_OUTCOME_WAITING;
}

static int record(struct run *run, enum watch_outcome outcome, struct err *err)
{
    struct repository_counters counters = {0};
    int64_t sweep_id = 0;
    if (run->repository)
        repository_counters(run->repository, &counters);
    counters.request_count += run->more_requests;
    say(run, "outcome", json_string(watch_outcome_name(outcome)));
    say(run, "revisions", json_integer((json_int_t)run->list.count));
    say(run, "swept", json_integer((json_int_t)run->due));
    say(run, "hub_requests", json_integer((json_int_t)counters.request_count));
    say(run, "hub_received_bytes", json_integer((json_int_t)counters.received_bytes));
    if (run->is_fresh && !run->result.retry_ms)
        run->result.retry_ms = clock_wall_ms() + RETRY_FIRST_MS;
    if (is_offline(run)) /* due at once for a daemon that may ask the hub; this one goes by the timetable */
        run->result.retry_ms = run->result.started_ms;
    char *report = run->is_cut ? NULL : json_text_dump(run->report, JSON_COMPACT);
    if (!report)
        return err_set(err, ERR_NO_MEMORY, "watch: out of memory");
    run->result.report = report;
    int code = watches_record_run(run->store, run->watch, &run->result, &sweep_id, err);
    free(report);
    if (code)
        return code;
    const char *error = json_string_value(json_object_get(json_object_get(run->report, "error"), "message"));
    if (error && outcome == WATCH_OUTCOME_WAITING)
        log_info("a watched model has no checkpoint yet", log_text("model", run->watch->model),
                 log_text("reason", error), log_end);
    else if (error && outcome == WATCH_OUTCOME_MISSING)
        log_warning("a watched model does not exist", log_text("model", run->watch->model),
                    log_text("reason", error), log_end);
    else if (error) /* offline nothing changes by itself: said once */
        log_event(is_offline(run) && strcmp(error, run->said) == 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
                  "a watched model could not be checked", log_text("model", run->watch->model),
                  log_text("reason", error), log_end);
    else
        log_info("watched model checked", log_text("model", run->watch->model),
                 log_text("outcome", watch_outcome_name(outcome)), log_int("sweep", sweep_id),
                 log_int("revisions", (int64_t)run->due),
                 log_int("hub_requests", (int64_t)counters.request_count), log_end);
    return 0;
}

int watch_run_once(struct store *store, struct hub *hub, const struct watch_others *others,
                   const struct watch_row *watch, const atomic_bool *cancel, enum watch_outcome *ret_outcome,
                   struct err *err)
{
    struct run run = {.store = store, .watch = watch, .others = others, .report = json_object()};
    struct err reason = ERR_INIT;
    int64_t unfinished = 0;
    *ret_outcome = WATCH_OUTCOME_UNCHANGED;
    run.result.started_ms = clock_wall_ms();
    int code = run.report ? watches_find_unfinished(store, watch->id, &unfinished, err)
                          : err_set(err, ERR_NO_MEMORY, "watch: out of memory");
    if (code)
        goto out;
    if (unfinished) {
        *ret_outcome = WATCH_OUTCOME_SKIPPED;
        say(&run, "unfinished_sweep", json_integer(unfinished));
    } else {
        code = read_request(&run, &reason);
        if (!code)
            code = look(&run, hub, cancel, &reason);
        if (!code)
            code = make_sweep(&run, &reason);
        if (code == ERR_CANCELLED || code == ERR_UNREACHABLE ||
            (code && err_is_of_the_store(code) && run.list.count)) {
            *err = reason;
            goto out;
        }
        if (code)
            set_failure(&run, &reason);
        *ret_outcome = code      ? outcome_of(&run, &reason)
                       : run.due ? WATCH_OUTCOME_SWEEPING
                                 : outcome_without_error(&run);
    }
    code = record(&run, *ret_outcome, err);
    if (code == ERR_NOT_FOUND) { /* the watch was deleted, or asks for something else, meanwhile */
        *err = (struct err)ERR_INIT;
        code = 0;
    }
out:
    repository_close(run.repository);
    revision_list_free(&run.list);
    sweep_spec_free(&run.spec);
    free((void *)(uintptr_t)run.result.sweep_request);
    json_decref(run.request);
    json_decref(run.earlier);
    json_decref(run.report);
    return code;
}
