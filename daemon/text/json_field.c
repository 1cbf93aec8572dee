#include "daemon/text/json_field.h"

#include "daemon/text/unicode.h"

#include <string.h>

/* A foreign string for a message: its first characters. */
#define SHOWN_BYTES_MAX 48

int json_field_shown_size(const char *text, size_t size)
{
    if (size > SHOWN_BYTES_MAX)
        size = unicode_previous(text, SHOWN_BYTES_MAX + 1);
    return (int)size;
}

int json_field_is_absent(const json_t *value)
{
    return !value || json_is_null(value);
}

/* A field that is true or false, `fallback` where it is absent. */
int json_field_flag(const json_t *object, const char *name, int fallback, int *ret_flag, struct err *err)
{
    const json_t *value = json_object_get(object, name);
    if (!json_field_is_absent(value) && !json_is_boolean(value))
        return err_set(err, ERR_FORMAT, "%s: not true or false", name);
    *ret_flag = json_field_is_absent(value) ? fallback : json_is_true(value);
    return 0;
}

/* The "type" of a part; "" where it is absent. */
int json_field_type(const json_t *part, const char **ret_type, struct err *err)
{
    if (!json_is_object(part))
        return err_set(err, ERR_FORMAT, "not an object");
    const json_t *type = json_object_get(part, "type");
    if (!json_field_is_absent(type) && !json_is_string(type))
        return err_set(err, ERR_FORMAT, "type: not a string");
    *ret_type = json_field_is_absent(type) ? "" : json_string_value(type);
    return 0;
}

int json_field_refuse_type(const char *type, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "type: \"%.*s\" is not supported",
                   json_field_shown_size(type, strlen(type)), type);
}
