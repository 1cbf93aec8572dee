#include "daemon/base/json_text.h"

#include <stdio.h>
#include <stdlib.h>

static _Thread_local unsigned long refusals; /* allocations for jansson that failed */

static void *take(size_t size)
{
    void *memory = malloc(size);
    refusals += !memory;
    return memory;
}

/* Before there are threads: jansson's functions for memory are variables of the whole process. */
static __attribute__((constructor)) void watch_memory(void)
{
    json_set_alloc_funcs(take, free);
}

json_t *json_text_load(const char *text, size_t size, size_t flags, json_error_t *ret_fault)
{
    json_error_t fault;
    unsigned long before = refusals;
    json_t *root = json_loadb(text, size, flags, &fault);
    if (refusals != before) {
        json_decref(root);
        root = NULL;
        (void)snprintf(fault.text, sizeof fault.text, "out of memory");
        fault.text[JSON_ERROR_TEXT_LENGTH - 1] = json_error_out_of_memory; /* as json_error_code() reads it */
    }
    if (ret_fault)
        *ret_fault = fault;
    return root;
}

int json_text_lacked_memory(const json_error_t *fault)
{
    return json_error_code(fault) == json_error_out_of_memory;
}

json_t *json_text_parse(const char *text, size_t size, size_t flags, struct err *err)
{
    json_error_t fault;
    json_t *root = json_text_load(text, size, flags, &fault);
    if (root)
        return root;
    if (json_text_lacked_memory(&fault))
        (void)err_set(err, ERR_NO_MEMORY, "out of memory");
    else
        (void)err_set(err, ERR_FORMAT, "not JSON: %s at byte %d", fault.text, fault.position);
    return NULL;
}

char *json_text_dump(const json_t *value, size_t flags)
{
    unsigned long before = refusals;
    char *text = json_dumps(value, flags);
    if (refusals == before)
        return text;
    free(text);
    return NULL;
}
