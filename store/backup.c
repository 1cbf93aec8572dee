#include "store/backup_parts.h"

#include "daemon/base/file.h"
#include "store/damage.h"
#include "store/lock.h"
#include "store/query.h"
#include "store/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES_PER_STEP 4096

/* -- What a database holds ------------------------------------------------------------------------------- */

static int read_facts(struct connection *connection, struct backup_facts *facts, struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, connection,
                    "SELECT (SELECT user_version FROM pragma_user_version), "
                    "(SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size), "
                    "(SELECT count(*) FROM models), "
                    "(SELECT count(*) FROM revisions WHERE is_current = 1), "
                    "(SELECT count(*) FROM revision_tensors t JOIN revisions r ON r.id = t.revision_id "
                    "WHERE r.is_current = 1), (SELECT count(*) FROM sweeps)",
                    err);
    if (!code && (code = query_next(&query, err)) > 0) {
        facts->schema_version = query_int(&query);
        facts->size_bytes = query_int(&query);
        facts->models = query_int(&query);
        facts->revisions = query_int(&query);
        facts->measured = query_int(&query);
        facts->sweeps = query_int(&query);
    }
    code = query_end(&query, code);
    return code < 0 ? code : damage_count(connection, &facts->damaged, err);
}

/* One of this program's, of a schema that it knows, and not empty. */
static int check_origin(struct connection *connection, const char *path, struct err *err)
{
    int64_t version = 0;
    int code = migrate_check(connection, &version, err);
    if (!code && version == 0)
        code = err_set(err, ERR_DATABASE, "%s: is an empty database and no backup", path);
    return code;
}

/* For a connection that is not the store's own. */
static int open_existing(const char *path, struct connection **ret_connection, struct err *err)
{
    if (access(path, R_OK))
        return err_set_errno(err, errno, "database %s", path);
    int code = connection_open(path, 0, ret_connection, err);
    if (!code && (code = check_origin(*ret_connection, path, err))) {
        connection_close(*ret_connection);
        *ret_connection = NULL;
    }
    return code;
}

int backup_check(const char *path, struct backup_facts *ret_facts, struct err *err)
{
    struct connection *connection = NULL;
    int code = open_existing(path, &connection, err);
    if (!code)
        code = connection_check(connection, err);
    if (!code)
        code = read_facts(connection, ret_facts, err);
    connection_close(connection);
    return code;
}

/* -- Copying --------------------------------------------------------------------------------------------- */

int backup_open_snapshot(const char *path, struct connection **ret_connection, struct err *err)
{
    int code = open_existing(path, ret_connection, err);
    if (!code)
        code = connection_exec(*ret_connection, "BEGIN", err);
    if (!code) /* the read that begins it */
        code = connection_exec(*ret_connection, "SELECT count(*) FROM sqlite_schema", err);
    if (code) {
        connection_close(*ret_connection);
        *ret_connection = NULL;
    }
    return code;
}

/* The same of a daemon's database, which nobody moves between the opening of the file and that of its log.
 * Later SQLite has both open and needs no names. */
static int open_snapshot_beside(const char *path, struct connection **ret_connection, struct err *err)
{
    int fd = -1, code = lock_take_shared(path, &fd, err);
    if (!code)
        code = restore_check_pending(path, err);
    if (!code)
        code = backup_open_snapshot(path, ret_connection, err);
    if (fd >= 0)
        (void)close(fd);
    return code;
}

static int copy_pages(struct connection *from, struct connection *to, backup_progress *progress,
                      void *context, struct err *err)
{
    int64_t page_bytes = 0;
    struct query query;
    int code = query_begin(&query, from, "SELECT page_size FROM pragma_page_size", err);
    if (!code)
        code = query_run_int(&query, &page_bytes, err);
    if (code < 0)
        return code;
    code = 0;
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
        code = connection_fail(to, result, err);
    if (!sqlite3_get_autocommit(from->db))
        (void)sqlite3_exec(from->db, "COMMIT", NULL, NULL, NULL);
    return code;
}

/* Makes the file, readable by its owner alone: SQLite would let the umask decide. A piece of an earlier copy
 * that was broken off is replaced, and so is one that another process is writing: a lock would tell them
 * apart, but network file systems do not tell it from SQLite's own. The caller closes *ret_fd, once nothing
 * is left to compare: as long as it is open, no other file has the inode. */
static int make_file(const char *path, int *ret_fd, struct err *err)
{
    if (unlink(path) && errno != ENOENT)
        return err_set_errno(err, errno, "%s", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "%s", path);
    *ret_fd = fd;
    return 0;
}

static int is_same(const struct stat *one, const struct stat *two)
{
    return one->st_dev == two->st_dev && one->st_ino == two->st_ino;
}

/* Whether the file that was made is no longer the one under this name. */
static int is_replaced(const char *path, int fd)
{
    struct stat made, found;
    if (lstat(path, &found))
        return errno == ENOENT;
    return fstat(fd, &made) || !is_same(&found, &made);
}

static int refuse_replaced(const char *path, struct err *err)
{
    return err_set(err, ERR_CONFLICT,
                   "%s: another process began the same copy meanwhile, or took this one away", path);
}

int backup_sync_folder_of(const char *path, struct err *err)
{
    char *copy = strdup(path);
    if (!copy)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC), code = 0;
    if (fd < 0 || fsync(fd))
        code = err_set_errno(err, errno, "folder of %s", path);
    if (fd >= 0)
        (void)close(fd);
    free(copy);
    return code;
}

int backup_copy(struct connection *from, const char *target, const char *prepare, backup_progress *progress,
                void *context, struct backup_facts *facts, int *ret_fd, struct err *err)
{
    struct connection *to = NULL;
    int fd = -1, code = make_file(target, &fd, err);
    if (code) {
        connection_close(from);
        return code;
    }
    if ((code = connection_open_plain(target, &to, err)) ||
        (code = copy_pages(from, to, progress, context, err)))
        goto out;
    connection_close(from); /* before the long check, since its snapshot keeps the log from being reset */
    from = NULL;
    /* One file instead of one and a log; this also writes and syncs it. */
    if ((code = connection_exec(to, "PRAGMA journal_mode = DELETE", err)) ||
        (prepare && (code = connection_exec(to, prepare, err))) || (code = connection_check(to, err)))
        goto out;
    code = read_facts(to, facts, err);
out:
    connection_close(from);
    connection_close(to);
    if (is_replaced(target, fd)) /* whatever else went wrong came from that */
        code = refuse_replaced(target, err);
    else if (code)
        (void)unlink(target);
    if (!code && ret_fd)
        *ret_fd = fd;
    else
        (void)close(fd);
    return code;
}

char *backup_suffixed(const char *path, const char *suffix)
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
    return lstat(path, &one) == 0 && lstat(other, &two) == 0 && is_same(&one, &two);
}

int backup_name_file(const char *part, const char *target, struct err *err)
{
    if (renameat2(AT_FDCWD, part, AT_FDCWD, target, RENAME_NOREPLACE) == 0)
        return 0;
    int failure = errno;
    if (failure == EINVAL) { /* some file systems know links, but not this flag */
        failure = link(part, target) == 0 ? 0 : errno;
        /* One may be there from a try that was killed. */
        if (failure == 0 || (failure == EEXIST && is_same_file(part, target)))
            return unlink(part) ? err_set_errno(err, errno, "%s", part) : 0;
    }
    if (failure == EEXIST)
        return err_set(err, ERR_CONFLICT,
                       "%s: was created by another process meanwhile: move it away, or name another file",
                       target);
    return err_set_errno(err, failure, "%s", target);
}

int backup_write(const char *path, const char *target, backup_progress *progress, void *context,
                 struct backup_facts *ret_facts, struct err *err)
{
    int code = 0, fd = -1;
    struct connection *from = NULL;
    struct err ignored = ERR_INIT;
    char *part = backup_suffixed(target, BACKUP_PART);
    if (!part)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", target);
    if (file_exists(target))
        code = err_set(err, ERR_CONFLICT, "%s: exists already: name another file", target);
    if (!code)
        code = open_snapshot_beside(path, &from, err);
    if (!code)
        code = backup_copy(from, part, NULL, progress, context, ret_facts, &fd, err);
    if (!code && (code = backup_name_file(part, target, err))) {
        (void)unlink(part);
    } else if (!code && is_replaced(target, fd)) {      /* since backup_copy() looked */
        (void)backup_name_file(target, part, &ignored); /* where the other looks for it */
        code = refuse_replaced(part, err);
    }
    if (!code)
        code = backup_sync_folder_of(target, err);
    if (fd >= 0)
        (void)close(fd);
    free(part);
    return code;
}
