#include "daemon/base/file.h"

#include "daemon/base/limits.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int append_all(int fd, const char *path, struct buf *buf, struct err *err)
{
    for (;;) {
        size_t room = buf->max - buf->size;
        size_t want = room < 64 * KIB ? room + 1 : 64 * KIB;
        char chunk[64 * 1024 + 1];
        ssize_t got = read(fd, chunk, want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(err, errno, "%s: cannot read", path);
        if (got == 0)
            return 0;
        (void)buf_append(buf, chunk, (size_t)got);
        int code = buf_check(buf, path, err);
        if (code)
            return code;
    }
}

/* What could be read before a failure is taken back: a caller may append the same file from elsewhere. */
static int read_all(int fd, const char *path, struct buf *buf, struct err *err)
{
    size_t begin = buf->size;
    int code = append_all(fd, path, buf, err);
    if (code && buf->data) {
        buf->size = begin;
        buf->data[begin] = 0;
    }
    return code;
}

int file_read(const char *path, struct buf *buf, struct err *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_set_errno(err, errno, "%s: cannot open", path);
    int is_special = fstat(fd, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
    int code = is_special ? err_set(err, ERR_IO, "%s: is not a regular file: name one", path)
                          : read_all(fd, path, buf, err);
    (void)close(fd);
    return code;
}

int file_read_any(const char *path, struct buf *buf, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "%s: cannot open", path);
    int code = read_all(fd, path, buf, err);
    (void)close(fd);
    return code;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        data += written;
        size -= (size_t)written;
    }
    return 0;
}

/* A rename is durable once its folder is synced. */
static void sync_folder_of(const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    free(copy);
}

/* "folder/.name.new" for "folder/name". */
static int append_new_path(const char *path, struct buf *new_path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    size_t folder_size = slash ? (size_t)(slash - path) + 1 : 0;
    (void)buf_append(new_path, path, folder_size);
    (void)buf_appendf(new_path, ".%s.new", path + folder_size);
    return buf_check(new_path, path, err);
}

/* Whether the open file is (still) the one of that name. */
static int is_same_file(int fd, const char *path)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/* Opens the file that is to replace `path`, empty and locked; -1 with errno. Others who replace the same file
 * wait here, and by then the one they waited for has its final name. */
static int open_new(const char *new_path)
{
    for (;;) {
        int fd = open(new_path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return -1;
        int result;
        do
            result = flock(fd, LOCK_EX);
        while (result != 0 && errno == EINTR);
        if (result == 0 && !is_same_file(fd, new_path)) {
            (void)close(fd);
            continue;
        }
        if (result == 0 && ftruncate(fd, 0) == 0)
            return fd;
        int saved = errno;
        (void)close(fd);
        errno = saved;
        return -1;
    }
}

int file_write_atomic(const char *path, const void *data, size_t size, mode_t mode, struct err *err)
{
    int fd = -1;
    struct buf new_path;
    buf_init(&new_path, LIMIT_FILE_NAME_BYTES * 8);
    int code = append_new_path(path, &new_path, err);
    if (code)
        goto out;
    fd = open_new(new_path.data);
    if (fd < 0) {
        code = err_set_errno(err, errno, "%s: cannot create a file beside it", path);
        goto out;
    }
    if (fchmod(fd, mode) != 0 || write_all(fd, data, size) != 0 || fsync(fd) != 0 ||
        rename(new_path.data, path) != 0) {
        code = err_set_errno(err, errno, "%s: cannot write", path);
        (void)unlink(new_path.data);
        goto out;
    }
    sync_folder_of(path);
out:
    if (fd >= 0)
        (void)close(fd);
    buf_free(&new_path);
    return code;
}

/* Removes such a file unless its writer is alive, who holds the lock. A writer that waits for it meanwhile
 * sees that the file has lost its name, and makes a new one. */
static void remove_if_left(const char *new_path)
{
    int fd = open(new_path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_same_file(fd, new_path))
        (void)unlink(new_path);
    (void)close(fd);
}

void file_remove_unfinished(const char *folder)
{
    DIR *stream = opendir(folder);
    for (struct dirent *entry = stream ? readdir(stream) : NULL; entry; entry = readdir(stream)) {
        size_t size = strlen(entry->d_name);
        if (entry->d_name[0] != '.' || size <= strlen("..new") ||
            strcmp(entry->d_name + size - 4, ".new") != 0)
            continue;
        char *path = file_join(folder, entry->d_name);
        if (path)
            remove_if_left(path);
        free(path);
    }
    if (stream)
        (void)closedir(stream);
}

int file_make_folders(const char *path, mode_t mode, struct err *err)
{
    if (!path[0])
        return err_set(err, ERR_INVALID, "the name of a folder is empty");
    char *copy = strdup(path);
    if (!copy)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    int code = 0;
    for (char *p = copy + 1; !code; p++) {
        if (*p != '/' && *p != 0)
            continue;
        char kept = *p;
        *p = 0;
        struct stat status;
        if (mkdir(copy, mode) != 0 && errno != EEXIST)
            code = err_set_errno(err, errno, "%s: cannot make the folder", copy);
        else if (stat(copy, &status) != 0 || !S_ISDIR(status.st_mode))
            code = err_set(err, ERR_IO, "%s: exists and is not a folder", copy);
        *p = kept;
        if (!kept)
            break;
    }
    free(copy);
    return code;
}

char *file_join(const char *folder, const char *name)
{
    size_t folder_size = strlen(folder), name_size = strlen(name);
    char *path = malloc(folder_size + name_size + 2);
    if (!path)
        return NULL;
    /* The name below brings the final 0. NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
    memcpy(path, folder, folder_size);
    if (folder_size == 0 || folder[folder_size - 1] != '/')
        path[folder_size++] = '/';
    memcpy(path + folder_size, name, name_size + 1);
    return path;
}

/* Appends the value of the variable whose name starts at `text` (after '$'); returns how many bytes of `text`
 * it took, 0 if there is no known variable there. */
static size_t expand_variable(const char *text, struct buf *out)
{
    int braces = text[0] == '{';
    size_t start = braces ? 1 : 0, length = 0;
    char name[256];
    while (isalnum((unsigned char)text[start + length]) || text[start + length] == '_')
        length++;
    if (length == 0 || length >= sizeof name || (braces && text[start + length] != '}'))
        return 0;
    memcpy(name, text + start, length);
    name[length] = 0;
    const char *value = getenv(name);
    if (!value)
        return 0;
    (void)buf_append_text(out, value);
    return start + length + (braces ? 1 : 0);
}

/* Appends the home of "~" or "~user" at the beginning of `path`; returns how many bytes of it that took, 0 if
 * no such home is known. A service without HOME has one in the system's list of users. */
static size_t expand_home(const char *path, struct buf *out)
{
    char name[256], memory[16 * 1024];
    struct passwd row, *found = NULL;
    size_t length = path[0] == '~' ? strcspn(path, "/") : 0;
    const char *home = length == 1 ? getenv("HOME") : NULL;
    if (length == 0 || length > sizeof name)
        return 0;
    memcpy(name, path + 1, length - 1);
    name[length - 1] = 0;
    if (!home && length == 1)
        (void)getpwuid_r(getuid(), &row, memory, sizeof memory, &found);
    else if (!home)
        (void)getpwnam_r(name, &row, memory, sizeof memory, &found);
    if (!home && !found)
        return 0;
    (void)buf_append_text(out, home ? home : found->pw_dir);
    return length;
}

char *file_expand(const char *path)
{
    struct buf out;
    buf_init(&out, 64 * KIB);
    path += expand_home(path, &out);
    while (*path) {
        size_t taken = *path == '$' ? expand_variable(path + 1, &out) : 0;
        if (taken)
            path += taken;
        else
            (void)buf_append_char(&out, *path);
        path++;
    }
    char *result = buf_take(&out);
    buf_free(&out);
    return result;
}

int file_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

const char *file_network_system(const char *path)
{
    static const struct {
        unsigned long
            magic; /* statfs(2), and what the file systems outside of the kernel say of themselves */
        const char *name;
    } systems[] = {{0x6969, "NFS"},        {0x517b, "SMB"},        {0xff534d42, "SMB"},
                   {0xfe534d42, "SMB"},    {0x00c36400, "CephFS"}, {0x5346414f, "AFS"},
                   {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"},   {0x19830326, "BeeGFS"}};
    struct statfs info;
    for (size_t i = 0; statfs(path, &info) == 0 && i < sizeof systems / sizeof systems[0]; i++) {
        if (((unsigned long)info.f_type & 0xffffffff) == systems[i].magic)
            return systems[i].name;
    }
    return NULL;
}

int file_is_safe_relative(const char *path)
{
    if (path[0] == 0 || path[0] == '/' || strlen(path) > LIMIT_FILE_NAME_BYTES)
        return 0;
    for (const char *p = path; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '\\')
            return 0;
    }
    for (const char *component = path;;) {
        size_t length = strcspn(component, "/");
        if (length == 0 || (length == 1 && component[0] == '.') ||
            (length == 2 && component[0] == '.' && component[1] == '.'))
            return 0;
        if (component[length] == 0)
            return 1;
        component += length + 1;
    }
}
