#include "daemon/base/repository_name.h"

#include <ctype.h>
#include <string.h>

int repository_name_is_valid(const char *name)
{
    size_t size = strlen(name), slash_count = 0;
    if (size == 0 || size >= REPOSITORY_NAME_SIZE || strstr(name, "--") || strstr(name, "..") ||
        (size > 4 && strcmp(name + size - 4, ".git") == 0))
        return 0;
    for (size_t i = 0; i < size; i++) {
        int is_first = i == 0 || name[i - 1] == '/', is_last = i + 1 == size || name[i + 1] == '/';
        if (name[i] == '/') {
            if (is_first || is_last || ++slash_count > 1)
                return 0;
        } else if (name[i] == '-' || name[i] == '.') {
            if (is_first || is_last)
                return 0;
        } else if (!isalnum((unsigned char)name[i]) && name[i] != '_') {
            return 0;
        }
    }
    return 1;
}

size_t repository_name_owner_size(const char *name)
{
    const char *slash = strchr(name, '/');
    return slash ? (size_t)(slash - name) : 0;
}
