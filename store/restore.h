/*
 * A copy of the database (store/backup.h) put back in its place: a promise on the disk first, then steps that
 * may be made twice, so that whoever opens the folder next can finish them.
 */
#ifndef BIFURCATED_STORE_RESTORE_H
#define BIFURCATED_STORE_RESTORE_H

#include "daemon/base/err.h"
#include "store/backup.h"

/*
 * Puts a copy of `source` in the place of the database at `path`, whose folder must exist. The copy is
 * checked first: ERR_DATABASE if it is damaged or not of this program, ERR_UNSUPPORTED if a newer program
 * wrote it; the database is then as it was. An older one is upgraded when it is opened next. ERR_CONFLICT
 * while a daemon has the folder. The database that was there is kept, with its log if that cannot be folded
 * into it, under the name that becomes *ret_aside (NULL if there was none; the caller frees it). That is also
 * set where the copy is in its place but the disk could not be asked to keep that: the error says so.
 *
 * Killed at any moment, either the database is as it was, or the next store_open() or restore_database() puts
 * the copy in its place. In between it may have no name here.
 */
int restore_database(const char *source, const char *path, backup_progress *progress, void *context,
                     struct backup_facts *ret_facts, char **ret_aside, struct err *err);

/* Whether the database at `path` waits for a restore to be finished that was cut off; ERR_CONFLICT, which
 * says what to do, if it does. */
int restore_is_pending(const char *path);
int restore_check_pending(const char *path, struct err *err);

/* Finishes it if there is one, and removes the piece of a copy that was cut off. For whoever holds the
 * folder's lock (store_open, restore_database). */
int restore_finish(const char *path, struct err *err);

#endif
