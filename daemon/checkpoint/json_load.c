#include "daemon/checkpoint/json_load.h"

int json_load_fail(const json_error_t *error, struct err *err)
{
    /* Out of memory, jansson returns without a word. */
    if (!error->text[0] || json_error_code(error) == json_error_out_of_memory)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    return err_set(err, ERR_FORMAT, "no JSON: %s at byte %d", error->text, error->position);
}

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
        (void)json_load_fail(&error, err);
    return root;
}
