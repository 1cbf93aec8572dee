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
