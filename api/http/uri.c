#include "api/http/uri.h"

#include "daemon/base/limits.h"
#include "daemon/base/utf8.h"

#include <stdlib.h>
#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes text[size] in place, terminates it (one byte beyond size is ours) and checks what came out. */
static int decode(char *text, size_t size, int is_query, struct err *err)
{
    size_t out = 0;
    unsigned char seen = 0;
    for (size_t in = 0; in < size; in++) {
        char c = text[in];
        if (c == '%') {
            int high = in + 2 < size ? hex_value(text[in + 1]) : -1;
            int low = in + 2 < size ? hex_value(text[in + 2]) : -1;
            if (high < 0 || low < 0)
                return err_set(err, ERR_INVALID, "a %% sign is not followed by two hexadecimal digits");
            c = (char)(high * 16 + low);
            in += 2;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        if ((unsigned char)c < 0x20 || c == 0x7f)
            return err_set(err, ERR_INVALID, "control characters are not allowed here");
        if (text[in] == ' ')
            return err_set(err, ERR_INVALID, "a space is written %%20");
        seen |= (unsigned char)c;
        text[out++] = c;
    }
    text[out] = '\0';
    if (seen >= 0x80 && !utf8_is_valid(text, out))
        return err_set(err, ERR_INVALID, "the text is not UTF-8");
    return 0;
}

static int parse_path(char *path, struct api_uri *uri, struct err *err)
{
    if (path[0] != '/')
        return err_set(err, ERR_INVALID, "the path does not begin with a slash");
    path++;
    while (*path) {
        char *end = strchrnul(path, '/');
        int is_last = *end == '\0';
        if (uri->segment_count == API_URI_SEGMENTS_MAX)
            return err_set(err, ERR_NO_ROUTE, "no resource has so deep a path");
        if (decode(path, (size_t)(end - path), 0, err) < 0)
            return err_wrap(err, "path");
        if (path[0] == '\0' || strcmp(path, ".") == 0 || strcmp(path, "..") == 0)
            return err_set(err, ERR_INVALID, "path: empty, \".\" and \"..\" segments are not allowed");
        uri->segments[uri->segment_count++] = path;
        if (is_last)
            break;
        path = end + 1;
        if (*path == '\0')
            return err_set(err, ERR_NO_ROUTE, "no resource has a path that ends in a slash");
    }
    return 0;
}

static int parse_query(char *query, struct api_uri *uri, struct err *err)
{
    uri->faulty = "";
    for (char *next = NULL; query && *query; query = next) {
        char *end = strchrnul(query, '&');
        next = *end ? end + 1 : NULL;
        if (end == query)
            continue;
        if (uri->parameter_count == API_URI_PARAMETERS_MAX)
            return err_set(err, ERR_LIMIT, "query: more than %d parameters", API_URI_PARAMETERS_MAX);
        *end = '\0';
        char *equals = strchrnul(query, '=');
        char *value = *equals ? equals + 1 : end;
        if (decode(query, (size_t)(equals - query), 1, err) < 0)
            return err_wrap(err, "query");
        uri->faulty = query;
        if (decode(value, (size_t)(end - value), 1, err) < 0)
            return err_wrap(err, "query: %s", query);
        if (api_uri_find(uri, query))
            return err_set(err, ERR_INVALID, "query: %s is given twice", query);
        uri->faulty = "";
        uri->parameters[uri->parameter_count++] = (struct api_uri_parameter){query, value};
    }
    uri->faulty = NULL;
    return 0;
}

/* Room for the parameters and for a copy of the target, which is returned. */
static char *make_room(struct api_uri *uri, const char *target)
{
    size_t parameters = 1;
    for (const char *at = target; parameters < API_URI_PARAMETERS_MAX && (at = strchr(at, '&')); at++)
        parameters++;
    size_t size = strlen(target) + 1;
    size_t front = parameters * sizeof *uri->parameters;
    uri->block = malloc(front + size);
    if (!uri->block)
        return NULL;
    uri->parameters = uri->block;
    return memcpy((char *)uri->block + front, target, size);
}

int api_uri_parse(const char *target, struct api_uri *uri, struct err *err)
{
    *uri = (struct api_uri){0};
    if (strlen(target) > LIMIT_URL_BYTES)
        return err_set(err, ERR_LIMIT, "the target is longer than %d bytes", LIMIT_URL_BYTES);
    const char *authority = strstr(target, "://");
    const char *slash = strchr(target, '/');
    if (target[0] != '/' && authority && slash == authority + 1)
        target = authority[3] ? strchrnul(authority + 3, '/') : authority + 3;
    char *path = make_room(uri, *target ? target : "/");
    if (!path)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    char *fragment = strchr(path, '#');
    if (fragment)
        *fragment = '\0';
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    int code = parse_path(path, uri, err);
    if (!code)
        code = parse_query(query, uri, err);
    return code;
}

void api_uri_free(struct api_uri *uri)
{
    if (!uri)
        return;
    free(uri->block);
    *uri = (struct api_uri){0};
}

const char *api_uri_find(const struct api_uri *uri, const char *name)
{
    for (size_t i = 0; i < uri->parameter_count; i++) {
        if (strcmp(uri->parameters[i].name, name) == 0)
            return uri->parameters[i].value;
    }
    return NULL;
}
