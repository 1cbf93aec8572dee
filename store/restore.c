#include "store/restore.h"

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "store/backup_parts.h"
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESTORED ".restored" /* follows the name of a copy that is whole and waits for its place */

/* The present database becomes one file without a log. A damaged one keeps its log, under the new name. */
static void fold_log(const char *path)
{
    struct connection *connection = NULL;
    struct err ignored = ERR_INIT;
    if (connection_open(path, 1, &connection, &ignored) == 0)
        (void)sqlite3_wal_checkpoint_v2(connection->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    connection_close(connection);
}

/* The name under which the present database is kept: of the moment in which the copy was whole, which is the
 * copy's time, so that whoever goes on with a restore finds the same one. */
static int name_aside(const char *path, const char *copy, char **ret_aside, struct err *err)
{
    char time[CLOCK_TEXT_SIZE], suffix[CLOCK_TEXT_SIZE + 16];
    struct stat info;
    if (stat(copy, &info))
        return err_set_errno(err, errno, "%s", copy);
    clock_format((int64_t)info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1000000, time, sizeof time);
    (void)snprintf(suffix, sizeof suffix, ".before-%s", time);
    *ret_aside = backup_suffixed(path, suffix);
    return *ret_aside ? 0 : err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
}

static int move_if_there(const char *path, const char *aside, const char *suffix, struct err *err)
{
    char *from = backup_suffixed(path, suffix), *to = backup_suffixed(aside, suffix);
    int code = from && to ? 0 : err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    if (!code && file_exists(from) && backup_name_file(from, to, err))
        code = err_wrap(err, "%s cannot be kept", from);
    free(from);
    free(to);
    return code;
}

/* Each step may have been done before. A log is moved after its database, and that is synced before another
 * database takes the name: so nothing ever reads a database without its log, or with another's. */
static int put_in_place(const char *path, const char *copy, const char *aside, struct err *err)
{
    int code = move_if_there(path, aside, "", err);
    if (!code && !(code = move_if_there(path, aside, "-wal", err)))
        code = move_if_there(path, aside, "-shm", err);
    if (!code && !(code = backup_sync_folder_of(path, err)) && rename(copy, path))
        code = err_set_errno(err, errno, "%s", path);
    return code;
}

/* All is in its place; only the disk may not know it yet. If power fails before it does, the copy waits for
 * its place once more. */
static int settle(const char *path, struct err *err)
{
    if (backup_sync_folder_of(path, err))
        return err_wrap(
            err,
            "%s is the restored database now, but it is not certain that the disk has that: check "
            "the disk; nothing is to be restored again",
            path);
    return 0;
}

int restore_is_pending(const char *path)
{
    char *copy = backup_suffixed(path, RESTORED);
    int is_there = copy && file_exists(copy);
    free(copy);
    return is_there;
}

int restore_check_pending(const char *path, struct err *err)
{
    return restore_is_pending(path)
               ? err_set(
                     err, ERR_CONFLICT,
                     "database %s: its restore was cut off and waits to be finished: start the daemon, which "
                     "does that, or restore once more",
                     path)
               : 0;
}

/* What a killed copy left behind, which may be as large as a database. */
static void drop_piece(const char *path)
{
    static const char *const suffixes[] = {BACKUP_PART, BACKUP_PART "-journal", BACKUP_PART "-wal",
                                           BACKUP_PART "-shm"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char *piece = backup_suffixed(path, suffixes[i]);
        if (piece && file_exists(piece))
            (void)unlink(piece);
        free(piece);
    }
}

int restore_finish(const char *path, struct err *err)
{
    char *aside = NULL, *copy = backup_suffixed(path, RESTORED);
    drop_piece(path);
    int code = copy ? 0 : err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    if (!code && file_exists(copy)) {
        code = name_aside(path, copy, &aside, err);
        if (!code)
            code = put_in_place(path, copy, aside, err);
        code = code ? err_wrap(err, "a restore that was interrupted cannot be finished") : settle(path, err);
    }
    free(aside);
    free(copy);
    return code;
}

/* Makes the checked copy at `part` the one that is to be put in place, whatever happens to this process. */
static int promise(const char *part, const char *copy, struct err *err)
{
    int64_t now_ms = clock_wall_ms();
    struct timespec time = {.tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000};
    struct timespec times[2] = {time, time};
    if (utimensat(AT_FDCWD, part, times, 0) || rename(part, copy))
        return err_set_errno(err, errno, "%s", copy);
    return backup_sync_folder_of(copy, err);
}

static int replace(const char *path, const char *part, const char *copy, char **ret_aside, struct err *err)
{
    char *aside = NULL;
    if (file_exists(path))
        fold_log(path);
    int code = promise(part, copy, err);
    if (!code)
        code = name_aside(path, copy, &aside, err);
    if (!code)
        code = put_in_place(path, copy, aside, err);
    int is_aside = aside && file_exists(aside);
    if (code && is_aside && !file_exists(path)) {
        code = err_wrap(err, "the next start finishes the restore");
    } else if (code) { /* all is as it was */
        (void)unlink(part);
        (void)unlink(copy);
    } else {
        if (is_aside) {
            *ret_aside = aside;
            aside = NULL;
        }
        code = settle(path, err);
    }
    free(aside);
    return code;
}

int restore_database(const char *source, const char *path, backup_progress *progress, void *context,
                     struct backup_facts *ret_facts, char **ret_aside, struct err *err)
{
    /* Versions count on from the copy's, so ETags of another past must not fit: a new instance. */
    static const char PREPARE[] = "UPDATE store SET instance = lower(hex(randomblob(16))) WHERE id = 1";
    int fd = -1;
    struct connection *from = NULL;
    char *part = backup_suffixed(path, BACKUP_PART), *restored = backup_suffixed(path, RESTORED);
    int code =
        part && restored ? lock_take(path, &fd, err) : err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    if (!code)
        code = restore_finish(path, err);
    if (!code)
        code = backup_open_snapshot(source, &from, err);
    if (!code)
        code = backup_copy(from, part, PREPARE, progress, context, ret_facts, NULL, err);
    if (!code)
        code = replace(path, part, restored, ret_aside, err);
    if (fd >= 0)
        (void)close(fd);
    free(restored);
    free(part);
    return code;
}
