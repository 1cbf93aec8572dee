#include "store/place.h"

#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 4096

/* The length of the folder in a path, with its slash. */
static int folder_size(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (int)(slash - path) + 1 : 0;
}

/* Checks one folder or file. Other faults show when it is opened. */
static int check_one(const char *path, int mode, struct err *err)
{
    struct stat info;
    if (faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0 || (errno != EACCES && errno != EROFS))
        return 0;
    if (errno == EROFS)
        return err_set(
            err, ERR_IO,
            "state folder: %s is on a file system that is mounted read-only: mount it for writing, or "
            "name another folder with state",
            path);
    if (stat(path, &info))
        return err_set_errno(err, errno, "state folder: %s", path);
    if (info.st_uid == geteuid())
        return err_set(err, ERR_IO,
                       "state folder: %s has the mode %04o: make it writable (chmod %s), or name another "
                       "folder with state",
                       path, (unsigned)info.st_mode & 07777U, S_ISDIR(info.st_mode) ? "u+rwx" : "u+rw");
    return err_set(
        err, ERR_IO,
        "state folder: %s cannot be written by user %ld, since it belongs to user %ld (mode %04o): change "
        "%s, start this as that user, or name another folder with state",
        path, (long)geteuid(), (long)info.st_uid, (unsigned)info.st_mode & 07777U,
        S_ISDIR(info.st_mode) ? "its owner" : "the owner of all files there");
}

static int check_file(const char *path, int size, const char *name, struct err *err)
{
    char file[PATH_SIZE];
    int length = snprintf(file, sizeof file, "%.*s%s", size, path, name);
    if (length < 0 || length >= PATH_SIZE)
        return err_set(err, ERR_LIMIT, "state folder %s: the path is too long", path);
    return check_one(file, R_OK | W_OK, err);
}

int place_check_folder(const char *database_path, struct err *err)
{
    char folder[PATH_SIZE];
    int size = folder_size(database_path);
    int length = snprintf(folder, sizeof folder, "%.*s", size > 1 ? size - 1 : size, database_path);
    if (length < 0 || length >= PATH_SIZE)
        return err_set(err, ERR_LIMIT, "state folder %s: the path is too long", database_path);
    if (check_one(length ? folder : ".", R_OK | W_OK | X_OK, err))
        return err->code;
    return check_file(database_path, size, STORE_LOCK_NAME, err);
}

int place_check(const char *database_path, struct err *err)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
    int code = place_check_folder(database_path, err);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && !code; i++)
        code = check_file(database_path, (int)strlen(database_path), parts[i], err);
    return code;
}
