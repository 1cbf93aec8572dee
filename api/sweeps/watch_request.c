#include "api/sweeps/watch_request.h"
#include "api/form/json_load.h"
#include "daemon/base/json_text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Takes a member out of the object; NULL where it is missing or null. The caller releases it. */
static json_t *take(json_t *object, const char *key)
{
    json_t *value = json_incref(json_object_get(object, key));
    (void)json_object_del(object, key);
    if (json_is_null(value)) {
        json_decref(value);
        return NULL;
    }
    return value;
}

static int read_times(const json_t *at, const json_t *every, struct timetable *timetable, char *field,
                      struct err *err)
{
    if (!at == !every)
        return api_sweep_request_refuse(
            field, err, at ? "/every_minutes" : "/at",
            at ? "excludes \"at\"; a watch has one of them"
               : "is missing; say \"at\": \"02:30\" (local time) or \"every_minutes\": 15");
    if (at) {
        const char *text = json_string_value(at);
        if (text && strlen(text) == json_string_length(at) && timetable_parse_at(text, &timetable->at_minute))
            return 0;
        return api_sweep_request_refuse(field, err, "/at", "not a time of the day such as \"02:30\"");
    }
    json_int_t minutes = json_integer_value(every);
    if (!json_is_integer(every) || minutes < 1 || minutes > TIMETABLE_EVERY_MAX)
        return api_sweep_request_refuse(field, err, "/every_minutes", "not an integer from 1 to %d",
                                        TIMETABLE_EVERY_MAX);
    timetable->every_minutes = (int)minutes;
    return 0;
}

int api_watch_request_is_url(const char *text)
{
    size_t scheme = strncasecmp(text, "http://", 7) == 0 ? 7 : strncasecmp(text, "https://", 8) == 0 ? 8 : 0;
    size_t host = strcspn(text + scheme, "/?#");
    if (scheme == 0 || host == 0 || memchr(text + scheme, '@', host) || text[scheme] == ':' ||
        strchr(text, '#'))
        return 0;
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || strchr("\"<>\\^`{|}", *c))
            return 0;
    }
    return 1;
}

static int read_webhook(json_t *webhook, struct api_watch_request *request, char *field, struct err *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(webhook))
        return api_sweep_request_refuse(field, err, "/webhook", "not an object");
    json_object_foreach(webhook, key, value)
    {
        char at[API_SWEEP_FIELD_SIZE];
        const char *text = json_string_value(value);
        (void)snprintf(at, sizeof at, "/webhook/%.64s", key);
        if (strcmp(key, "url") != 0 && strcmp(key, "secret") != 0)
            return api_sweep_request_refuse(field, err, at, "no such member");
        if (json_is_null(value) && key[0] == 's')
            continue;
        if (!text || strlen(text) != json_string_length(value))
            return api_sweep_request_refuse(field, err, at, "not a string");
        if (key[0] == 'u') {
            if (strlen(text) >= WATCHES_URL_SIZE || !api_watch_request_is_url(text))
                return api_sweep_request_refuse(
                    field, err, at,
                    "not an http or https URL of at most %d characters, without user or password",
                    WATCHES_URL_SIZE - 1);
            (void)snprintf(request->webhook_url, sizeof request->webhook_url, "%s", text);
        } else {
            if (strlen(text) < WATCHES_SECRET_MIN || strlen(text) >= WATCHES_SECRET_SIZE)
                return api_sweep_request_refuse(field, err, at, "not %d to %d characters", WATCHES_SECRET_MIN,
                                                WATCHES_SECRET_SIZE - 1);
            (void)snprintf(request->webhook_secret, sizeof request->webhook_secret, "%s", text);
            request->has_secret = 1;
        }
    }
    return request->webhook_url[0] ? 0 : api_sweep_request_refuse(field, err, "/webhook/url", "is missing");
}

/* What is left is a sweep's request. */
static int read_sweep(json_t *root, const char *model, struct api_watch_request *request, char *field,
                      struct err *err)
{
    if (json_object_get(root, "model"))
        return api_sweep_request_refuse(field, err, "/model", "the path names the model");
    const json_t *every = json_object_get(json_object_get(root, "revisions"), "every");
    if (every && !json_is_null(every))
        return api_sweep_request_refuse(
            field, err, "/revisions/every",
            "a watch thins nothing out: which revisions were every n-th would change with each new one");
    if (json_object_set_new(root, "model", json_string(model)))
        return api_sweep_request_refuse(field, err, "", "the model's name is not UTF-8");
    char *text = json_text_dump(root, JSON_COMPACT);
    if (!text)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int code = api_sweep_request_parse(text, strlen(text), &request->sweep, field, err);
    free(text);
    return code;
}

int api_watch_request_parse(const char *body, size_t size, const char *model,
                            struct api_watch_request *request, char field[API_SWEEP_FIELD_SIZE],
                            struct err *err)
{
    *request = (struct api_watch_request){0};
    field[0] = '\0';
    json_t *root = api_json_load(body, size, err);
    if (!root)
        return err_wrap(err, "body");
    if (!json_is_object(root)) {
        json_decref(root);
        return api_sweep_request_refuse(field, err, "", "not a JSON object");
    }
    json_t *at = take(root, "at"), *every = take(root, "every_minutes"), *webhook = take(root, "webhook");
    int code = read_times(at, every, &request->timetable, field, err);
    if (!code && webhook)
        code = read_webhook(webhook, request, field, err);
    if (!code)
        code = read_sweep(root, model, request, field, err);
    json_decref(at);
    json_decref(every);
    json_decref(webhook);
    json_decref(root);
    return code;
}
