#include "store/lock.h"

#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static void read_owner(int fd, char *owner, size_t size)
{
    ssize_t length = pread(fd, owner, size - 1, 0);
    owner[length > 0 ? strspn(owner, "0123456789") : 0] = 0;
}

int lock_take(const char *database_path, int *ret_fd, struct err *err)
{
    const char *slash = strrchr(database_path, '/');
    int folder = slash ? (int)(slash - database_path) + 1 : 0;
    char path[4096], owner[32] = "";
    int length = snprintf(path, sizeof path, "%.*s%s", folder, database_path, STORE_LOCK_NAME);
    if (length < 0 || (size_t)length >= sizeof path)
        return err_set(err, ERR_LIMIT, "state folder %s: the path is too long", database_path);
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
            folder ? folder : 1, folder ? path : ".", owner[0] ? owner : "unknown");
    }
    char number[32];
    int size = snprintf(number, sizeof number, "%ld\n", (long)getpid());
    /* Only for messages: a full disk must not keep the lock from being taken. */
    if (ftruncate(fd, 0) || pwrite(fd, number, (size_t)size, 0) < 0)
        errno = 0;
    *ret_fd = fd;
    return 0;
}
