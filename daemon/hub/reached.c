#include "daemon/hub/reached.h"

#include "daemon/base/file.h"
#include "daemon/base/limits.h"

#include <stdlib.h>
#include <string.h>

#define FILE_NAME "hub-reached"

int reached_read(const char *state_folder, const char *endpoint)
{
    struct err ignored = ERR_INIT;
    struct buf text;
    char *path = file_join(state_folder, FILE_NAME);
    buf_init(&text, LIMIT_URL_BYTES);
    int is_it = path && file_read(path, &text, &ignored) == 0 && text.size == strlen(endpoint) + 1 &&
                strncmp(buf_text(&text), endpoint, text.size - 1) == 0;
    buf_free(&text);
    free(path);
    return is_it;
}

void reached_write(const char *state_folder, const char *endpoint)
{
    struct err ignored = ERR_INIT;
    struct buf text;
    char *path = file_join(state_folder, FILE_NAME);
    buf_init(&text, LIMIT_URL_BYTES);
    (void)buf_appendf(&text, "%s\n", endpoint);
    if (path && buf_check(&text, FILE_NAME, &ignored) == 0)
        (void)file_write_atomic(path, buf_text(&text), text.size, 0644, &ignored);
    buf_free(&text);
    free(path);
}
