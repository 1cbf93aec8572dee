#include "daemon/hub/walk.h"

#include "daemon/base/file.h"
#include "daemon/base/limits.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

struct walk {
    walk_visit *visit;
    void *context;
    int entries_left;
};

static int walk_folder(struct walk *walk, const char *folder, const char *relative, int depth_left,
                       struct err *err);

static int walk_entry(struct walk *walk, const char *path, const char *name, int depth_left, struct err *err)
{
    struct stat status;
    if (walk->entries_left-- == 0)
        return err_set(err, ERR_LIMIT,
                       "%s: the files and folders below the top, with what links lead to, are more than the "
                       "limit of %d: do links lead in a circle?",
                       path, LIMIT_FOLDER_ENTRIES);
    if (stat(path, &status) != 0)
        return 0;
    if (S_ISDIR(status.st_mode) && depth_left > 0)
        return walk_folder(walk, path, name, depth_left - 1, err);
    return S_ISREG(status.st_mode) ? walk->visit(walk->context, path, name, &status, err) : 0;
}

static int walk_folder(struct walk *walk, const char *folder, const char *relative, int depth_left,
                       struct err *err)
{
    int code = 0;
    DIR *stream = opendir(folder);
    if (!stream)
        return 0;
    for (struct dirent *entry = readdir(stream); entry && !code; entry = readdir(stream)) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = file_join(folder, entry->d_name);
        char *name = relative[0] ? file_join(relative, entry->d_name) : strdup(entry->d_name);
        code = path && name ? walk_entry(walk, path, name, depth_left, err)
                            : err_set(err, ERR_NO_MEMORY, "%s: out of memory", folder);
        free(path);
        free(name);
    }
    (void)closedir(stream);
    return code;
}

int walk_files(const char *folder, int depth_max, walk_visit *visit, void *context, struct err *err)
{
    struct walk walk = {.visit = visit, .context = context, .entries_left = LIMIT_FOLDER_ENTRIES};
    return walk_folder(&walk, folder, "", depth_max, err);
}
