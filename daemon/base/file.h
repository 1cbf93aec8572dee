/*
 * Local files: reading whole with a bound, writing so that a crash leaves the old or the new content,
 * folders.
 */
#ifndef BIFURCATED_BASE_FILE_H
#define BIFURCATED_BASE_FILE_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <stddef.h>
#include <sys/types.h>

/* Appends the whole file to `buf` (whose max bounds it), or else nothing. ERR_IO for what is no regular file:
 * a FIFO or a device could keep the caller waiting for ever. */
int file_read(const char *path, struct buf *buf, struct err *err);

/* The same for what somebody names on the command line, where `<(pass show token)` is a pipe. */
int file_read_any(const char *path, struct buf *buf, struct err *err);

/* Writes to ".NAME.new" beside `path`, syncs it, renames it over `path`, syncs the folder. The name is always
 * the same, under a lock: what a killed process leaves is taken up by the next write of this file. */
int file_write_atomic(const char *path, const void *data, size_t size, mode_t mode, struct err *err);

/* Removes what killed processes left of such writes in a folder, for files that nobody may write again. What
 * somebody is writing at this moment stays. */
void file_remove_unfinished(const char *folder);

/* Makes a folder and its parents; existing ones are fine. */
int file_make_folders(const char *path, mode_t mode, struct err *err);

/* "folder/name" as a new string; the caller frees it. NULL without memory. */
char *file_join(const char *folder, const char *name);

/* Expands a leading "~" (HOME, else the user's home in the system's list) or "~user" and every $NAME or
 * ${NAME} with the environment, as Python's expanduser and expandvars do; unknown users and variables stay.
 * The caller frees the result; NULL without memory. */
char *file_expand(const char *path);

/* Whether something exists at `path` (following links). */
int file_exists(const char *path);

/* "NFS" or the like if `path` lies on a file system of the network, where the locks and the shared memory of
 * a database do not hold; NULL if it is local, or cannot be told. */
const char *file_network_system(const char *path);

/* Whether `path` is a relative path that stays inside of its folder: not empty, no leading '/', no empty, "."
 * or ".." component, no backslash and no control characters. For names that come from the hub. */
int file_is_safe_relative(const char *path);

#endif
