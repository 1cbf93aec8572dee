/*
 * Reading what a worker says of its claim while it has it, or instead of a result.
 */
#include "api/form/json_load.h"
#include "api/wire/wire_reader.h"

#include <string.h>

#define TEXT_SIZE 4096 /* of what is cut to a message */

static int begin(const char *text, size_t size, const char *known, json_t **ret_root,
                 struct wire_reader *reader)
{
    *ret_root = api_json_load(text, size, reader->err);
    if (!*ret_root)
        return err_wrap(reader->err, "body");
    wire_check_members(reader, *ret_root, known);
    return reader->code;
}

static void read_message(struct wire_reader *reader, const json_t *root, const char *key, int code,
                         struct err *reason)
{
    char text[TEXT_SIZE];
    wire_text_needed(reader, root, key, text, sizeof text);
    (void)err_set(reason, (enum err_code)code, "%s", text);
}

int wire_beat_parse(const char *text, size_t size, int64_t *ret_bytes_fetched, struct err *err)
{
    json_t *root = NULL;
    struct wire_reader reader = {.err = err};
    int code = begin(text, size, " bytes_fetched ", &root, &reader);
    if (!code)
        *ret_bytes_fetched = wire_int(&reader, root, "bytes_fetched", 0, LIMIT_TASK_BYTES);
    json_decref(root);
    return code ? code : reader.code;
}

int wire_failure_parse(const char *text, size_t size, struct err *ret_reason, int *ret_is_refused,
                       struct err *err)
{
    json_t *root = NULL;
    struct wire_reader reader = {.err = err};
    int code = begin(text, size, " code message refused ", &root, &reader);
    if (!code) {
        const char *name = json_string_value(json_object_get(root, "code"));
        int named = name ? err_code_of(name) : 0;
        if (!named || strcmp(err_name(named), name) != 0) {
            named = ERR_INTERNAL;
            wire_refuse(&reader, "code", ERR_INVALID, "not the name of an error");
        }
        read_message(&reader, root, "message", named, ret_reason);
        *ret_is_refused = json_object_get(root, "refused") ? wire_bool(&reader, root, "refused") : 0;
    }
    json_decref(root);
    return code ? code : reader.code;
}

int wire_release_parse(const char *text, size_t size, struct err *ret_declined, struct err *err)
{
    json_t *root = NULL;
    struct wire_reader reader = {.err = err};
    *ret_declined = (struct err)ERR_INIT;
    int code = begin(text, size, " declined ", &root, &reader);
    if (!code && json_object_get(root, "declined"))
        read_message(&reader, root, "declined", ERR_UNSUPPORTED, ret_declined);
    json_decref(root);
    return code ? code : reader.code;
}
