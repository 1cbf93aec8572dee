/*
 * Every file system is NFS: an object to be preloaded.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/vfs.h>

int statfs(const char *path, struct statfs *info)
{
    (void)path;
    memset(info, 0, sizeof *info);
    info->f_type = 0x6969;
    return 0;
}

int statfs64(const char *path, struct statfs64 *info)
{
    (void)path;
    memset(info, 0, sizeof *info);
    info->f_type = 0x6969;
    return 0;
}
