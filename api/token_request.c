#include "api/token_request.h"
#include "api/form/json_load.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static int refuse(char *field, struct err *err, const char *pointer, const char *reason)
{
    (void)snprintf(field, API_TOKEN_FIELD_SIZE, "%s", pointer);
    return err_set(err, ERR_INVALID, "%s: %s", pointer[0] ? pointer + 1 : "body", reason);
}

static int read_name(const json_t *value, struct api_token_request *request, char *field, struct err *err)
{
    const char *name = json_string_value(value);
    if (!name || strlen(name) != json_string_length(value) || strlen(name) >= TOKEN_NAME_SIZE)
        return refuse(field, err, "/name", "not a text of 1 to 64 characters");
    (void)snprintf(request->name, sizeof request->name, "%s", name);
    return 0;
}

static int read_scopes(const json_t *value, struct api_token_request *request, char *field, struct err *err)
{
    static const char list[] = "not a list of read, sweep, worker and admin, each at most once";
    if (!json_is_array(value) || json_array_size(value) == 0)
        return refuse(field, err, "/scopes", list);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *name = json_string_value(json_array_get(value, i));
        unsigned scope = name && !strpbrk(name, ", ") ? token_scopes_parse(name) : 0;
        if (!scope || request->scopes & scope)
            return refuse(field, err, "/scopes", list);
        request->scopes |= scope;
    }
    return 0;
}

static int read_days(const json_t *value, struct api_token_request *request, char *field, struct err *err)
{
    json_int_t days = json_integer_value(value); /* 0 for anything else */
    if (days < 1 || days > TOKEN_EXPIRES_DAYS_MAX)
        return refuse(field, err, "/expires_days", "not an integer from 1 to 36500");
    request->expires_days = days;
    return 0;
}

int api_token_request_parse(const char *body, size_t size, struct api_token_request *request,
                            char field[API_TOKEN_FIELD_SIZE], struct err *err)
{
    static const struct {
        const char *name;
        int (*read)(const json_t *value, struct api_token_request *request, char *field, struct err *err);
    } members[] = {{"name", read_name}, {"scopes", read_scopes}, {"expires_days", read_days}};
    const char *name = NULL;
    json_t *value = NULL;
    int code = 0;
    *request = (struct api_token_request){0};
    field[0] = '\0';
    json_t *root = api_json_load(body, size, err);
    if (!root)
        return err_wrap(err, "body");
    if (!json_is_object(root))
        code = refuse(field, err, "", "not an object");
    json_object_foreach(root, name, value)
    {
        size_t i = 0;
        while (i < 3 && strcmp(members[i].name, name) != 0)
            i++;
        char pointer[API_TOKEN_FIELD_SIZE];
        (void)snprintf(pointer, sizeof pointer, "/%.40s", name);
        if (i == 3)
            code = refuse(field, err, pointer, "there is no such member");
        else if (!json_is_null(value))
            code = members[i].read(value, request, field, err);
        if (code)
            break;
    }
    if (!code && !request->name[0])
        code = refuse(field, err, "/name", "is missing: it says whose token this is");
    if (!code && !request->scopes)
        code = refuse(field, err, "/scopes", "is missing: it says what the token allows");
    json_decref(root);
    return code;
}
