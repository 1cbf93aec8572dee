#include "daemon/base/url.h"

#include <string.h>

size_t url_origin_length(const char *url)
{
    const char *separator = strstr(url, "://");
    const char *host = separator ? separator + 3 : "";
    size_t length = strcspn(host, "/?#");
    return length ? (size_t)(host - url) + length : 0;
}
