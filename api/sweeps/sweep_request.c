#include "api/sweeps/sweep_request.h"
#include "api/form/json_load.h"

#include "daemon/base/bare_name.h"
#include "daemon/base/guess.h"
#include "daemon/base/json_text.h"
#include "daemon/base/local_name.h"
#include "daemon/base/name_rule.h"
#include "daemon/base/revision_place.h"
#include "store/sweeps.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 10000
#define DATASET_BYTES_MAX 1024
#define DATASET_FIELD_BYTES_MAX 64

struct member {
    const char *name;
    int (*check)(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                 struct err *err);
};

int api_sweep_request_refuse(char *field, struct err *err, const char *pointer, const char *format, ...)
{
    char reason[ERR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    (void)snprintf(field, API_SWEEP_FIELD_SIZE, "%s", pointer);
    return err_set(err, ERR_INVALID, "%s: %s", pointer[0] ? pointer + 1 : "body", reason);
}

/* One half of "owner/name", as the hub has them. */
static int is_hub_word(const char *text, size_t length)
{
    static const char plain[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.";
    if (length == 0 || length > 96 || text[0] == '-' || text[0] == '.' || text[length - 1] == '-' ||
        text[length - 1] == '.')
        return 0;
    for (size_t i = 0; i < length; i++) {
        if (!memchr(plain, text[i], sizeof plain - 1) ||
            (i > 0 && text[i] == text[i - 1] && (text[i] == '-' || text[i] == '.')))
            return 0;
    }
    return 1;
}

/* Whether text is "owner/name" of the hub's alphabet or "file:/absolute/path"; *ret_kind says which. */
static int is_model(const char *text, enum model_kind *ret_kind)
{
    size_t length = strlen(text);
    if (length > LIMIT_MODEL_NAME_BYTES)
        return 0;
    if (local_name_is(text)) {
        *ret_kind = MODEL_KIND_FOLDER;
        return text[5] == '/' && text[6] != '\0';
    }
    const char *slash = strchr(text, '/');
    *ret_kind = MODEL_KIND_HUB;
    return slash && length <= 96 && strcmp(text, "file") != 0 && is_hub_word(text, (size_t)(slash - text)) &&
           is_hub_word(slash + 1, strlen(slash + 1)) && strncmp(text, "file/", 5) != 0;
}

static int check_text(const json_t *value, const char *pointer, size_t max, char *field, struct err *err)
{
    const char *text = json_string_value(value);
    if (!text)
        return api_sweep_request_refuse(field, err, pointer, "not a string");
    if (text[0] == '\0' || strlen(text) > max || strlen(text) != json_string_length(value))
        return api_sweep_request_refuse(field, err, pointer,
                                        "empty, longer than %zu bytes, or with a zero byte", max);
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return api_sweep_request_refuse(field, err, pointer, "holds control characters");
    }
    return 0;
}

static int check_texts(const json_t *value, const char *pointer, size_t count_max, size_t max, char *field,
                       struct err *err)
{
    if (!json_is_array(value) || json_array_size(value) == 0 || json_array_size(value) > count_max)
        return api_sweep_request_refuse(field, err, pointer, "not a list of 1 to %zu names", count_max);
    for (size_t i = 0; i < json_array_size(value); i++) {
        char at[API_SWEEP_FIELD_SIZE];
        (void)snprintf(at, sizeof at, "%s/%zu", pointer, i);
        int code = check_text(json_array_get(value, i), at, max, field, err);
        if (code)
            return code;
    }
    return 0;
}

static int check_integer(const json_t *value, const char *pointer, json_int_t min, json_int_t max,
                         char *field, struct err *err)
{
    if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
        return api_sweep_request_refuse(field, err, pointer, "not an integer from %lld to %lld",
                                        (long long)min, (long long)max);
    return 0;
}

static int refuse_model(const char *text, const char *pointer, char *field, struct err *err)
{
    char full[BARE_NAME_SIZE];
    int is_known = bare_name_complete(text, full)[0] != 0;
    return api_sweep_request_refuse(field, err, pointer,
                                    "neither owner/name, as on the hub, nor file:/path of a folder%s%s",
                                    is_known ? ": the hub calls it " : "", full);
}

static int check_model(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                       struct err *err)
{
    int code = check_text(value, pointer, LIMIT_MODEL_NAME_BYTES, field, err);
    if (code)
        return code;
    if (!is_model(json_string_value(value), &request->kind))
        return refuse_model(json_string_value(value), pointer, field, err);
    (void)snprintf(request->model, sizeof request->model, "%s", json_string_value(value));
    return 0;
}

static int check_tensors(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                         struct err *err)
{
    (void)request;
    return check_texts(value, pointer, LIMIT_CLAIM_TENSORS, LIMIT_TENSOR_NAME_BYTES, field, err);
}

static int check_word(const json_t *value, const char *pointer, const char *const *words, char *field,
                      struct err *err)
{
    const char *text = json_string_value(value);
    char list[ERR_MESSAGE_BYTES] = "";
    for (size_t i = 0; words[i]; i++) {
        if (text && strcmp(text, words[i]) == 0)
            return 0;
        size_t length = strlen(list);
        (void)snprintf(list + length, sizeof list - length, "%s%s", i ? ", " : "", words[i]);
    }
    return api_sweep_request_refuse(field, err, pointer, "not one of: %s", list);
}

static int check_metrics(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                         struct err *err)
{
    static const char *const words[] = {"statistics", "perplexity", NULL};
    (void)request;
    int code = check_texts(value, pointer, 2, 64, field, err);
    for (size_t i = 0; !code && i < json_array_size(value); i++) {
        char at[API_SWEEP_FIELD_SIZE];
        (void)snprintf(at, sizeof at, "%s/%zu", pointer, i);
        code = check_word(json_array_get(value, i), at, words, field, err);
        if (!code && i == 1 && json_equal(json_array_get(value, 0), json_array_get(value, 1)))
            code = api_sweep_request_refuse(field, err, at, "is named twice");
    }
    return code;
}

static int check_name(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                      struct err *err)
{
    (void)request;
    return check_text(value, pointer, LIMIT_REVISION_NAME_BYTES, field, err);
}

static int check_rule(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                      struct err *err)
{
    struct err reason = ERR_INIT;
    int code = check_name(value, pointer, request, field, err);
    if (!code && name_rule_check(json_string_value(value), &reason))
        code = api_sweep_request_refuse(field, err, pointer, "%s", reason.message);
    return code;
}

static int check_names(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                       struct err *err)
{
    (void)request;
    return check_texts(value, pointer, NAMES_MAX, LIMIT_REVISION_NAME_BYTES, field, err);
}

static int check_dataset(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                         struct err *err)
{
    (void)request;
    return check_text(value, pointer, DATASET_BYTES_MAX, field, err);
}

static int check_field(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                       struct err *err)
{
    (void)request;
    return check_text(value, pointer, DATASET_FIELD_BYTES_MAX, field, err);
}

static int check_mode(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                      struct err *err)
{
    static const char *const words[] = {"last_word", "tokens", "text_mean", NULL};
    (void)request;
    return check_word(value, pointer, words, field, err);
}

static int check_tokenizer(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                           struct err *err)
{
    static const char *const words[] = {"agreed", "file", NULL};
    (void)request;
    return check_word(value, pointer, words, field, err);
}

static int check_count(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                       struct err *err)
{
    (void)request;
    return check_integer(value, pointer, 0, INT32_MAX, field, err);
}

static int check_step(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                      struct err *err)
{
    (void)request;
    return check_integer(value, pointer, 0, INT64_MAX, field, err);
}

static int check_every(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                       struct err *err)
{
    (void)request;
    return check_integer(value, pointer, 1, 1000000, field, err);
}

static int check_priority(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                          struct err *err)
{
    int code = check_integer(value, pointer, SWEEPS_PRIORITY_MIN, SWEEPS_PRIORITY_MAX, field, err);
    if (!code)
        request->priority = (int)json_integer_value(value);
    return code;
}

/* What the name of a member that does not exist is meant for. */
static const char *ask_member(const struct member *members, const char *key,
                              char question[GUESS_QUESTION_SIZE])
{
    struct guess guess;
    guess_init(&guess, key);
    for (; members->name; members++)
        guess_offer(&guess, members->name);
    return guess_ask(&guess, "", question);
}

/* Checks every member of an object against a list and drops those that are null. */
static int check_object(json_t *object, const char *pointer, const struct member *members,
                        struct api_sweep_request *request, char *field, struct err *err)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, key, value)
    {
        char at[API_SWEEP_FIELD_SIZE];
        (void)snprintf(at, sizeof at, "%s/%.64s", pointer, key);
        const struct member *member = members;
        while (member->name && strcmp(member->name, key) != 0)
            member++;
        if (!member->name) {
            char question[GUESS_QUESTION_SIZE];
            return api_sweep_request_refuse(field, err, at, "no such member%s",
                                            ask_member(members, key, question));
        }
        if (json_is_null(value)) {
            json_object_del(object, key);
            continue;
        }
        int code = member->check(value, at, request, field, err);
        if (code)
            return code;
    }
    return 0;
}

static int check_revisions(json_t *value, const char *pointer, struct api_sweep_request *request, char *field,
                           struct err *err)
{
    static const struct member members[] = {
        {"from", check_step},   {"to", check_step},   {"every", check_every},
        {"names", check_names}, {"rule", check_rule}, {NULL, NULL},
    };
    if (!json_is_object(value))
        return api_sweep_request_refuse(field, err, pointer, "not an object");
    int code = check_object(value, pointer, members, request, field, err);
    if (code)
        return code;
    const json_t *from = json_object_get(value, "from");
    const json_t *to = json_object_get(value, "to");
    if (from && to && json_integer_value(from) > json_integer_value(to))
        return api_sweep_request_refuse(field, err, "/revisions/to", "less than \"from\"");
    return 0;
}

static const struct member sweep_members[] = {
    {"model", check_model},
    {"tensors", check_tensors},
    {"metrics", check_metrics},
    {"revisions", check_revisions},
    {"reference", check_name},
    {"priority", check_priority},
    /* of perplexity: */
    {"dataset", check_dataset},
    {"field", check_field},
    {"mode", check_mode},
    {"tokenizer", check_tokenizer},
    {"limit", check_count},
    {"window", check_count},
    {"stride", check_count},
    {NULL, NULL},
};

/* What says a place must say one that can be; of a folder's revisions nothing does. */
static int check_place(const struct api_sweep_request *request, const json_t *value, const char *pointer,
                       int is_rule, char *field, struct err *err)
{
    struct revision_place place;
    struct err reason = ERR_INIT;
    const char *text = json_string_value(value);
    int code = !text     ? 0
               : is_rule ? revision_place_read_rule(request->model, text, &place, &reason)
                         : revision_place_read(request->model, text, &place, &reason);
    return code ? api_sweep_request_refuse(field, err, pointer, "%s", reason.message) : 0;
}

static int check_places(const struct api_sweep_request *request, const json_t *root, char *field,
                        struct err *err)
{
    const json_t *revisions = json_object_get(root, "revisions"), *name;
    size_t i;
    int code = check_place(request, json_object_get(revisions, "rule"), "/revisions/rule", 1, field, err);
    if (!code)
        code = check_place(request, json_object_get(root, "reference"), "/reference", 0, field, err);
    json_array_foreach(json_object_get(revisions, "names"), i, name)
    {
        char at[API_SWEEP_FIELD_SIZE];
        (void)snprintf(at, sizeof at, "/revisions/names/%zu", i);
        if (!code)
            code = check_place(request, name, at, 0, field, err);
    }
    return code;
}

int api_sweep_request_parse(const char *body, size_t size, struct api_sweep_request *request,
                            char field[API_SWEEP_FIELD_SIZE], struct err *err)
{
    *request = (struct api_sweep_request){0};
    field[0] = '\0';
    json_t *root = api_json_load(body, size, err);
    if (!root)
        return err_wrap(err, "body");
    int code = 0;
    if (!json_is_object(root))
        code = api_sweep_request_refuse(field, err, "", "not a JSON object");
    else
        code = check_object(root, "", sweep_members, request, field, err);
    if (!code && !request->model[0])
        code = api_sweep_request_refuse(field, err, "/model", "is missing");
    if (!code)
        code = check_places(request, root, field, err);
    if (!code) {
        request->text = json_text_dump(root, JSON_COMPACT | JSON_SORT_KEYS);
        if (!request->text)
            code = err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    json_decref(root);
    return code;
}
