#include "daemon/command/service_environment.h"

#include "daemon/base/buf.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"

#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r"

static void take_line(char *line)
{
    line += strspn(line, BLANKS);
    char *value = strchr(line, '=');
    if (*line == '#' || *line == ';' || !value || value == line)
        return;
    *value++ = '\0';
    value += strspn(value, BLANKS);
    size_t size = strlen(value);
    while (size && strchr(BLANKS, value[size - 1]))
        value[--size] = '\0';
    if (size > 1 && (value[0] == '"' || value[0] == '\'') && value[size - 1] == value[0]) {
        value[size - 1] = '\0';
        value++;
    }
    (void)setenv(line, value, 1); // NOLINT(concurrency-mt-unsafe): one thread
}

int service_environment_take(const char *path, struct err *err)
{
    struct buf text;
    char *rest = NULL;
    buf_init(&text, 1 * MIB);
    int code = file_read_any(path, &text, err);
    if (!code && text.size) {
        for (char *line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            take_line(line);
    }
    buf_free(&text);
    return code;
}
