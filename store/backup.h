/*
 * Copies of the database: made while a daemon writes to it, and put back in its place.
 *
 * A backup is one plain file that SQLite itself can read. It is a snapshot: what was committed when it began,
 * and nothing later. Writers go on meanwhile (WAL); the log grows until the copy is done.
 */
#ifndef BIFURCATED_STORE_BACKUP_H
#define BIFURCATED_STORE_BACKUP_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct backup_facts {
    int64_t schema_version;
    int64_t size_bytes;
    int64_t models;
    int64_t revisions; /* current ones, of all models */
    int64_t measured;  /* tensors of current revisions */
    int64_t sweeps;
};

/* Told after each part of a copy. */
typedef void backup_progress(void *context, int64_t done_bytes, int64_t total_bytes);

/*
 * Copies the database at `path` to the new file `target` and checks the copy. Under another name until it is
 * whole, then renamed; readable by its owner alone. ERR_CONFLICT: `target` exists, or the database is being
 * made, upgraded or restored, or a restore of it was cut off. ERR_NOT_FOUND: there is no database.
 * ERR_DATABASE: it, or the copy, is damaged. `progress` may be NULL.
 */
int backup_write(const char *path, const char *target, backup_progress *progress, void *context,
                 struct backup_facts *ret_facts, struct err *err);

/*
 * Puts a copy of `source` in the place of the database at `path`, whose folder must exist. The copy is
 * checked first: ERR_DATABASE if it is damaged or not of this program, ERR_UNSUPPORTED if a newer program
 * wrote it; the database is then as it was. An older one is upgraded when it is opened next. ERR_CONFLICT
 * while a daemon has the folder. The database that was there is kept, with its log if that cannot be folded
 * into it, under the name that becomes *ret_aside (NULL if there was none; the caller frees it). That is also
 * set where the copy is in its place but the disk could not be asked to keep that: the error says so.
 *
 * Killed at any moment, either the database is as it was, or the next store_open() or backup_restore() puts
 * the copy in its place. In between it may have no name here.
 */
int backup_restore(const char *source, const char *path, backup_progress *progress, void *context,
                   struct backup_facts *ret_facts, char **ret_aside, struct err *err);

/* Whether the database at `path` waits for a restore to be finished that was cut off; ERR_CONFLICT, which
 * says what to do, if it does. */
int backup_is_restoring(const char *path);
int backup_check_restored(const char *path, struct err *err);

/* Finishes it if there is one, and removes the piece of a copy that was cut off. For whoever holds the
 * folder's lock (store_open, backup_restore). */
int backup_finish_restore(const char *path, struct err *err);

/* What a database holds; it may be in use. Does not change it. Errors as backup_restore(). */
int backup_read_facts(const char *path, struct backup_facts *ret_facts, struct err *err);

/* The same after reading the whole file (seconds per GB): also ERR_DATABASE if it is damaged. */
int backup_check(const char *path, struct backup_facts *ret_facts, struct err *err);

#endif
