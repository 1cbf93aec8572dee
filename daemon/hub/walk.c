#include "daemon/hub/walk.h"

#include "daemon/base/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static int walk(const char *folder, const char *relative, int depth_left, walk_visit *visit, void *context,
                struct err *err)
{
    int code = 0;
    DIR *stream = opendir(folder);
    if (!stream)
        return 0;
    for (struct dirent *entry = readdir(stream); entry && !code; entry = readdir(stream)) {
        struct stat status;
        if (entry->d_name[0] == '.')
            continue;
        char *path = file_join(folder, entry->d_name);
        char *name = relative[0] ? file_join(relative, entry->d_name) : strdup(entry->d_name);
        if (!path || !name)
            code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", folder);
        else if (stat(path, &status) != 0)
            code = 0;
        else if (S_ISDIR(status.st_mode) && depth_left > 0)
            code = walk(path, name, depth_left - 1, visit, context, err);
        else if (S_ISREG(status.st_mode))
            code = visit(context, path, name, &status, err);
        free(path);
        free(name);
    }
    (void)closedir(stream);
    return code;
}

int walk_files(const char *folder, int depth_max, walk_visit *visit, void *context, struct err *err)
{
    return walk(folder, "", depth_max, visit, context, err);
}
