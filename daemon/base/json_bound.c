#include "daemon/base/json_bound.h"

/* The place behind the string that begins before `text`; `end` if it does not end. */
static const char *skip_string(const char *text, const char *end)
{
    for (; text < end && *text != '"'; text++) {
        if (*text == '\\' && text + 1 < end)
            text++;
    }
    return text < end ? text + 1 : end;
}

int json_bound_check(const char *text, size_t size, size_t values_max, size_t containers_max, struct err *err)
{
    size_t commas = 0, containers = 0;
    const char *end = size ? text + size : text;
    while (text < end) {
        char c = *text++;
        if (c == '"')
            text = skip_string(text, end);
        commas += c == ',';
        containers += c == '[' || c == '{';
    }
    if (containers > containers_max)
        return err_set(err, ERR_LIMIT, "the JSON holds more than %zu objects and arrays", containers_max);
    if (commas + containers + 1 > values_max)
        return err_set(err, ERR_LIMIT, "the JSON holds more than %zu values", values_max);
    return 0;
}
