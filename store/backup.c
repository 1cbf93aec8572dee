#include "store/backup.h"

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "store/connection.h"
#include "store/lock.h"
#include "store/query.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES_PER_STEP 4096
#define PART ".part"         /* follows the name of a copy that is being made */
#define RESTORED ".restored" /* follows the name of a copy that is whole and waits for its place */

/* -- What a database holds ------------------------------------------------------------------------------- */

static int read_facts(struct connection *connection, struct backup_facts *facts, struct err *err)
{
    struct query query;
    int rc =
        query_begin(&query, connection,
                    "SELECT (SELECT user_version FROM pragma_user_version), "
                    "(SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size), "
                    "(SELECT count(*) FROM models), "
                    "(SELECT count(*) FROM revisions WHERE is_current = 1), "
                    "(SELECT count(*) FROM revision_tensors t JOIN revisions r ON r.id = t.revision_id "
                    "WHERE r.is_current = 1), (SELECT count(*) FROM sweeps)",
                    err);
    if (!rc && (rc = query_next(&query, err)) > 0) {
        facts->schema_version = query_int(&query);
        facts->size_bytes = query_int(&query);
        facts->models = query_int(&query);
        facts->revisions = query_int(&query);
        facts->measured = query_int(&query);
        facts->sweeps = query_int(&query);
    }
    rc = query_end(&query, rc);
    return rc < 0 ? rc : 0;
}

/* One of this program's, of a schema that it knows, and not empty. */
static int check_origin(struct connection *connection, const char *path, struct err *err)
{
    int64_t version = 0;
    int rc = migrate_check(connection, &version, err);
    if (!rc && version == 0)
        rc = err_set(err, ERR_DATABASE, "%s: is an empty database and no backup", path);
    return rc;
}

/* For a connection that is not the store's own. */
static int open_existing(const char *path, struct connection **ret_connection, struct err *err)
{
    if (access(path, R_OK))
        return err_set_errno(err, errno, "database %s", path);
    int rc = connection_open(path, 0, ret_connection, err);
    if (!rc && (rc = check_origin(*ret_connection, path, err))) {
        connection_close(*ret_connection);
        *ret_connection = NULL;
    }
    return rc;
}

int backup_read_facts(const char *path, struct backup_facts *ret_facts, struct err *err)
{
    struct connection *connection = NULL;
    int rc = open_existing(path, &connection, err);
    if (!rc)
        rc = read_facts(connection, ret_facts, err);
    connection_close(connection);
    return rc;
}

int backup_check(const char *path, struct backup_facts *ret_facts, struct err *err)
{
    struct connection *connection = NULL;
    int rc = open_existing(path, &connection, err);
    if (!rc)
        rc = connection_check(connection, err);
    if (!rc)
        rc = read_facts(connection, ret_facts, err);
    connection_close(connection);
    return rc;
}

/* -- Copying --------------------------------------------------------------------------------------------- */

/* A transaction holds the snapshot, so that no writer makes the copy begin anew. */
static int open_snapshot(const char *path, struct connection **ret_connection, struct err *err)
{
    int rc = open_existing(path, ret_connection, err);
    if (!rc)
        rc = connection_exec(*ret_connection, "BEGIN", err);
    if (!rc) /* the read that begins it */
        rc = connection_exec(*ret_connection, "SELECT count(*) FROM sqlite_schema", err);
    if (rc) {
        connection_close(*ret_connection);
        *ret_connection = NULL;
    }
    return rc;
}

/* The same of a daemon's database, which nobody moves between the opening of the file and that of its log.
 * Later SQLite has both open and needs no names. */
static int open_snapshot_beside(const char *path, struct connection **ret_connection, struct err *err)
{
    int fd = -1, rc = lock_take_beside(path, &fd, err);
    if (!rc)
        rc = backup_check_restored(path, err);
    if (!rc)
        rc = open_snapshot(path, ret_connection, err);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

static int copy_pages(struct connection *from, struct connection *to, backup_progress *progress,
                      void *context, struct err *err)
{
    int64_t page_bytes = 0;
    struct query query;
    int rc = query_begin(&query, from, "SELECT page_size FROM pragma_page_size", err);
    if (!rc)
        rc = query_run_int(&query, &page_bytes, err);
    if (rc < 0)
        return rc;
    rc = 0;
    sqlite3_backup *backup = sqlite3_backup_init(to->db, "main", from->db, "main");
    if (!backup)
        return connection_fail(to, sqlite3_extended_errcode(to->db), err);
    int result;
    do {
        result = sqlite3_backup_step(backup, PAGES_PER_STEP);
        int64_t total = sqlite3_backup_pagecount(backup);
        if (progress)
            progress(context, (total - sqlite3_backup_remaining(backup)) * page_bytes, total * page_bytes);
    } while (result == SQLITE_OK);
    int reason = errno;
    (void)sqlite3_backup_finish(backup); /* from then on the connection has the words for it */
    errno = reason;
    if (result != SQLITE_DONE)
        rc = connection_fail(to, result, err);
    if (!sqlite3_get_autocommit(from->db))
        (void)sqlite3_exec(from->db, "COMMIT", NULL, NULL, NULL);
    return rc;
}

/* Makes the file, readable by its owner alone: SQLite would let the umask decide. A piece of an earlier copy
 * that was broken off is replaced. */
static int make_file(const char *path, struct err *err)
{
    if (unlink(path) && errno != ENOENT)
        return err_set_errno(err, errno, "%s", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "%s", path);
    (void)close(fd);
    return 0;
}

static int sync_folder_of(const char *path, struct err *err)
{
    char *copy = strdup(path);
    if (!copy)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    if (fd < 0 || fsync(fd))
        rc = err_set_errno(err, errno, "folder of %s", path);
    if (fd >= 0)
        (void)close(fd);
    free(copy);
    return rc;
}

/* Copies the snapshot `from`, which it closes, to the new file `target`, runs `prepare` (or NULL) on the
 * copy, and checks it. */
static int copy(struct connection *from, const char *target, const char *prepare, backup_progress *progress,
                void *context, struct backup_facts *facts, struct err *err)
{
    struct connection *to = NULL;
    int rc;
    if ((rc = make_file(target, err)) || (rc = connection_open_plain(target, &to, err)) ||
        (rc = copy_pages(from, to, progress, context, err)))
        goto out;
    connection_close(from); /* before the long check, since its snapshot keeps the log from being reset */
    from = NULL;
    /* One file instead of one and a log; this also writes and syncs it. */
    if ((rc = connection_exec(to, "PRAGMA journal_mode = DELETE", err)) ||
        (prepare && (rc = connection_exec(to, prepare, err))) || (rc = connection_check(to, err)))
        goto out;
    rc = read_facts(to, facts, err);
out:
    connection_close(from);
    connection_close(to);
    if (rc)
        (void)unlink(target);
    return rc;
}

/* "path<suffix>"; NULL without memory. */
static char *suffixed(const char *path, const char *suffix)
{
    size_t size = strlen(path) + strlen(suffix) + 1;
    char *text = malloc(size);
    if (text)
        (void)snprintf(text, size, "%s%s", path, suffix);
    return text;
}

static int is_same_file(const char *path, const char *other)
{
    struct stat one, two;
    return lstat(path, &one) == 0 && lstat(other, &two) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

/* Gives the file its name, unless something got that name meanwhile. */
static int name_file(const char *part, const char *target, struct err *err)
{
    if (renameat2(AT_FDCWD, part, AT_FDCWD, target, RENAME_NOREPLACE) == 0)
        return 0;
    /* Some file systems know links, but not this flag; one may be there from a try that was killed. */
    if (errno == EINVAL && (link(part, target) == 0 || (errno == EEXIST && is_same_file(part, target))))
        return unlink(part) ? err_set_errno(err, errno, "%s", part) : 0;
    if (errno == EEXIST)
        return err_set(err, ERR_CONFLICT,
                       "%s: was made by somebody else meanwhile: move it away, or name another file", target);
    return err_set_errno(err, errno, "%s", target);
}

int backup_write(const char *path, const char *target, backup_progress *progress, void *context,
                 struct backup_facts *ret_facts, struct err *err)
{
    int rc = 0;
    struct connection *from = NULL;
    char *part = suffixed(target, PART);
    if (!part)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", target);
    if (file_exists(target))
        rc = err_set(err, ERR_CONFLICT, "%s: exists already: name another file", target);
    if (!rc)
        rc = open_snapshot_beside(path, &from, err);
    if (!rc)
        rc = copy(from, part, NULL, progress, context, ret_facts, err);
    if (!rc && (rc = name_file(part, target, err)))
        (void)unlink(part);
    if (!rc)
        rc = sync_folder_of(target, err);
    free(part);
    return rc;
}

/* -- Putting back ---------------------------------------------------------------------------------------- */

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
    *ret_aside = suffixed(path, suffix);
    return *ret_aside ? 0 : err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
}

static int move_if_there(const char *path, const char *aside, const char *suffix, struct err *err)
{
    char *from = suffixed(path, suffix), *to = suffixed(aside, suffix);
    int rc = from && to ? 0 : err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    if (!rc && file_exists(from) && name_file(from, to, err))
        rc = err_wrap(err, "%s cannot be kept", from);
    free(from);
    free(to);
    return rc;
}

/* Each step may have been made before. A log goes after its database and is gone, also from the disk, before
 * another database gets that name: so nothing ever reads a database without its log, or with another's. */
static int put_in_place(const char *path, const char *copy, const char *aside, struct err *err)
{
    int rc = move_if_there(path, aside, "", err);
    if (!rc && !(rc = move_if_there(path, aside, "-wal", err)))
        rc = move_if_there(path, aside, "-shm", err);
    if (!rc && !(rc = sync_folder_of(path, err)) && rename(copy, path))
        rc = err_set_errno(err, errno, "%s", path);
    return rc;
}

/* All is in its place; only the disk may not know it yet. If power fails before it does, the copy waits for
 * its place once more. */
static int settle(const char *path, struct err *err)
{
    if (sync_folder_of(path, err))
        return err_wrap(
            err,
            "%s is the restored database now, but it is not certain that the disk has that: check "
            "the disk; nothing is to be restored again",
            path);
    return 0;
}

int backup_is_restoring(const char *path)
{
    char *copy = suffixed(path, RESTORED);
    int is_there = copy && file_exists(copy);
    free(copy);
    return is_there;
}

int backup_check_restored(const char *path, struct err *err)
{
    return backup_is_restoring(path)
               ? err_set(
                     err, ERR_CONFLICT,
                     "database %s: its restore was cut off and waits to be finished: start the daemon, which "
                     "does that, or restore once more",
                     path)
               : 0;
}

/* What a copy that was killed has left, which may be as large as a database. */
static void drop_piece(const char *path)
{
    static const char *const suffixes[] = {PART, PART "-journal", PART "-wal", PART "-shm"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char *piece = suffixed(path, suffixes[i]);
        if (piece && file_exists(piece))
            (void)unlink(piece);
        free(piece);
    }
}

int backup_finish_restore(const char *path, struct err *err)
{
    char *aside = NULL, *copy = suffixed(path, RESTORED);
    drop_piece(path);
    int rc = copy ? 0 : err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    if (!rc && file_exists(copy)) {
        rc = name_aside(path, copy, &aside, err);
        if (!rc)
            rc = put_in_place(path, copy, aside, err);
        rc = rc ? err_wrap(err, "a restore that was interrupted cannot be finished") : settle(path, err);
    }
    free(aside);
    free(copy);
    return rc;
}

/* Makes the checked copy at `part` the one that is to be put in place, whatever happens to this process. */
static int promise(const char *part, const char *copy, struct err *err)
{
    int64_t now_ms = clock_wall_ms();
    struct timespec time = {.tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000};
    struct timespec times[2] = {time, time};
    if (utimensat(AT_FDCWD, part, times, 0) || rename(part, copy))
        return err_set_errno(err, errno, "%s", copy);
    return sync_folder_of(copy, err);
}

static int replace(const char *path, const char *part, const char *copy, char **ret_aside, struct err *err)
{
    char *aside = NULL;
    if (file_exists(path))
        fold_log(path);
    int rc = promise(part, copy, err);
    if (!rc)
        rc = name_aside(path, copy, &aside, err);
    if (!rc)
        rc = put_in_place(path, copy, aside, err);
    int is_aside = aside && file_exists(aside);
    if (rc && is_aside && !file_exists(path)) {
        rc = err_wrap(err, "the next start finishes the restore");
    } else if (rc) { /* all is as it was */
        (void)unlink(part);
        (void)unlink(copy);
    } else {
        if (is_aside) {
            *ret_aside = aside;
            aside = NULL;
        }
        rc = settle(path, err);
    }
    free(aside);
    return rc;
}

int backup_restore(const char *source, const char *path, backup_progress *progress, void *context,
                   struct backup_facts *ret_facts, char **ret_aside, struct err *err)
{
    /* Versions count on from the copy's, so ETags of another past must not fit: a new instance. */
    static const char PREPARE[] = "UPDATE store SET instance = lower(hex(randomblob(16))) WHERE id = 1";
    int fd = -1;
    struct connection *from = NULL;
    char *part = suffixed(path, PART), *restored = suffixed(path, RESTORED);
    int rc =
        part && restored ? lock_take(path, &fd, err) : err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    if (!rc)
        rc = backup_finish_restore(path, err);
    if (!rc)
        rc = open_snapshot(source, &from, err);
    if (!rc)
        rc = copy(from, part, PREPARE, progress, context, ret_facts, err);
    if (!rc)
        rc = replace(path, part, restored, ret_aside, err);
    if (fd >= 0)
        (void)close(fd);
    free(restored);
    free(part);
    return rc;
}
