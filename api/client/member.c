#include "api/client/member.h"

#include <math.h>

const char *member_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

int64_t member_integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

double member_real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

double member_number(const json_t *object, const char *key)
{
    return member_is_number(object, key) ? member_real(object, key) : (double)NAN;
}

int member_is_number(const json_t *object, const char *key)
{
    return json_is_number(json_object_get(object, key));
}
