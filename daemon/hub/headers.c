#include "daemon/hub/headers.h"

#include "daemon/base/limits.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void headers_init(struct headers *headers)
{
    *headers = (struct headers){.retry_after_ms = -1,
                                .retry_at_ms = -1,
                                .date_ms = -1,
                                .ratelimit_left = -1,
                                .ratelimit_reset_ms = -1};
}

void headers_free(struct headers *headers)
{
    free(headers->location);
    free(headers->link_next);
    headers_init(headers);
}

/* Digits at *text, which moves past them; nonzero if there are none or too many. */
static int parse_u64(const char **text, uint64_t *out)
{
    uint64_t value = 0;
    const char *p = *text;
    if (!isdigit((unsigned char)*p))
        return -1;
    for (; isdigit((unsigned char)*p); p++) {
        if (value > (UINT64_MAX - 9) / 10)
            return -1;
        value = value * 10 + (uint64_t)(*p - '0');
    }
    *text = p;
    *out = value;
    return 0;
}

static int parse_whole_u64(const char *text, uint64_t *out)
{
    return parse_u64(&text, out) || *text ? -1 : 0;
}

static void parse_content_range(struct headers *headers, const char *value)
{
    uint64_t first = 0, last = 0, total = 0;
    if (strncasecmp(value, "bytes", 5) != 0)
        return;
    value += 5;
    while (*value == ' ' || *value == '=')
        value++;
    int has_range = *value != '*';
    if (!has_range) {
        value++;
    } else if (parse_u64(&value, &first) || *value++ != '-' || parse_u64(&value, &last) || last < first ||
               last == UINT64_MAX) {
        return;
    }
    if (*value++ != '/')
        return;
    if (strcmp(value, "*") != 0) {
        if (parse_whole_u64(value, &total))
            return;
        headers->has_range_total = 1;
        headers->range_total_bytes = total;
    }
    headers->has_content_range = 1;
    headers->range_begin = first;
    headers->range_end = has_range ? last + 1 : 0;
}

/* W/"abc" or "abc" or abc -> abc; "" where it does not fit. */
static int parse_etag(const char *value, char *etag)
{
    int weak = strncmp(value, "W/", 2) == 0;
    if (weak)
        value += 2;
    size_t size = strlen(value);
    if (size >= 2 && value[0] == '"' && value[size - 1] == '"') {
        value++;
        size -= 2;
    }
    if (size >= HEADERS_ETAG_SIZE)
        size = 0;
    memcpy(etag, value, size);
    etag[size] = 0;
    return weak;
}

/* The number that ;KEY= gives in an item of a list, which ends at a comma; -1 if there is none. */
static int64_t parse_parameter(const char *item, char key)
{
    for (const char *p = item; *p && *p != ','; p++) {
        const char *text = p + 1 + (*p == ';' ? strspn(p + 1, " ") : 0);
        uint64_t number;
        if (*p != ';' || text[0] != key || text[1] != '=')
            continue;
        text += 2;
        return parse_u64(&text, &number) || number > 1000000000 ? -1 : (int64_t)number;
    }
    return -1;
}

/* "api";r=0;t=55, "resolvers";r=10;t=7: of several limits the one that leaves least. */
static void parse_ratelimit(struct headers *headers, const char *value)
{
    for (const char *item = value; item; item = strchr(item, ',')) {
        item += *item == ',';
        int64_t left = parse_parameter(item, 'r'), reset_s = parse_parameter(item, 't');
        if (left < 0 || (headers->ratelimit_left >= 0 && headers->ratelimit_left <= left))
            continue;
        headers->ratelimit_left = left;
        headers->ratelimit_reset_ms = reset_s < 0 ? -1 : reset_s * 1000;
    }
}

static int64_t parse_date_ms(const char *value)
{
    time_t when = curl_getdate(value, NULL);
    return when > 0 ? (int64_t)when * 1000 : -1;
}

static void parse_retry_after(struct headers *headers, const char *value)
{
    uint64_t seconds;
    if (parse_whole_u64(value, &seconds) == 0)
        headers->retry_after_ms = seconds > 1000000000 ? INT64_C(1000000000000) : (int64_t)seconds * 1000;
    else
        headers->retry_at_ms = parse_date_ms(value);
}

/* A moment to wait for counts from the server's own clock: ours may be wrong. */
static void note_moment(struct headers *headers, int64_t wall_ms)
{
    int64_t now_ms = headers->date_ms >= 0 ? headers->date_ms : wall_ms;
    if (headers->retry_at_ms >= 0)
        headers->retry_after_ms = headers->retry_at_ms > now_ms ? headers->retry_at_ms - now_ms : 0;
}

/* Whether the parameters after a link's '>' name the relation "next". */
static int is_relation_next(const char *parameters, size_t size)
{
    for (size_t i = 0; i + 4 < size; i++) {
        if (strncasecmp(parameters + i, "rel=", 4) != 0)
            continue;
        const char *p = parameters + i + 4;
        size_t left = size - i - 4;
        int quoted = *p == '"';
        p += quoted;
        left -= (size_t)quoted;
        if (left >= 4 && strncasecmp(p, "next", 4) == 0 &&
            (left == 4 || p[4] == '"' || p[4] == ';' || p[4] == ' '))
            return 1;
    }
    return 0;
}

char *headers_link_next(const char *value)
{
    while (*value) {
        const char *open = strchr(value, '<');
        const char *close = open ? strchr(open, '>') : NULL;
        if (!close)
            return NULL;
        const char *end = strchr(close, '<'); /* the next link; addresses hold no '<' */
        size_t size = end ? (size_t)(end - close) : strlen(close);
        if (is_relation_next(close, size) && (size_t)(close - open) <= LIMIT_URL_BYTES)
            return strndup(open + 1, (size_t)(close - open) - 1);
        value = close + size;
    }
    return NULL;
}

static void copy_text(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from);
}

static int replace_text(char **member, char *value)
{
    free(*member);
    *member = value;
    return value ? 0 : -1;
}

static int take_field(struct headers *headers, const char *name, const char *value, int64_t wall_ms)
{
    if (strcasecmp(name, "location") == 0)
        return replace_text(&headers->location, strdup(value));
    if (strcasecmp(name, "link") == 0) {
        char *next = headers_link_next(value);
        return next ? replace_text(&headers->link_next, next) : 0;
    }
    if (strcasecmp(name, "etag") == 0)
        headers->is_etag_weak = parse_etag(value, headers->etag);
    else if (strcasecmp(name, "x-linked-etag") == 0)
        (void)parse_etag(value, headers->linked_etag);
    else if (strcasecmp(name, "x-repo-commit") == 0)
        copy_text(headers->repo_commit, sizeof headers->repo_commit, value);
    else if (strcasecmp(name, "x-error-code") == 0)
        copy_text(headers->error_code, sizeof headers->error_code, value);
    else if (strcasecmp(name, "x-error-message") == 0)
        copy_text(headers->error_message, sizeof headers->error_message, value);
    else if (strcasecmp(name, "x-linked-size") == 0)
        headers->has_linked_size = parse_whole_u64(value, &headers->linked_size_bytes) == 0;
    else if (strcasecmp(name, "content-length") == 0)
        headers->has_content_length = parse_whole_u64(value, &headers->content_length_bytes) == 0;
    else if (strcasecmp(name, "content-range") == 0)
        parse_content_range(headers, value);
    else if (strcasecmp(name, "content-encoding") == 0)
        headers->is_encoded = *value && strcasecmp(value, "identity") != 0;
    else if (strcasecmp(name, "retry-after") == 0)
        parse_retry_after(headers, value);
    else if (strcasecmp(name, "date") == 0)
        headers->date_ms = parse_date_ms(value);
    else if (strcasecmp(name, "ratelimit") == 0)
        parse_ratelimit(headers, value);
    note_moment(headers, wall_ms);
    return 0;
}

int headers_parse_line(struct headers *headers, const char *line, size_t size, int64_t wall_ms)
{
    char name[64];
    headers->total_bytes += size;
    while (size && isspace((unsigned char)line[size - 1]))
        size--;
    const char *colon = memchr(line, ':', size);
    size_t name_size = colon ? (size_t)(colon - line) : 0;
    if (name_size == 0 || name_size >= sizeof name || memchr(line, 0, size))
        return 0;
    memcpy(name, line, name_size);
    name[name_size] = 0;
    const char *begin = colon + 1;
    size_t value_size = size - name_size - 1;
    while (value_size && isspace((unsigned char)*begin)) {
        begin++;
        value_size--;
    }
    char *value = strndup(begin, value_size);
    if (!value)
        return -1;
    int failed = take_field(headers, name, value, wall_ms);
    free(value);
    return failed;
}
