#include "daemon/options/origins.h"

#include "daemon/base/url.h"

#include <string.h>

#define SHOWN_BYTES_MAX 200

int origins_check(const char *value, struct err *err)
{
    if (strcmp(value, "*") == 0)
        return 0;
    for (value += strspn(value, ", "); *value; value += strspn(value, ", ")) {
        size_t length = strcspn(value, ", ");
        int shown = length < SHOWN_BYTES_MAX ? (int)length : SHOWN_BYTES_MAX;
        if (length == 1 && *value == '*')
            return err_set(err, ERR_INVALID, "* stands for all origins, and alone");
        if (!url_is_origin(value, length))
            return err_set(err, ERR_INVALID,
                           "\"%.*s\" is the origin of no page: write https://HOST or https://HOST:PORT, in "
                           "small letters, without a path and without the usual port",
                           shown, value);
        value += length;
    }
    return 0;
}
