#include "daemon/base/url.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

size_t url_origin_length(const char *url)
{
    const char *separator = strstr(url, "://");
    const char *host = separator ? separator + 3 : "";
    size_t length = strcspn(host, "/?#");
    return length ? (size_t)(host - url) + length : 0;
}

static int is_usual_port(const char *scheme, size_t scheme_length, const char *port, size_t length)
{
    static const char *const usual[][2] = {{"http", "80"}, {"https", "443"}};
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        if (strlen(usual[i][0]) == scheme_length && memcmp(usual[i][0], scheme, scheme_length) == 0)
            return strlen(usual[i][1]) == length && memcmp(usual[i][1], port, length) == 0;
    }
    return 0;
}

/* How many of the bytes before `end` are such letters. */
static size_t span(const char *text, const char *end, const char *letters)
{
    size_t length = strspn(text, letters);
    return length < (size_t)(end - text) ? length : (size_t)(end - text);
}

int url_is_origin(const char *text, size_t length)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789+.-_";
    const char *end = text + length;
    size_t scheme = span(text, end, letters);
    if (scheme == 0 || length <= scheme + 3 || memcmp(text + scheme, "://", 3) != 0)
        return 0;
    const char *host = text + scheme + 3;
    int is_v6 = *host == '[';
    size_t host_length = is_v6 ? span(host + 1, end, "0123456789abcdef:.") : span(host, end, letters);
    const char *port = host + host_length + 2 * (size_t)is_v6;
    if (host_length == 0 || port > end || (is_v6 && port[-1] != ']'))
        return 0;
    if (port == end)
        return 1;
    size_t digits = span(port + 1, end, "0123456789");
    return *port == ':' && port[1] != '0' && digits >= 1 && digits <= 5 && port + 1 + digits == end &&
           !is_usual_port(text, scheme, port + 1, digits);
}

int url_host_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &v6) != 1)
        return 0;
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

int url_host_is_local(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strcasecmp(host, "localhost.") == 0 ||
           url_host_is_loopback(host);
}
