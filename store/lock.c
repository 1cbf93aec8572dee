#include "store/lock.h"

#include "daemon/base/clock.h"
#include "store/place.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define PATH_SIZE 4096
#define BESIDE_WAIT_MS 10000
#define BESIDE_POLL_MS 10

static int make_path(const char *database_path, char path[PATH_SIZE], struct err *err)
{
    const char *slash = strrchr(database_path, '/');
    int folder = slash ? (int)(slash - database_path) + 1 : 0;
    int length = snprintf(path, PATH_SIZE, "%.*s%s", folder, database_path, STORE_LOCK_NAME);
    if (length < 0 || length >= PATH_SIZE)
        return err_set(err, ERR_LIMIT, "state folder %s: the path is too long", database_path);
    return 0;
}

/* The folder in a path of make_path(), for messages. */
static int folder_size(const char *path)
{
    return (int)(strlen(path) - strlen(STORE_LOCK_NAME));
}

static void read_owner(int fd, char *owner, size_t size)
{
    ssize_t length = pread(fd, owner, size - 1, 0);
    owner[length > 0 ? strspn(owner, "0123456789") : 0] = 0;
    if (!owner[0])
        (void)snprintf(owner, size, "unknown");
}

static int set_byte(int fd, short type)
{
    struct flock byte = {.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &byte) ? errno : 0;
}

static int is_taken(int code)
{
    return code == EAGAIN || code == EACCES;
}

/* Processes that were sharing the lock before release it within moments. */
static int exclude_others(int fd, const char *path, struct err *err)
{
    int64_t end_ms = clock_monotonic_ms() + BESIDE_WAIT_MS;
    int code = set_byte(fd, F_WRLCK);
    while (is_taken(code) && clock_monotonic_ms() < end_ms) {
        clock_sleep_ms(BESIDE_POLL_MS);
        code = set_byte(fd, F_WRLCK);
    }
    if (is_taken(code))
        return err_set(err, ERR_CONFLICT,
                       "state folder %.*s: a command (bifurcated token or check) has been using its database "
                       "for too long: try again once it has ended",
                       folder_size(path), path);
    return code ? err_set_errno(err, code, "state folder: lock %s", path) : 0;
}

int lock_take(const char *database_path, int *ret_fd, struct err *err)
{
    char path[PATH_SIZE], owner[32] = "";
    if (make_path(database_path, path, err) || place_check_folder(database_path, err))
        return err->code;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "state folder: lock %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        int saved = errno;
        read_owner(fd, owner, sizeof owner);
        (void)close(fd);
        if (saved != EWOULDBLOCK)
            return err_set_errno(err, saved, "state folder: lock %s", path);
        return err_set(
            err, ERR_CONFLICT,
            "state folder %.*s is in use by another daemon (process %s): stop it or name another folder",
            folder_size(path) ? folder_size(path) : 1, folder_size(path) ? path : ".", owner);
    }
    if (exclude_others(fd, path, err)) {
        (void)close(fd);
        return err->code;
    }
    char number[32];
    int size = snprintf(number, sizeof number, "%ld\n", (long)getpid());
    /* Only for messages, so a full disk does not prevent taking the lock. */
    if (ftruncate(fd, 0) || pwrite(fd, number, (size_t)size, 0) < 0)
        errno = 0;
    *ret_fd = fd;
    return 0;
}

void lock_share(int fd)
{
    (void)set_byte(fd, F_UNLCK);
}

int lock_take_shared(const char *database_path, int *ret_fd, struct err *err)
{
    char path[PATH_SIZE], owner[32] = "";
    *ret_fd = -1;
    if (make_path(database_path, path, err))
        return err->code;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set_errno(err, errno, "state folder: lock %s", path);
    int code = set_byte(fd, F_RDLCK);
    if (code) {
        read_owner(fd, owner, sizeof owner);
        (void)close(fd);
        if (!is_taken(code))
            return err_set_errno(err, code, "state folder: lock %s", path);
        return err_set(
            err, ERR_CONFLICT,
            "state folder %.*s: its database is being made, restored or upgraded by process %s: try again "
            "once that has ended",
            folder_size(path), path, owner);
    }
    *ret_fd = fd;
    return 0;
}
