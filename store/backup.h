/*
 * Copies of the database, made while a daemon writes to it; store/restore.h puts them back.
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
    int64_t damaged; /* large values that cannot be read (store/damage.h) */
};

/* Called after each part of a copy. */
typedef void backup_progress(void *context, int64_t done_bytes, int64_t total_bytes);

/*
 * Copies the database at `path` to the new file `target` and checks the copy. Under another name until it is
 * whole, then renamed; readable by its owner alone. ERR_CONFLICT: `target` exists, or another process began
 * to write the same one meanwhile, or the database is being made, upgraded or restored, or a restore of it
 * was cut off. ERR_NOT_FOUND: there is no database. ERR_DATABASE: it, or the copy, is damaged. `progress` may
 * be NULL.
 */
int backup_write(const char *path, const char *target, backup_progress *progress, void *context,
                 struct backup_facts *ret_facts, struct err *err);

/* What a database holds, after reading the whole file (seconds per GB); it may be in use. Does not change it.
 * ERR_DATABASE if it is damaged or not of this program, ERR_UNSUPPORTED if a newer one wrote it. */
int backup_check(const char *path, struct backup_facts *ret_facts, struct err *err);

#endif
