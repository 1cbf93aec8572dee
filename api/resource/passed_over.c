#include "api/resource/passed_over.h"

#include "store/revisions.h"

#include <stdio.h>
#include <string.h>

#define NAMES_MAX 20 /* given; the rest is a number */
#define NAMES_TOLD 3 /* in the sentence */
#define NAME_TOLD_BYTES 60
#define COUNTED_MAX 100000 /* more than a model has branches */

struct passed_over {
    size_t count;
    char names[NAMES_MAX][LIMIT_REVISION_NAME_BYTES + 1];
};

/* Whether the hub lists it, but not as its main line. */
static int is_listed(const struct revision_row *row)
{
    static const char none[] =
        "0000000000000000000000000000000000000000"; /* the commit of what is not there */
    return strcmp(row->name, "main") != 0 && strncmp(row->name, "refs/", 5) != 0 &&
           strcmp(row->name, row->commit) != 0 && strcmp(row->commit, none) != 0;
}

static int take(void *context, const struct revision_row *row)
{
    struct passed_over *passed_over = context;
    if (!is_listed(row))
        return 0;
    if (passed_over->count < NAMES_MAX)
        (void)snprintf(passed_over->names[passed_over->count], sizeof passed_over->names[0], "%s", row->name);
    passed_over->count++;
    return 0;
}

static void append_text(const struct passed_over *passed_over, struct api_json *json)
{
    char text[NAMES_TOLD * (NAME_TOLD_BYTES + 2) + 400];
    size_t told = passed_over->count < NAMES_TOLD ? passed_over->count : NAMES_TOLD;
    int size =
        passed_over->count == 1
            ? snprintf(text, sizeof text, "1 revision has a name that tells no step")
            : snprintf(text, sizeof text, "%zu revisions have names that tell no step", passed_over->count);
    for (size_t i = 0; i < told; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, "%s%.*s", i ? ", " : ": ", NAME_TOLD_BYTES,
                         passed_over->names[i]);
    (void)snprintf(
        text + size, sizeof text - (size_t)size,
        "%s. They are measured when they are named (--revision), and belong to the run only by a rule "
        "that reads all of its names (--rule)",
        passed_over->count > told ? " and others" : "");
    api_json_text(json, "text", text);
}

int api_passed_over_append(struct store *store, int64_t model_id, struct api_json *json, struct err *err)
{
    static const struct revision_key steps = {.is_stepless = 1, .name = "\1"}; /* come before */
    struct passed_over passed_over = {.count = 0};
    int code = revisions_list(store, model_id, &steps, COUNTED_MAX, take, &passed_over, err);
    if (code)
        return code;
    if (passed_over.count == 0) {
        api_json_null(json, "passed_over");
        return 0;
    }
    api_json_open_object(json, "passed_over");
    api_json_integer(json, "count", (int64_t)passed_over.count);
    api_json_open_array(json, "names");
    for (size_t i = 0; i < passed_over.count && i < NAMES_MAX; i++)
        api_json_text(json, NULL, passed_over.names[i]);
    api_json_close_array(json);
    append_text(&passed_over, json);
    api_json_close_object(json);
    return 0;
}
