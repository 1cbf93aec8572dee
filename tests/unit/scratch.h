/*
 * Folders of tests in /tmp that do not stay for ever: their names have the process, and what a killed one has
 * left is removed by the next that wants a folder.
 */
#ifndef BIFURCATED_TESTS_SCRATCH_H
#define BIFURCATED_TESTS_SCRATCH_H

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SCRATCH_SIZE 64
#define SCRATCH_OLD_S 600 /* younger ones are left alone, should their process lie in another namespace */

static inline int scratch_remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

/* The folder and all in it; 0, or -1 with errno. */
static inline int scratch_remove(const char *path)
{
    return nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Whether the folder is one of ours that nobody uses. */
static inline int scratch_is_left(const char *name, const char *path)
{
    struct stat status;
    long process = 0;
    int end = 0; /* of what stands before mkdtemp's six characters */
    return sscanf(name, "bifurcated-test-%ld-%n", &process, &end) == 1 && end > 0 &&
           strlen(name + end) == 6 && process > 0 && process <= INT_MAX && kill((pid_t)process, 0) != 0 &&
           errno == ESRCH && lstat(path, &status) == 0 && S_ISDIR(status.st_mode) &&
           status.st_uid == geteuid() && time(NULL) - status.st_mtime > SCRATCH_OLD_S;
}

/* Makes a folder and writes its path; 0, or -1. The caller removes it. */
static inline int scratch_make(char path[SCRATCH_SIZE])
{
    static int has_looked;
    DIR *directory = has_looked ? NULL : opendir("/tmp");
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        char old[512];
        (void)snprintf(old, sizeof old, "/tmp/%s", entry->d_name);
        if (scratch_is_left(entry->d_name, old))
            (void)scratch_remove(old);
    }
    if (directory)
        (void)closedir(directory);
    has_looked = 1;
    (void)snprintf(path, SCRATCH_SIZE, "/tmp/bifurcated-test-%ld-XXXXXX", (long)getpid());
    return mkdtemp(path) ? 0 : -1;
}

#endif
