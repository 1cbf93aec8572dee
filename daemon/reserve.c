#include "daemon/reserve.h"

#include "daemon/base/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct reserve {
    pthread_mutex_t lock;
    char *path;
    int is_full;
};

/* Called with the lock. */
static void fill(struct reserve *reserve)
{
    struct stat status;
    int fd = open(reserve->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    reserve->is_full = posix_fallocate(fd, 0, RESERVE_BYTES) == 0 && fstat(fd, &status) == 0 &&
                       status.st_blocks * 512 >= RESERVE_BYTES;
    (void)close(fd);
    if (!reserve->is_full) /* half a reserve only takes from what is left */
        (void)unlink(reserve->path);
}

int reserve_new(const char *state_folder, struct reserve **ret_reserve, struct err *err)
{
    struct reserve *reserve = calloc(1, sizeof *reserve);
    if (reserve)
        reserve->path = file_join(state_folder, RESERVE_FILE_NAME);
    if (!reserve || !reserve->path) {
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
