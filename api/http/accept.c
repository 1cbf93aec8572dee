#include "api/http/accept.h"

#include <string.h>
#include <strings.h>

#define WEIGHT_MAX 1000
#define LEVELS 4

/* "0.8" in thousandths. */
static int read_weight(const char *text, const char *end)
{
    int weight = 0, scale = WEIGHT_MAX;
    for (const char *at = text; at < end && scale > 0; at++) {
        if (*at == '.' && at == text + 1)
            continue;
        if (*at < '0' || *at > '9')
            break;
        weight += (*at - '0') * scale;
        scale /= 10;
    }
    return weight > WEIGHT_MAX ? WEIGHT_MAX : weight;
}

/* Of the parameters of one element, ";level=1;q=0.8". */
static int find_weight(const char *parameters, const char *end)
{
    for (const char *at = memchr(parameters, ';', (size_t)(end - parameters)); at;
         at = memchr(at, ';', (size_t)(end - at))) {
        at += 1;
        at += strspn(at, " \t");
        if (end - at >= 2 && (at[0] | 0x20) == 'q' && at[1] == '=')
            return read_weight(at + 2, end);
    }
    return WEIGHT_MAX;
}

/* How exactly element[size] names it: 0 not at all, 1 as everything, 2 as one of its kind, 3 by name. */
static int match(const char *element, size_t size, const char *name, size_t name_size, size_t kind_size)
{
    if (size == name_size && strncasecmp(element, name, size) == 0)
        return 3;
    if (!kind_size || size < 3 || element[size - 1] != '*')
        return 0;
    if (size == kind_size + 1 && strncasecmp(element, name, kind_size) == 0)
        return 2;
    return size == 3 && memcmp(element, "*/*", 3) == 0;
}

int api_accept_weigh(const char *header, const char *name)
{
    const char *slash = strchr(name, '/');
    size_t name_size = strlen(name), kind_size = slash ? (size_t)(slash + 1 - name) : 0;
    const char *end = header ? header : "";
    int found = 0, weight = 0;
    while (*end) {
        const char *at = end + strspn(end, ", \t");
        end = at + strcspn(at, ",");
        int level = match(at, strcspn(at, ",; \t"), name, name_size, kind_size);
        if (level > found) { /* the most exact one counts, and of those the first */
            found = level;
            weight = find_weight(at, end);
        }
    }
    return weight ? weight * LEVELS + found : 0;
}
