#include "daemon/sweep/sweep_spec.h"

#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/base/name_rule.h"
#include "store/models.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int take_string(const json_t *object, const char *key, char **ret_text, struct err *err)
{
    const char *value = json_string_value(json_object_get(object, key));
    if (!value)
        return 0;
    *ret_text = strdup(value);
    return *ret_text ? 0 : err_set(err, ERR_NO_MEMORY, "sweep: out of memory");
}

static int take_strings(const json_t *array, char ***ret_texts, size_t *ret_count, struct err *err)
{
    size_t count = json_array_size(array);
    if (count == 0)
        return 0;
    if (count > LIMIT_HUB_REFS)
        return err_set(err, ERR_LIMIT, "sweep: a list of more than %d names", LIMIT_HUB_REFS);
    char **texts = calloc(count, sizeof *texts);
    if (!texts)
        return err_set(err, ERR_NO_MEMORY, "sweep: out of memory");
    *ret_texts = texts;
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(array, i));
        if (!text)
            return err_set(err, ERR_INVALID, "sweep: a list of names holds something else");
        texts[i] = strdup(text);
        if (!texts[i])
            return err_set(err, ERR_NO_MEMORY, "sweep: out of memory");
        *ret_count = i + 1;
    }
    return 0;
}

static int64_t integer_or(const json_t *object, const char *key, int64_t standard)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : standard;
}

static int take_metrics(const json_t *root, struct sweep_spec *spec, struct err *err)
{
    const json_t *metrics = json_object_get(root, "metrics");
    size_t count = json_array_size(metrics);
    if (count == 0) {
        spec->wants_statistics = 1;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(metrics, i));
        if (name && strcmp(name, "statistics") == 0)
            spec->wants_statistics = 1;
        else if (name && strcmp(name, "perplexity") == 0)
            spec->wants_perplexity = 1;
        else
            return err_set(err, ERR_INVALID, "metrics: \"%s\" is neither statistics nor perplexity",
                           name ? name : "?");
    }
    return 0;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* There may be as many names as the model has revisions, and each revision is looked up among them. */
static int sort_names(struct sweep_spec *spec, struct err *err)
{
    spec->names_sorted = calloc(spec->name_count + 1, sizeof *spec->names_sorted);
    if (!spec->names_sorted)
        return err_set(err, ERR_NO_MEMORY, "sweep: out of memory");
    if (spec->name_count) {
        memcpy(spec->names_sorted, spec->names, spec->name_count * sizeof *spec->names);
        qsort(spec->names_sorted, spec->name_count, sizeof *spec->names_sorted, compare_names);
    }
    return 0;
}

static int take_members(const json_t *root, struct sweep_spec *spec, struct err *err)
{
    const json_t *revisions = json_object_get(root, "revisions");
    spec->step_min = integer_or(revisions, "from", 0);
    spec->step_max = integer_or(revisions, "to", INT64_MAX);
    spec->every = integer_or(revisions, "every", 1);
    spec->limit = integer_or(root, "limit", 0);
    spec->window = integer_or(root, "window", 0);
    spec->stride = integer_or(root, "stride", 0);
    if (spec->every < 1)
        return err_set(err, ERR_INVALID, "revisions.every: must be at least 1");
    int code = take_metrics(root, spec, err);
    if (!code)
        code = take_strings(json_object_get(root, "tensors"), &spec->tensors, &spec->tensor_count, err);
    if (!code)
        code = take_strings(json_object_get(revisions, "names"), &spec->names, &spec->name_count, err);
    if (!code)
        code = sort_names(spec, err);
    if (!code)
        code = take_string(root, "reference", &spec->reference, err);
    if (!code)
        code = take_string(revisions, "rule", &spec->rule, err);
    if (!code)
        code = take_string(root, "dataset", &spec->dataset, err);
    if (!code)
        code = take_string(root, "field", &spec->field, err);
    if (!code)
        code = take_string(root, "mode", &spec->mode, err);
    if (!code)
        code = take_string(root, "tokenizer", &spec->tokenizer, err);
    if (!code && spec->rule)
        code = name_rule_check(spec->rule, err);
    return code;
}

int sweep_spec_parse(const char *json, size_t size, struct sweep_spec *spec, struct err *err)
{
    json_error_t fault;
    *spec = (struct sweep_spec){0};
    json_t *root = json_text_load(json, size, JSON_REJECT_DUPLICATES, &fault);
    if (!root && json_text_lacked_memory(&fault))
        return err_set(err, ERR_NO_MEMORY, "the request of the sweep: out of memory");
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(err, ERR_FORMAT, "the request of the sweep is not a JSON object");
    }
    int code = take_members(root, spec, err);
    json_decref(root);
    return code;
}

static void free_strings(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

int sweep_spec_remember_rule(struct sweep_spec *spec, struct store *store, int64_t model_id, struct err *err)
{
    struct buf rule;
    if (spec->rule)
        return 0;
    buf_init(&rule, LIMIT_REVISION_NAME_BYTES + 1);
    int code = models_get_rule(store, model_id, &rule, err);
    if (!code && rule.size && !(spec->rule = buf_take(&rule)))
        code = err_set(err, ERR_NO_MEMORY, "sweep: out of memory");
    buf_free(&rule);
    return code;
}

void sweep_spec_free(struct sweep_spec *spec)
{
    if (!spec)
        return;
    free_strings(spec->tensors, spec->tensor_count);
    free_strings(spec->names, spec->name_count);
    free(spec->names_sorted);
    free(spec->reference);
    free(spec->rule);
    free(spec->dataset);
    free(spec->field);
    free(spec->tokenizer);
    free(spec->mode);
    *spec = (struct sweep_spec){0};
}

int sweep_spec_selects(const struct sweep_spec *spec, const char *name, const struct model_revision *place)
{
    if (spec->name_count)
        return bsearch(&name, spec->names_sorted, spec->name_count, sizeof *spec->names_sorted,
                       compare_names) != NULL;
    return place->is_step && place->step >= spec->step_min && place->step <= spec->step_max;
}
