/*
 * For this folder only: what a backup and a restore share, the copy of a database and the names of files.
 */
#ifndef BIFURCATED_STORE_BACKUP_PARTS_H
#define BIFURCATED_STORE_BACKUP_PARTS_H

#include "store/backup.h"
#include "store/connection.h"

#define BACKUP_PART ".part" /* follows the name of a copy that is being made */

/* A transaction holds the snapshot, so that no writer makes the copy begin anew. */
int backup_open_snapshot(const char *path, struct connection **ret_connection, struct err *err);

/* Copies the snapshot `from`, which it closes, to the new file `target`, runs `prepare` (or NULL) on the
 * copy, and checks it. *ret_fd is that file, which the caller closes; NULL: it is closed. */
int backup_copy(struct connection *from, const char *target, const char *prepare, backup_progress *progress,
                void *context, struct backup_facts *facts, int *ret_fd, struct err *err);

/* "path<suffix>"; NULL without memory. */
char *backup_suffixed(const char *path, const char *suffix);

/* Gives the file its name, unless something got that name meanwhile. */
int backup_name_file(const char *part, const char *target, struct err *err);

/* Writes the folder's names to the disk. */
int backup_sync_folder_of(const char *path, struct err *err);

#endif
