#include "daemon/checkpoint/json_load.h"

#include "daemon/base/json_text.h"

json_t *json_load_bounded(const char *text, size_t size, size_t commas_max, struct err *err)
{
    size_t commas = 0;
    for (size_t i = 0; i < size; i++)
        commas += text[i] == ',';
    if (commas > commas_max) {
        (void)err_set(err, ERR_LIMIT, "the JSON holds more than %zu values", commas_max);
        return NULL;
    }
    return json_text_parse(text, size, JSON_REJECT_DUPLICATES, err);
}
