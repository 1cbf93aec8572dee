/*
 * For this folder only: the file `lock` beside the database, which whoever may change the database holds.
 *
 * The lock is the kernel's (flock), so it ends with the process however that ends; the number inside of the
 * file is for messages.
 */
#ifndef BIFURCATED_STORE_LOCK_H
#define BIFURCATED_STORE_LOCK_H

#include "daemon/base/err.h"

#include <stddef.h>

/* Takes the lock of the folder that `database_path` lies in; closing *ret_fd gives it back. ERR_CONFLICT
 * names the process that has it. */
int lock_take(const char *database_path, int *ret_fd, struct err *err);

#endif
