#include "daemon/hub/walk.h"

#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct walk {
    walk_visit *visit;
    void *context;
    int entries_left;
};

static int walk_folder(struct walk *walk, const char *folder, const char *relative, int depth_left,
                       struct err *err);

/* Whether what cannot be read for this reason is passed over: 0, or an error. */
static int pass_over(int reason, const char *path, struct err *err)
{
    switch (reason) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case EACCES:
    case EPERM:
        return 0;
    default:
        return err_set_errno(err, reason, "%s: cannot be read", path);
    }
}

static int walk_entry(struct walk *walk, const char *path, const char *name, int depth_left, struct err *err)
{
    struct stat status;
    if (walk->entries_left-- == 0)
        return err_set(err, ERR_LIMIT,
                       "%s: the files and folders below the top, with what links lead to, are more than the "
                       "limit of %d: do links lead in a circle?",
                       path, LIMIT_FOLDER_ENTRIES);
    if (stat(path, &status) != 0)
        return pass_over(errno, path, err);
    if (S_ISDIR(status.st_mode) && depth_left > 0)
        return walk_folder(walk, path, name, depth_left - 1, err);
    return S_ISREG(status.st_mode) ? walk->visit(walk->context, path, name, &status, err) : 0;
}

static int walk_folder(struct walk *walk, const char *folder, const char *relative, int depth_left,
                       struct err *err)
{
    const struct dirent *entry = NULL;
    DIR *stream = opendir(folder);
    if (!stream)
        return pass_over(errno, folder, err);
    int code = walk_next(stream, folder, &entry, err);
    for (; entry && !code; code = code ? code : walk_next(stream, folder, &entry, err)) {
        if (entry->d_name[0] == '.' && strcmp(entry->d_name, ".metadata") != 0)
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

int walk_next(DIR *stream, const char *folder, const struct dirent **ret_entry, struct err *err)
{
    pulse_beat();
    errno = 0;
    *ret_entry = readdir(stream);
    return *ret_entry || errno == 0 ? 0 : err_set_errno(err, errno, "%s: cannot be read to its end", folder);
}

int walk_files(const char *folder, int depth_max, walk_visit *visit, void *context, struct err *err)
{
    struct walk walk = {.visit = visit, .context = context, .entries_left = LIMIT_FOLDER_ENTRIES};
    return walk_folder(&walk, folder, "", depth_max, err);
}
