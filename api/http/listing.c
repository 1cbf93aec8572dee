#include "api/http/listing.h"

#include "api/form/csv.h"
#include "api/form/json.h"
#include "daemon/base/json_text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 48

struct selection {
    size_t count;
    char names[API_LISTING_COLUMNS_MAX][NAME_SIZE];
};

/* Whether `names` has the name, which is no part of another. */
static int has_name(const char *names, const char *name)
{
    char word[NAME_SIZE + 2];
    (void)snprintf(word, sizeof word, " %s ", name);
    return strstr(names, word) != NULL;
}

static int is_selected(const struct selection *selection, const char *name)
{
    for (size_t i = 0; i < selection->count; i++) {
        if (strcmp(selection->names[i], name) == 0)
            return 1;
    }
    return 0;
}

/* Returns 0, or 1 with the first name that is wrong in `wrong`. */
static int read_names(const char *text, char separator, const struct api_listing *listing,
                      struct selection *selection, char wrong[NAME_SIZE])
{
    selection->count = 0;
    for (text += separator == ' ';; text++) { /* the listing's own begin and end with a space */
        size_t length = (size_t)(strchrnul(text, separator) - text);
        (void)snprintf(wrong, NAME_SIZE, "%.*s", (int)(length < NAME_SIZE ? length : NAME_SIZE - 1), text);
        if (length == 0 || length >= NAME_SIZE || (separator != ' ' && strchr(wrong, ' ')) ||
            selection->count == API_LISTING_COLUMNS_MAX || is_selected(selection, wrong) ||
            (!has_name(listing->columns, wrong) && !has_name(listing->others, wrong)))
            return 1;
        memcpy(selection->names[selection->count++], wrong, NAME_SIZE);
        text += length;
        if (!text[0] || (separator == ' ' && !text[1]))
            return 0;
    }
}

static int select_columns(const struct api_request *request, const struct api_listing *listing,
                          struct selection *selection, struct api_response *response, struct err *err)
{
    char wrong[NAME_SIZE];
    const char *fields = api_uri_find(&request->uri, "fields");
    if (!read_names(fields ? fields : listing->columns, fields ? ',' : ' ', listing, selection, wrong))
        return 0;
    return api_response_refuse(response, "query", "fields", err, ERR_INVALID,
                               "fields: \"%s\" is unknown or there twice; known:%s%s", wrong,
                               listing->columns, listing->others[0] ? listing->others + 1 : "");
}

int api_listing_check(const struct api_request *request, const struct api_listing *listing,
                      struct api_response *response, struct err *err)
{
    struct selection selection;
    return select_columns(request, listing, &selection, response, err);
}

/* -- JSON ------------------------------------------------------------------------------------------------ */

/* As deep as the parser goes, which has a bound. */
static void append_value(struct api_json *json, const char *key, const json_t *value)
{
    const char *name;
    json_t *member;
    size_t index;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        api_json_open_object(json, key);
        json_object_foreach((json_t *)(uintptr_t)value, name, member)
        {
            append_value(json, name, member);
        }
        api_json_close_object(json);
        break;
    case JSON_ARRAY:
        api_json_open_array(json, key);
        json_array_foreach(value, index, member)
        {
            append_value(json, NULL, member);
        }
        api_json_close_array(json);
        break;
    case JSON_STRING:
        api_json_text(json, key, json_string_value(value));
        break;
    case JSON_INTEGER:
        api_json_integer(json, key, json_integer_value(value));
        break;
    case JSON_REAL:
        api_json_real(json, key, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        api_json_boolean(json, key, json_is_true(value));
        break;
    case JSON_NULL:
        api_json_null(json, key);
        break;
    }
}

/* The member that the name reaches, or NULL. */
static json_t *value_at(const json_t *row, const char *name)
{
    char parent[NAME_SIZE];
    const char *dot = strchr(name, '.');
    if (!dot)
        return json_object_get(row, name);
    (void)snprintf(parent, sizeof parent, "%.*s", (int)(dot - name), name);
    return json_object_get(json_object_get(row, parent), dot + 1);
}

/* Puts the member where it is in the whole row: "progress.done" into a member "progress", unless that is
 * null. Nonzero without memory. */
static int copy_member(const json_t *row, const char *name, json_t *copy)
{
    char parent[NAME_SIZE];
    const char *dot = strchr(name, '.');
    json_t *value = value_at(row, name);
    if (!dot)
        return json_object_set_new(copy, name, value ? json_incref(value) : json_null());
    (void)snprintf(parent, sizeof parent, "%.*s", (int)(dot - name), name);
    if (json_is_null(json_object_get(row, parent)))
        return json_object_set_new(copy, parent, json_null());
    if (!json_object_get(copy, parent) && json_object_set_new(copy, parent, json_object()))
        return -1;
    return json_object_set_new(json_object_get(copy, parent), dot + 1,
                               value ? json_incref(value) : json_null());
}

/* Nonzero without memory: a row that lacks a member would be another one. */
static int render_json(json_t *page, const char *key, const struct selection *selection, struct buf *body)
{
    struct api_json json;
    json_t *rows = json_object_get(page, key);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *copy = json_object();
        for (size_t k = 0; k < selection->count; k++) {
            if (copy_member(json_array_get(rows, i), selection->names[k], copy)) {
                json_decref(copy);
                return -1;
            }
        }
        if (json_array_set_new(rows, i, copy))
            return -1;
    }
    api_json_init(&json, body);
    append_value(&json, NULL, page);
    return 0;
}

/* -- CSV ------------------------------------------------------------------------------------------------- */

static int is_list_of_texts(const json_t *value)
{
    size_t index;
    const json_t *member;
    if (!json_is_array(value))
        return 0;
    json_array_foreach(value, index, member)
    {
        if (!json_is_string(member))
            return 0;
    }
    return 1;
}

static void append_compound(struct api_csv *csv, const json_t *value)
{
    struct buf text;
    struct api_json json;
    size_t index;
    const json_t *member;
    buf_init(&text, csv->buf->max);
    if (is_list_of_texts(value)) {
        json_array_foreach(value, index, member)
        {
            buf_appendf(&text, "%s%s", index ? " " : "", json_string_value(member));
        }
    } else {
        api_json_init(&json, &text);
        append_value(&json, NULL, value);
    }
    if (text.failed)
        csv->buf->failed = text.failed;
    api_csv_text(csv, buf_text(&text));
    buf_free(&text);
}

static void append_cell(struct api_csv *csv, const json_t *value)
{
    if (!value || json_is_null(value))
        api_csv_empty(csv);
    else if (json_is_string(value))
        api_csv_text(csv, json_string_value(value));
    else if (json_is_integer(value))
        api_csv_integer(csv, json_integer_value(value));
    else if (json_is_real(value))
        api_csv_real(csv, json_real_value(value));
    else if (json_is_boolean(value))
        api_csv_text(csv, json_is_true(value) ? "true" : "false");
    else
        append_compound(csv, value);
}

static void render_csv(const json_t *page, const char *key, const struct selection *selection,
                       struct buf *body)
{
    struct api_csv csv;
    size_t index;
    const json_t *row;
    api_csv_init(&csv, body);
    for (size_t k = 0; k < selection->count; k++)
        api_csv_text(&csv, selection->names[k]);
    api_csv_end_line(&csv);
    json_array_foreach(json_object_get(page, key), index, row)
    {
        for (size_t k = 0; k < selection->count; k++)
            append_cell(&csv, value_at(row, selection->names[k]));
        api_csv_end_line(&csv);
    }
}

int api_listing_finish(const struct api_request *request, const struct api_listing *listing,
                       struct api_response *response, struct err *err)
{
    struct selection selection;
    int is_csv = request->format == API_FORMAT_CSV;
    if (!is_csv && !api_uri_find(&request->uri, "fields"))
        return 0;
    int code = buf_check(&response->body, "answer", err);
    if (!code)
        code = select_columns(request, listing, &selection, response, err);
    if (code)
        return code;
    json_t *page = json_text_load(buf_text(&response->body), response->body.size, 0, NULL);
    if (!page)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", listing->key);
    buf_clear(&response->body);
    if (is_csv)
        render_csv(page, listing->key, &selection, &response->body);
    else if (render_json(page, listing->key, &selection, &response->body))
        code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", listing->key);
    json_decref(page);
    return code;
}
