#include "api/form/json_load.h"

#include "daemon/base/json_bound.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"

#include <math.h>

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

/* As deep as the parser goes, which has a bound. Nonzero without memory. */
static int make_whole(json_t *root)
{
    const char *key;
    json_t *value;
    size_t index;
    void *next;
    int failed = 0;
    json_object_foreach_safe(root, next, key, value)
    {
        failed |= is_whole(value) ? json_object_set_new(root, key, integer_of(value)) : make_whole(value);
    }
    json_array_foreach(root, index, value)
    {
        failed |= is_whole(value) ? json_array_set_new(root, index, integer_of(value)) : make_whole(value);
    }
    return failed;
}

json_t *api_json_load(const char *body, size_t size, struct err *err)
{
    json_error_t fault;
    if (json_bound_check(body, size, LIMIT_API_JSON_VALUES, LIMIT_API_JSON_CONTAINERS, err)) {
        err->code = ERR_INVALID;
        return NULL;
    }
    json_t *root = json_text_load(body, size, JSON_REJECT_DUPLICATES, &fault);
    if (root ? make_whole(root) : json_text_lacked_memory(&fault)) {
        (void)err_set(err, ERR_NO_MEMORY, "out of memory");
        json_decref(root);
        return NULL;
    }
    if (!root)
        (void)err_set(err, ERR_INVALID, "not JSON: line %d, column %d: %s", fault.line, fault.column,
                      fault.text);
    return root;
}
