#include "daemon/watch/announce.h"

#include "api/series/analysis.h"
#include "api/series/audit.h"
#include "daemon/base/clock.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/base/log.h"
#include "store/announcements.h"
#include "store/models.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_BYTES_MAX (64 * MIB)
#define LINE_SIZE 1000 /* two names of revisions and some words */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

static int is_yes(const json_t *verdict)
{
    return strcmp(text_of(verdict, "verdict"), "yes") == 0;
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "announcement: out of memory");
}

/* Adds the line of a finding that holds; *ret_is_news becomes 1 if it is news. */
static int note(const char *line, const json_t *known, json_t *findings, int *ret_is_news, struct err *err)
{
    if (json_array_append_new(findings, json_string(line)))
        return no_memory(err);
    if (!json_object_get(known, line))
        *ret_is_news = 1;
    return 0;
}

static int add_news(enum delivery_event event, const json_t *head, const char *key, json_t *value,
                    json_t *news, struct err *err)
{
    json_t *body = json_copy((json_t *)(uintptr_t)head);
    json_t *one = json_pack("{s:i, s:O}", "event", (int)event, "body", body);
    int failed = !body || !one ||
                 json_object_set_new(body, "event", json_string(delivery_event_name(event))) ||
                 json_object_set(body, key, value) || json_array_append(news, one);
    json_decref(one);
    json_decref(body);
    return failed ? no_memory(err) : 0;
}

static int compare_onsets(const json_t *head, const json_t *analysis, const json_t *known, json_t *findings,
                          json_t *news, struct err *err)
{
    char line[LINE_SIZE];
    size_t i;
    const json_t *onset;
    int is_news = 0;
    json_array_foreach(json_object_get(analysis, "onsets"), i, onset)
    {
        if (!is_yes(onset))
            continue;
        (void)snprintf(line, sizeof line, "onset %s %s %s", text_of(onset, "rows"), text_of(onset, "view"),
                       text_of(onset, "revision"));
        if (note(line, known, findings, &is_news, err))
            return err->code;
    }
    return is_news ? add_news(DELIVERY_EVENT_ONSET_FOUND, head, "analysis", (json_t *)(uintptr_t)analysis,
                              news, err)
                   : 0;
}

static int compare_stop(const json_t *head, const json_t *analysis, const json_t *known, json_t *findings,
                        json_t *news, struct err *err)
{
    char line[LINE_SIZE];
    int is_news = 0;
    const json_t *stop = json_object_get(analysis, "stop");
    if (!is_yes(stop))
        return 0;
    (void)snprintf(line, sizeof line, "stop %.0f", json_number_value(json_object_get(stop, "step")));
    int code = note(line, known, findings, &is_news, err);
    if (code || !is_news)
        return code;
    return add_news(DELIVERY_EVENT_STOPPING_RECOMMENDED, head, "analysis", (json_t *)(uintptr_t)analysis,
                    news, err);
}

static int compare_audit(const json_t *head, const json_t *audit, const json_t *known, json_t *findings,
                         json_t *news, struct err *err)
{
    char line[LINE_SIZE];
    size_t i;
    json_t *finding, *fresh = json_array();
    json_int_t count = 0;
    int code = fresh ? 0 : no_memory(err);
    json_array_foreach(json_object_get(audit, "findings"), i, finding)
    {
        (void)snprintf(line, sizeof line, "audit %s %.0f %s %s", text_of(finding, "kind"),
                       json_number_value(json_object_get(finding, "step")), text_of(finding, "revision"),
                       text_of(finding, "other"));
        int is_news = 0;
        if (!code)
            code = note(line, known, findings, &is_news, err);
        if (!code && is_news && count++ < ANNOUNCE_FINDINGS_MAX && json_array_append(fresh, finding))
            code = no_memory(err);
    }
    if (!code && count)
        code = add_news(DELIVERY_EVENT_AUDIT_FINDING, head, "findings", fresh, news, err);
    if (!code && count) {
        json_t *last = json_array_get(news, json_array_size(news) - 1), *body = json_object_get(last, "body");
        if (json_object_set_new(body, "count", json_integer(count)) ||
            json_object_set(body, "step_unit", json_object_get(audit, "step_unit")))
            code = no_memory(err);
    }
    json_decref(fresh);
    return code;
}

int announce_compare(const json_t *head, const json_t *analysis, const json_t *audit, const json_t *known,
                     json_t *findings, json_t *news, struct err *err)
{
    int code = compare_onsets(head, analysis, known, findings, news, err);
    if (!code)
        code = compare_stop(head, analysis, known, findings, news, err);
    if (!code)
        code = compare_audit(head, audit, known, findings, news, err);
    return code;
}

/* -- With the store -------------------------------------------------------------------------------------- */

struct known {
    json_t *lines;
    int is_cut_off; /* for lack of memory */
};

static int take_known(void *context, const char *text)
{
    struct known *known = context;
    known->is_cut_off = json_object_set_new(known->lines, text, json_true()) != 0;
    return known->is_cut_off;
}

static int record(struct store *store, const struct watch_row *watch, const json_t *findings,
                  const json_t *news, struct err *err)
{
    size_t finding_count = json_array_size(findings), event_count = json_array_size(news), i;
    const char **lines = calloc(finding_count + 1, sizeof *lines);
    struct announcement_event *events = calloc(event_count + 1, sizeof *events);
    const json_t *one;
    int code = lines && events ? 0 : no_memory(err);
    for (i = 0; !code && i < finding_count; i++)
        lines[i] = json_string_value(json_array_get(findings, i));
    for (i = 0; !code && i < event_count; i++) {
        one = json_array_get(news, i);
        events[i].event = (enum delivery_event)json_integer_value(json_object_get(one, "event"));
        events[i].body = json_text_dump(json_object_get(one, "body"), JSON_COMPACT | JSON_REAL_PRECISION(17));
        if (!events[i].body)
            code = no_memory(err);
    }
    if (!code)
        code = announcements_record(store, watch, lines, finding_count, events, event_count, err);
    for (i = 0; events && i < event_count; i++)
        free((void *)(uintptr_t)events[i].body);
    free(events);
    free(lines);
    return code;
}

/* The answers of the API on a model. */
static int read_answers(struct store *store, const struct watch_row *watch, json_t **ret_analysis,
                        json_t **ret_audit, struct err *err)
{
    struct model_row model;
    struct buf analysis, audit;
    buf_init(&analysis, ANSWER_BYTES_MAX);
    buf_init(&audit, ANSWER_BYTES_MAX);
    int code = models_get(store, watch->model_id, &model, err);
    if (!code)
        code = api_analysis_append(store, &model, &(struct api_analysis_options){0}, &analysis, err);
    if (!code)
        code = api_audit_append(store, &model, NULL, &audit, err);
    if (!code) {
        *ret_analysis = json_text_load(buf_text(&analysis), analysis.size, 0, NULL);
        *ret_audit = json_text_load(buf_text(&audit), audit.size, 0, NULL);
        if (!*ret_analysis || !*ret_audit)
            code = no_memory(err);
    }
    buf_free(&analysis);
    buf_free(&audit);
    return code;
}

/* Compares and records. An error is one of the store's. */
static int announce(struct store *store, const struct watch_row *watch, struct err *err)
{
    struct err reason = ERR_INIT;
    json_t *analysis = NULL, *audit = NULL, *head = NULL;
    char at[CLOCK_TEXT_SIZE];
    struct known known = {.lines = json_object()};
    json_t *findings = json_array(), *news = json_array();
    int code = announcements_list(store, watch->id, take_known, &known, err);
    if (!code && known.is_cut_off)
        code = no_memory(err);
    if (code)
        goto out;
    clock_format(clock_wall_ms(), at, sizeof at);
    head = json_pack("{s:s, s:s}", "at", at, "model", watch->model);
    code = read_answers(store, watch, &analysis, &audit, &reason);
    if (!code)
        code = announce_compare(head, analysis, audit, known.lines, findings, news, &reason);
    if (code && err_is_of_the_store(code)) {
        *err = reason;
        goto out;
    }
    if (code) {
        log_warning("a watched model cannot be analysed", log_text("model", watch->model),
                    log_text("reason", reason.message), log_end);
        (void)json_array_clear(findings);
        (void)json_array_clear(news);
        const char *line;
        json_t *value;
        code = 0;
        json_object_foreach(known.lines, line, value)
        {
            if (!code && json_array_append_new(findings, json_string(line)))
                code = no_memory(err);
        }
    }
    if (!code)
        code = record(store, watch, findings, news, err);
out:
    json_decref(known.lines);
    json_decref(findings);
    json_decref(news);
    json_decref(head);
    json_decref(analysis);
    json_decref(audit);
    return code;
}

int announce_run_once(struct store *store, const atomic_bool *is_stopping, int *ret_announced,
                      struct err *err)
{
    struct watch_row watch = {.id = 0};
    struct err first = ERR_INIT;
    *ret_announced = 0;
    while (!atomic_load(is_stopping)) {
        struct err reason = ERR_INIT;
        const int next = announcements_next(store, watch.id, &watch, &reason);
        const int code = next ? next : announce(store, &watch, &reason);
        if (!code) {
            *ret_announced = 1;
            return 0;
        }
        if (!first.code && next != ERR_NOT_FOUND)
            first = reason;
        if (next || code == ERR_NO_SPACE) /* which would end the others', too */
            break;
    }
    *err = first;
    return first.code;
}
