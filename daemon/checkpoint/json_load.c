#include "daemon/checkpoint/json_load.h"

#include "daemon/base/json_bound.h"
#include "daemon/base/json_text.h"

json_t *json_load_bounded(const char *text, size_t size, size_t values_max, size_t containers_max,
                          struct err *err)
{
    if (json_bound_check(text, size, values_max, containers_max, err))
        return NULL;
    return json_text_parse(text, size, JSON_REJECT_DUPLICATES, err);
}
