#include "api/resource/passed_over.h"

#include "daemon/base/name_rule.h"
#include "daemon/base/step_unit.h"
#include "store/models.h"
#include "store/revisions.h"

#include <stdio.h>
#include <string.h>

#define NAMES_MAX 20 /* given; the rest is a number */
#define NAMES_TOLD 3 /* in the sentence */
#define NAME_TOLD_BYTES 60
#define RUNS_MAX 8    /* that are told apart */
#define RUNS_TOLD 3   /* in the sentence */
#define READ_MAX 1000 /* from which names and runs are taken; all are counted */

/* A run of its own, as of another seed: names that differ in their numbers alone. */
struct other_run {
    size_t count;
    char rule[NAME_RULE_SIZE];
};

struct passed_over {
    size_t count, named;
    char names[NAMES_MAX][LIMIT_REVISION_NAME_BYTES + 1];
    struct other_run runs[RUNS_MAX];
    size_t run_count;
};

static void take_run(struct passed_over *passed_over, const char *name)
{
    char rule[NAME_RULE_SIZE];
    size_t i = 0;
    if (!name_rule_write(name, rule))
        return;
    while (i < passed_over->run_count && strcmp(passed_over->runs[i].rule, rule) != 0)
        i++;
    if (i == RUNS_MAX)
        return;
    if (i == passed_over->run_count) {
        memcpy(passed_over->runs[i].rule, rule, sizeof rule);
        passed_over->run_count++;
    }
    passed_over->runs[i].count++;
}

static int take(void *context, const struct revision_row *row)
{
    struct passed_over *passed_over = context;
    if (passed_over->named < NAMES_MAX)
        (void)snprintf(passed_over->names[passed_over->named++], sizeof passed_over->names[0], "%s",
                       row->name);
    take_run(passed_over, row->name);
    return 0;
}

/* "2 revisions have names that give no step"; of a run whose names count tokens, "that count no tokens". */
static int write_what(const struct passed_over *passed_over, enum step_unit unit, char *text, size_t size)
{
    char lack[64];
    const int is_one = passed_over->count == 1;
    if (unit == STEP_UNIT_STEPS)
        (void)snprintf(lack, sizeof lack, is_one ? "tells no step" : "give no step");
    else
        (void)snprintf(lack, sizeof lack, is_one ? "counts no %s" : "count no %s", step_unit_name(unit));
    return is_one ? snprintf(text, size, "1 revision has a name that %s", lack)
                  : snprintf(text, size, "%zu revisions have names that %s", passed_over->count, lack);
}

static void append_text(const struct passed_over *passed_over, enum step_unit unit, struct api_json *json)
{
    char text[(NAMES_TOLD + RUNS_TOLD) * (NAME_TOLD_BYTES + 10) + 500];
    size_t told = passed_over->named < NAMES_TOLD ? passed_over->named : NAMES_TOLD;
    int size = write_what(passed_over, unit, text, sizeof text);
    for (size_t i = 0; i < told; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, "%s%.*s", i ? ", " : ": ", NAME_TOLD_BYTES,
                         passed_over->names[i]);
    size += snprintf(
        text + size, sizeof text - (size_t)size,
        "%s. They are measured when they are named (--revision), and belong to the run only by a rule "
        "that reads all of its names (--rule)",
        passed_over->count > told ? " and others" : "");
    told = 0;
    for (size_t i = 0; i < passed_over->run_count && told < RUNS_TOLD; i++) {
        const struct other_run *run = &passed_over->runs[i];
        if (run->count < 2 || strlen(run->rule) > NAME_TOLD_BYTES)
            continue;
        size += snprintf(
            text + size, sizeof text - (size_t)size, "%s'%s'",
            told++ ? " or " : ". Another run, as of another seed, takes the place of this one by the rule ",
            run->rule);
    }
    api_json_text(json, "text", text);
}

int api_passed_over_append(struct store *store, int64_t model_id, struct api_json *json, struct err *err)
{
    int64_t count = 0;
    struct passed_over passed_over = {.count = 0};
    struct model_row model = {.step_unit = STEP_UNIT_STEPS};
    struct err ignored = ERR_INIT; /* it may just have been removed */
    (void)models_get(store, model_id, &model, &ignored);
    int code = revisions_list_passed_over(store, model_id, READ_MAX, take, &passed_over, err);
    if (!code)
        code = revisions_count_passed_over(store, model_id, &count, err);
    if (code)
        return code;
    /* Some may have gone between the two reads. */
    passed_over.count = (size_t)count < passed_over.named ? passed_over.named : (size_t)count;
    if (passed_over.named == 0) {
        api_json_null(json, "passed_over");
        return 0;
    }
    api_json_open_object(json, "passed_over");
    api_json_integer(json, "count", (int64_t)passed_over.count);
    api_json_open_array(json, "names");
    for (size_t i = 0; i < passed_over.named; i++)
        api_json_text(json, NULL, passed_over.names[i]);
    api_json_close_array(json);
    append_text(&passed_over, model.step_unit, json);
    api_json_close_object(json);
    return 0;
}
