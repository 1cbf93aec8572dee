#include "daemon/base/reserve.h"

#include "daemon/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct reserve {
    pthread_mutex_t lock;
    char *folder, *path;
    int is_full;     /* it is there */
    int lacks_space; /* it is not, for want of space (and not for another reason) */
    int was_full;    /* the disk, when somebody last looked */
    uint64_t changes;
};

static int is_want_of_space(int code)
{
    return code == ENOSPC || code == EDQUOT;
}

/* Called with the lock. */
static void fill(struct reserve *reserve)
{
    struct stat status;
    int fd = open(reserve->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        reserve->lacks_space = is_want_of_space(errno);
        return;
    }
    int code = posix_fallocate(fd, 0, RESERVE_BYTES);
    reserve->lacks_space = is_want_of_space(code);
    reserve->is_full = !code && fstat(fd, &status) == 0 && status.st_blocks * 512 >= RESERVE_BYTES;
    (void)close(fd);
    if (!reserve->is_full) /* half a reserve only takes from what is left */
        (void)unlink(reserve->path);
}

int reserve_new(const char *state_folder, struct reserve **ret_reserve, struct err *err)
{
    struct reserve *reserve = calloc(1, sizeof *reserve);
    if (reserve) {
        reserve->folder = strdup(state_folder);
        reserve->path = file_join(state_folder, RESERVE_FILE_NAME);
    }
    if (!reserve || !reserve->folder || !reserve->path) {
        if (reserve) {
            free(reserve->folder);
            free(reserve->path);
        }
        free(reserve);
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", state_folder);
    }
    (void)pthread_mutex_init(&reserve->lock, NULL);
    fill(reserve);
    *ret_reserve = reserve;
    return 0;
}

void reserve_free(struct reserve *reserve)
{
    if (!reserve)
        return;
    (void)pthread_mutex_destroy(&reserve->lock);
    free(reserve->folder);
    free(reserve->path);
    free(reserve);
}

int reserve_spend(struct reserve *reserve)
{
    if (!reserve)
        return 0;
    (void)pthread_mutex_lock(&reserve->lock);
    int is_spent = reserve->is_full && unlink(reserve->path) == 0;
    reserve->is_full = 0;
    reserve->lacks_space = 1; /* that is why it is spent */
    (void)pthread_mutex_unlock(&reserve->lock);
    return is_spent;
}

void reserve_fill(struct reserve *reserve)
{
    (void)pthread_mutex_lock(&reserve->lock);
    if (!reserve->is_full)
        fill(reserve);
    (void)pthread_mutex_unlock(&reserve->lock);
}

void reserve_read_room(struct reserve *reserve, struct reserve_room *ret_room)
{
    struct statvfs info;
    int has_little = 0;
    *ret_room = (struct reserve_room){.is_full = 0};
    if (!statvfs(reserve->folder, &info)) {
        ret_room->free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
        ret_room->size_bytes = (uint64_t)info.f_blocks * info.f_frsize;
        has_little = ret_room->free_bytes < RESERVE_BYTES || (info.f_files && info.f_favail == 0);
    }
    (void)pthread_mutex_lock(&reserve->lock);
    ret_room->is_full = reserve->lacks_space || has_little;
    reserve->changes += ret_room->is_full != reserve->was_full;
    reserve->was_full = ret_room->is_full;
    ret_room->changes = reserve->changes;
    (void)pthread_mutex_unlock(&reserve->lock);
}
