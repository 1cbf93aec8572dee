#include "daemon/hub/reached.h"

#include "daemon/base/file.h"
#include "daemon/base/limits.h"

#include <stdlib.h>
#include <string.h>

#define FILE_NAME "hub-reached"
#define FILE_BYTES_MAX (32 * LIMIT_URL_BYTES)

int reached_read(const char *state_folder, const char *endpoint, void (*take)(void *context, const char *url),
                 void *context)
{
    struct err ignored = ERR_INIT;
    struct buf text;
    char *path = file_join(state_folder, FILE_NAME), *rest = NULL;
    size_t length = strlen(endpoint);
    buf_init(&text, FILE_BYTES_MAX);
    int is_it = path && file_read(path, &text, &ignored) == 0 && text.size > length &&
                memcmp(text.data, endpoint, length) == 0 && text.data[length] == '\n';
    if (is_it) {
        for (const char *line = strtok_r(text.data + length, "\n", &rest); line;
             line = strtok_r(NULL, "\n", &rest)) {
            if (strlen(line) < LIMIT_URL_BYTES)
                take(context, line);
        }
    }
    buf_free(&text);
    free(path);
    return is_it;
}

void reached_write(const char *state_folder, const char *endpoint, const char *urls)
{
    struct err ignored = ERR_INIT;
    struct buf text;
    char *path = file_join(state_folder, FILE_NAME);
    buf_init(&text, FILE_BYTES_MAX);
    (void)buf_appendf(&text, "%s\n%s", endpoint, urls);
    if (path && buf_check(&text, FILE_NAME, &ignored) == 0)
        (void)file_write_atomic(path, buf_text(&text), text.size, 0644, &ignored);
    buf_free(&text);
    free(path);
}
