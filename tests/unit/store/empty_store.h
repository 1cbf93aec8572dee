/*
 * Stores for tests to begin with. All migrations are most of what a small test of the store would take: a
 * process applies them once, and begins each further store with a copy of that file, under a name
 * (store_instance) of its own.
 */
#ifndef BIFURCATED_TESTS_STORE_EMPTY_STORE_H
#define BIFURCATED_TESTS_STORE_EMPTY_STORE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"

/* What a store is whose migrations are done. */
static struct {
    char *bytes, *instance; /* the latter within the former */
    size_t size;
    unsigned copies;
} empty_store;

/* Remembers the file of a store that was closed. */
static inline int empty_store_keep(const char *path, const char *instance)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC), is_kept = 0;
    if (fd >= 0 && !fstat(fd, &status) && (empty_store.bytes = malloc((size_t)status.st_size))) {
        empty_store.size = (size_t)status.st_size;
        is_kept = read(fd, empty_store.bytes, empty_store.size) == (ssize_t)empty_store.size;
        empty_store.instance = memmem(empty_store.bytes, empty_store.size, instance, strlen(instance));
    }
    if (fd >= 0)
        (void)close(fd);
    return is_kept && empty_store.instance ? 0 : -1;
}

/* Writes a copy whose instance ends with another number. */
static inline int empty_store_copy(const char *path)
{
    char number[9];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    (void)snprintf(number, sizeof number, "%08x", ++empty_store.copies);
    memcpy(empty_store.instance + STORE_INSTANCE_SIZE - sizeof number, number, sizeof number - 1);
    int is_written = write(fd, empty_store.bytes, empty_store.size) == (ssize_t)empty_store.size;
    return close(fd) || !is_written ? -1 : 0;
}

/* As store_open(). */
static inline int empty_store_open(const char *path, struct store **ret_store, struct err *err)
{
    char instance[STORE_INSTANCE_SIZE];
    int code;
    if (!access(path, F_OK))
        return store_open(path, ret_store, err);
    if (empty_store.bytes && empty_store_copy(path))
        return err_set(err, ERR_IO, "%s: cannot be written", path);
    if ((code = store_open(path, ret_store, err)))
        return code;
    if (empty_store.bytes)
        return !strncmp(store_instance(*ret_store), empty_store.instance, STORE_INSTANCE_SIZE - 1)
                   ? 0
                   : err_set(err, ERR_INTERNAL, "%s: is called as another store", path);
    (void)snprintf(instance, sizeof instance, "%s", store_instance(*ret_store));
    store_close(*ret_store);
    *ret_store = NULL;
    if (empty_store_keep(path, instance))
        return err_set(err, ERR_IO, "%s: cannot be read", path);
    return store_open(path, ret_store, err);
}

#endif
