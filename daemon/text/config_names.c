#include "daemon/text/config_names.h"

#include "daemon/text/json_field.h"

#include <string.h>

const json_t *config_names_content(const json_t *token)
{
    const json_t *content = json_is_object(token) ? json_object_get(token, "content") : token;
    return json_is_string(content) && json_string_length(content) > 0 ? content : NULL;
}

static int walk_list(json_t *list, int (*take)(void *context, const json_t *token, struct err *err),
                     void *context, struct err *err)
{
    size_t i;
    const char *key;
    json_t *token;
    json_array_foreach(list, i, token)
    {
        if (take(context, token, err))
            return err->code;
    }
    json_object_foreach(list, key, token)
    {
        if (take(context, token, err))
            return err->code;
    }
    return 0;
}

static int ends_with_token(const char *key)
{
    static const char end[] = "_token";
    size_t size = strlen(key);
    return size >= sizeof end - 1 && strcmp(key + size - (sizeof end - 1), end) == 0;
}

int config_names_walk(json_t *object, int (*take)(void *context, const json_t *token, struct err *err),
                      void *context, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        int code = 0;
        if (ends_with_token(key))
            code = take(context, value, err);
        else if (strcmp(key, "additional_special_tokens") == 0 || strcmp(key, "extra_special_tokens") == 0)
            code = walk_list(value, take, context, err);
        if (code)
            return err_wrap(err, "%.*s", json_field_shown_size(key, strlen(key)), key);
    }
    return 0;
}
