#include "api/http/route.h"

#include <stdio.h>
#include <string.h>

/* Whether the pattern has exactly these segments; collects the values of its {names}. */
static int matches(const char *pattern, const struct api_uri *uri, const char **arguments)
{
    size_t argument_count = 0;
    size_t index = 0;
    const char *part = pattern + 1;
    while (*part) {
        size_t length = (size_t)(strchrnul(part, '/') - part);
        if (index == uri->segment_count)
            return 0;
        const char *segment = uri->segments[index++];
        if (part[0] == '{') {
            if (argument_count == API_REQUEST_ARGUMENTS_MAX)
                return 0;
            arguments[argument_count++] = segment;
        } else if (strncmp(segment, part, length) != 0 || segment[length] != '\0') {
            return 0;
        }
        part += length;
        if (*part == '/')
            part++;
    }
    return index == uri->segment_count;
}

static void append_method(char *allow, const char *method)
{
    size_t length = strlen(allow);
    (void)snprintf(allow + length, API_ALLOW_SIZE - length, "%s%s", length ? ", " : "", method);
}

const struct api_route *api_route_find(const struct api_route_table *table, const char *method,
                                       const struct api_uri *uri, const char **arguments,
                                       char ret_allow[API_ALLOW_SIZE])
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    ret_allow[0] = '\0';
    for (size_t i = 0; i < table->count; i++) {
        const struct api_route *route = &table->rows[i];
        if (!matches(route->pattern, uri, arguments))
            continue;
        if (strcmp(route->method, wanted) == 0) {
            ret_allow[0] = '\0'; /* not all of them were seen */
            return route;
        }
        append_method(ret_allow, route->method);
        if (strcmp(route->method, "GET") == 0)
            append_method(ret_allow, "HEAD");
    }
    if (ret_allow[0])
        append_method(ret_allow, "OPTIONS");
    return NULL;
}
