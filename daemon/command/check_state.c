/* The state folder, its disk, and the database. */
#include "daemon/base/file.h"
#include "daemon/command/check.h"
#include "store/backup.h"
#include "store/place.h"
#include "store/restore.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SPACE_ERROR_BYTES UINT64_C(64000000)
#define SPACE_WARNING_BYTES UINT64_C(2000000000) /* the distributions of 61 runs need 1.6 GB */

long check_running_daemon(const struct options *options)
{
    char text[32] = "";
    long process = 0;
    char *path = file_join(options->state, STORE_LOCK_NAME);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    free(path);
    if (fd < 0)
        return 0;
    if (flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK && pread(fd, text, sizeof text - 1, 0) > 0)
        process = strtol(text, NULL, 10);
    (void)close(fd);
    return process;
}

char *check_existing_folder(const char *wanted)
{
    char *path = strdup(wanted);
    while (path && !file_exists(path)) {
        char *slash = strrchr(path, '/');
        if (!slash) { /* relative to where it was started */
            free(path);
            return strdup(".");
        }
        if (slash == path) {
            path[1] = 0;
            break;
        }
        *slash = 0;
    }
    return path;
}

static void check_network(const char *folder, struct check_report *report)
{
    const char *system = file_network_system(folder);
    if (system)
        check_add(report, CHECK_LEVEL_WARNING, "disk",
                  "%s is on a network file system (%s), where a database can be damaged: name a local folder "
                  "with state",
                  folder, system);
}

static void check_space(const char *folder, struct check_report *report)
{
    struct statvfs info;
    if (statvfs(folder, &info)) {
        check_add(report, CHECK_LEVEL_WARNING, "disk", "%s: cannot tell its free space: %s", folder,
                  strerror(errno)); // NOLINT(concurrency-mt-unsafe): one thread
        return;
    }
    uint64_t free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    if (info.f_files && info.f_favail == 0)
        check_add(report, CHECK_LEVEL_ERROR, "disk", "%s: no inodes are left: delete files", folder);
    else if (free_bytes < SPACE_ERROR_BYTES)
        check_add(report, CHECK_LEVEL_ERROR, "disk",
                  "%s: only %.1f MB are free: free space, or name another "
                  "folder with state",
                  folder, (double)free_bytes / 1e6);
    else if (free_bytes < SPACE_WARNING_BYTES)
        check_add(report, CHECK_LEVEL_WARNING, "disk",
                  "%s: %.1f GB are free; results of large sweeps may need "
                  "2 GB",
                  folder, (double)free_bytes / 1e9);
    else
        check_add(report, CHECK_LEVEL_OK, "disk", "%s: %.1f GB are free", folder, (double)free_bytes / 1e9);
}

static void check_database(const char *path, struct check_report *report)
{
    struct stat info;
    struct backup_facts facts;
    struct err err = ERR_INIT;
    if (restore_is_pending(path)) {
        check_add(report, CHECK_LEVEL_WARNING, "database",
                  "a restore was interrupted: the daemon finishes it when it starts");
        return;
    }
    if (!file_exists(path)) {
        check_add(report, CHECK_LEVEL_OK, "database", "there is none yet; the daemon makes it");
        return;
    }
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 0) {
        check_add(report, CHECK_LEVEL_WARNING, "database",
                  "%s has no bytes: the daemon starts anew in it; if it had results, restore a backup", path);
        return;
    }
    if (backup_check(path, &facts, &err)) {
        check_add(report, CHECK_LEVEL_ERROR, "database", "%s", err.message);
        return;
    }
    check_add(report, CHECK_LEVEL_OK, "database",
              "%s: whole; %.1f MB, %" PRId64 " %s, %" PRId64 " %s, %" PRId64 " %s, %" PRId64 " %s", path,
              (double)facts.size_bytes / 1e6, facts.models, facts.models == 1 ? "model" : "models",
              facts.revisions, facts.revisions == 1 ? "revision" : "revisions", facts.measured,
              facts.measured == 1 ? "measured tensor" : "measured tensors", facts.sweeps,
              facts.sweeps == 1 ? "sweep" : "sweeps");
    if (store_try_lock(path, &err))
        check_add(report, CHECK_LEVEL_ERROR, "database", "%s", err.message);
    if (facts.damaged)
        check_add(report, CHECK_LEVEL_ERROR, "database",
                  "%" PRId64 " large values (distributions, columns, sampled entries) are damaged: restore a "
                  "backup, or stop the daemon and run bifurcated prune, which deletes them; the next sweep "
                  "measures them again. Have the disk looked at",
                  facts.damaged);
    if (facts.schema_version < store_schema_version())
        check_add(report, CHECK_LEVEL_WARNING, "database",
                  "schema %" PRId64 " will be upgraded to %d at the next start: make a backup first",
                  facts.schema_version, store_schema_version());
}

void check_state(const struct options *options, struct check_report *report)
{
    char *folder = check_existing_folder(options->state), *path = file_join(options->state, STORE_FILE_NAME);
    struct stat info;
    struct err err = ERR_INIT;
    if (!folder || !path) {
        check_add(report, CHECK_LEVEL_ERROR, "state", "out of memory");
    } else if (stat(folder, &info) || !S_ISDIR(info.st_mode)) {
        check_add(report, CHECK_LEVEL_ERROR, "state", "%s is not a folder: name another with state", folder);
    } else if (strcmp(folder, options->state) != 0 && access(folder, W_OK | X_OK)) {
        check_add(report, CHECK_LEVEL_ERROR, "state",
                  "%s cannot be made, since user %ld cannot write %s: make it and give it to this user, or "
                  "name another "
                  "folder with state",
                  options->state, (long)geteuid(), folder);
    } else if (strcmp(folder, options->state) == 0 && place_check(path, &err)) {
        check_add(report, CHECK_LEVEL_ERROR, "state", "%s", err.message);
    } else {
        long process = check_running_daemon(options);
        if (process)
            check_add(report, CHECK_LEVEL_OK, "state", "%s is in use by a running daemon (process %ld)",
                      options->state, process);
        else
            check_add(report, CHECK_LEVEL_OK, "state", "%s %s", options->state,
                      strcmp(folder, options->state) == 0 ? "is writable" : "will be made");
        check_network(folder, report);
        check_space(folder, report);
        check_database(path, report);
    }
    free(folder);
    free(path);
}
