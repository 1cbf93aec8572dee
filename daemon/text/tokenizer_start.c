#include "daemon/text/tokenizer_start.h"

#include "daemon/base/json_bound.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/text/tokenizer_class.h"

#include <jansson.h>
#include <string.h>

/* The one template among what is done with ids, or NULL; *is_other where there are several. */
static const json_t *find_template(const json_t *part, int depth, int *is_other)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    const json_t *found = NULL, *inner;
    size_t i;
    if (!type || depth > 4)
        return NULL;
    if (strcmp(type, "TemplateProcessing") == 0)
        return part;
    json_array_foreach(json_object_get(part, "processors"), i, inner)
    {
        const json_t *one = find_template(inner, depth + 1, is_other);
        *is_other |= one && found;
        found = one ? one : found;
    }
    return found;
}

static int64_t id_of(const json_t *template, const json_t *piece)
{
    const json_t *special = json_object_get(piece, "SpecialToken");
    const char *name = json_string_value(json_object_get(special, "id"));
    const json_t *ids = json_object_get(
        json_object_get(json_object_get(template, "special_tokens"), name ? name : ""), "ids");
    const json_t *id = json_array_get(ids, 0);
    return json_array_size(ids) == 1 && json_is_integer(id) && json_integer_value(id) >= 0
               ? json_integer_value(id)
               : TOKENIZER_START_UNKNOWN;
}

/* A text alone, or after one token. */
static int64_t read_template(const json_t *template)
{
    const json_t *single = json_object_get(template, "single");
    size_t count = json_array_size(single);
    if (!json_object_get(json_array_get(single, count - 1), "Sequence") || count > 2)
        return TOKENIZER_START_UNKNOWN;
    return count == 1 ? TOKENIZER_START_NONE : id_of(template, json_array_get(single, 0));
}

static int begins_with(const char *text, const char *first)
{
    return strncmp(text, first, strlen(first)) == 0;
}

static int64_t find(const json_t *root, const json_t *config, const struct tokenizer_choice *choice)
{
    const json_t *add = json_object_get(config, "add_bos_token");
    const char *class = choice->class.name;
    int is_other = 0;
    const json_t *template = find_template(json_object_get(root, "post_processor"), 0, &is_other);
    int64_t id = template ? read_template(template) : TOKENIZER_START_NONE;
    if (is_other)
        return TOKENIZER_START_UNKNOWN;
    /* Of models of some types 5 takes the template. */
    if (begins_with(class, "GPTNeoXTokenizer"))
        return json_is_true(add) || (!choice->built && id != TOKENIZER_START_NONE) ? TOKENIZER_START_UNKNOWN
                                                                                   : TOKENIZER_START_NONE;
    /* It makes a template of its own, by the flags that tokenizer_config.c refuses. */
    if (choice->class.origin == TOKENIZER_ORIGIN_MODEL_TEMPLATE && id != TOKENIZER_START_NONE)
        return TOKENIZER_START_UNKNOWN;
    if ((begins_with(class, "LlamaTokenizer") || begins_with(class, "GemmaTokenizer")) &&
        json_is_false(add) != (id == TOKENIZER_START_NONE))
        return TOKENIZER_START_UNKNOWN;
    return id;
}

static int parse(const struct buf *text, size_t values_max, size_t containers_max, json_t **ret_root,
                 struct err *err)
{
    int code = json_bound_check(text->data, text->size, values_max, containers_max, err);
    if (!code &&
        !(*ret_root = json_text_parse(text->data, text->size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, err)))
        code = err->code;
    return code;
}

int tokenizer_start_find(const struct buf *json, const struct buf *config, const char *class,
                         const char *model_type, int64_t *ret_id, struct err *err)
{
    struct tokenizer_choice choice;
    json_t *root = NULL, *object = NULL;
    int code = parse(json, LIMIT_TOKENIZER_JSON_VALUES, LIMIT_TOKENIZER_JSON_CONTAINERS, &root, err);
    if (code)
        return err_wrap(err, "tokenizer.json");
    if (config && (code = parse(config, LIMIT_TOKENIZER_CONFIG_VALUES, LIMIT_TOKENIZER_CONFIG_CONTAINERS,
                                &object, err)))
        (void)err_wrap(err, "tokenizer_config.json");
    const char *named = json_string_value(json_object_get(object, "tokenizer_class"));
    if (!code && !(code = tokenizer_class_find(named ? named : class, model_type, &choice, err)))
        *ret_id = find(root, object, &choice);
    json_decref(root);
    json_decref(object);
    return code;
}
