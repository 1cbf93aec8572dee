/*
 * For this folder only: the file `lock` beside the database, held by every process that may change the
 * database.
 *
 * One process owns the folder (a daemon, a restore). While it makes, upgrades or replaces the database,
 * nobody else may touch that; from lock_share() on, others may write beside the owner, a moment each, and
 * nobody can become the owner meanwhile and take the file away under them.
 *
 * Both locks are the kernel's, so they end with the process however that ends: flock of the file for the
 * owner, an open file description lock of its first byte, shared or not, for those beside. The number inside
 * of the file is for messages.
 */
#ifndef BIFURCATED_STORE_LOCK_H
#define BIFURCATED_STORE_LOCK_H

#include "daemon/base/err.h"

#include <stddef.h>

/* Takes the folder that `database_path` lies in, for oneself alone; closing *ret_fd gives it back. Waits up
 * to ten seconds for those who write beside the owner before. ERR_CONFLICT names the process that has it. */
int lock_take(const char *database_path, int *ret_fd, struct err *err);

/* The database is whole: others may write beside the owner from now on. */
void lock_share(int fd);

/* Keeps the owner, if there is one, or whoever comes next from changing the database as a whole; closing
 * *ret_fd ends that. *ret_fd is -1 where nobody has ever owned the folder. Does not wait: ERR_CONFLICT names
 * the process that is at it. */
int lock_take_shared(const char *database_path, int *ret_fd, struct err *err);

#endif
