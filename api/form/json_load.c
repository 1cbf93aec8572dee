#include "api/form/json_load.h"

#include "daemon/base/json_bound.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"

#include <math.h>
#include <stdio.h>

#define WHOLE_MAX 9007199254740992.0 /* 2^53: beyond it a double does not say which integer it is */

static int is_whole(const json_t *value)
{
    double number = json_real_value(value);
    return json_is_real(value) && fabs(number) <= WHOLE_MAX && number == floor(number);
}

static json_t *integer_of(const json_t *value)
{
    return json_integer((json_int_t)json_real_value(value));
}

/* As deep as the parser goes, which has a bound. */
static void make_whole(json_t *root)
{
    const char *key;
    json_t *value;
    size_t index;
    void *next;
    json_object_foreach_safe(root, next, key, value)
    {
        if (is_whole(value))
            (void)json_object_set_new(root, key, integer_of(value));
        else
            make_whole(value);
    }
    json_array_foreach(root, index, value)
    {
        if (is_whole(value))
            (void)json_array_set_new(root, index, integer_of(value));
        else
            make_whole(value);
    }
}

json_t *api_json_load(const char *body, size_t size, json_error_t *fault)
{
    struct err err = ERR_INIT;
    if (json_bound_check(body, size, LIMIT_API_JSON_VALUES, LIMIT_API_JSON_CONTAINERS, &err)) {
        *fault = (json_error_t){.line = 1, .column = 1};
        (void)snprintf(fault->text, sizeof fault->text, "%.100s", err.message);
        return NULL;
    }
    json_t *root = json_text_load(body, size, JSON_REJECT_DUPLICATES, fault);
    if (root)
        make_whole(root);
    return root;
}
