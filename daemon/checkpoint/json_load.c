#include "daemon/checkpoint/json_load.h"

json_t *json_load_bounded(const char *text, size_t size, size_t commas_max, struct err *err)
{
    size_t commas = 0;
    json_error_t error;
    for (size_t i = 0; i < size; i++)
        commas += text[i] == ',';
    if (commas > commas_max) {
        (void)err_set(err, ERR_LIMIT, "the JSON holds more than %zu values", commas_max);
        return NULL;
    }
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        (void)err_set(err, ERR_FORMAT, "no JSON: %s at byte %d", error.text, error.position);
    return root;
}
