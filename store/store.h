/*
 * The store: everything that is known, in one SQLite file.
 *
 * One process opens a store, all its threads share the handle. Writes go through one connection, one after
 * the other; reads take one of a few read-only connections and never wait for a write (WAL). What a function
 * has acknowledged survives a crash and, where durability is FULL (all but claims and heartbeats), a power
 * cut.
 *
 * Each write that changes something increments a version, which is kept in the file, and wakes whoever waits
 * for it: the in-process worker and the event streams.
 *
 * Conventions of all headers of this folder:
 *   - identifiers are positive int64; times are milliseconds since 1970 UTC;
 *   - a double that is NaN was not computed; text members are terminated and never NULL;
 *   - listings call `row(context, &row)` for each row in the stated order. A row is valid only during the
 *     call. The callback returns 0 to go on, or anything else to end the listing, which then still succeeds.
 *     It must not call the store, since the listing holds one of its read connections.
 */
#ifndef BIFURCATED_STORE_STORE_H
#define BIFURCATED_STORE_STORE_H

#include "daemon/base/err.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_FILE_NAME "bifurcated.db"
#define STORE_LOCK_NAME "lock"
#define STORE_INSTANCE_SIZE 33 /* 32 hexadecimal digits and a 0 */
#define STORE_DIGEST_SIZE 65   /* sha256, or a shorter git id */
#define STORE_BACKEND_SIZE 16
#define STORE_WORKER_SIZE 128
#define STORE_ERROR_NAME_SIZE 24
#define STORE_ERROR_MESSAGE_SIZE ERR_MESSAGE_BYTES

struct store;

/*
 * Opens the database at `path` ("<state>/bifurcated.db"; its folder must exist), makes it if there is none,
 * and applies the migrations that it lacks; a restore that was cut off is finished first (store/backup.h).
 * The folder's file `lock` is held until store_close(): a second opener is refused with ERR_CONFLICT.
 * ERR_UNSUPPORTED: written by a newer version of this program. ERR_DATABASE: not a database, damaged, or not
 * of this program. ERR_IO, ERR_NO_SPACE: read-only, unreadable, full.
 */
int store_open(const char *path, struct store **ret_store, struct err *err);

/* The same; `on_upgrade` is called before an older schema is upgraded, which takes minutes if the database is
 * large and cannot be taken back. Its error keeps the database as it is. */
int store_open_hooked(const char *path,
                      int (*on_upgrade)(void *context, int64_t from, int64_t to, struct err *err),
                      void *context, struct store **ret_store, struct err *err);

/*
 * Opens a database that a running daemon holds, for the few writes that may happen beside it
 * (store/tokens.h): SQLite's own locks keep the two apart, and until store_close() nobody can replace or
 * upgrade the database. The version of this store is that of the moment and does not follow the daemon's.
 * ERR_CONFLICT: it is being made, restored or upgraded now, which may be waited for. ERR_UNSUPPORTED: the
 * daemon is of another version. The rest as store_open().
 */
int store_open_shared(const char *path, struct store **ret_store, struct err *err);

/* No call may be running, and nobody may wait in store_wait_change() (call store_wake() first). NULL is
 * allowed. */
void store_close(struct store *store);

/* Random, made with the file: an ETag made from it and a version is never reused for other content. */
const char *store_instance(const struct store *store);

/* Number of the newest change. Never blocks. */
uint64_t store_version(struct store *store);

/*
 * Waits until store_version() differs from `since`, the time is over, store_wake() is called, or *is_ending
 * (NULL: never) is true; returns the version. For in-process workers and event streams. timeout_ms 0 returns
 * at once.
 */
uint64_t store_wait_change(struct store *store, uint64_t since, int64_t timeout_ms,
                           const atomic_bool *is_ending);

/* Ends all present waits without a change. A wait that begins a moment later does not know of it, but sees
 * what was set before in its *is_ending. */
void store_wake(struct store *store);

/* Whether the database still lies where it was opened: 0, or ERR_IO for one that somebody has moved or
 * deleted. SQLite would go on with the open file, whose records nobody finds again; so every write is refused
 * with this until the file is put back. */
int store_check_place(const struct store *store, struct err *err);

/* Whether another program keeps writers out, as the newest write found within the last minute: 0, or
 * ERR_TIMEOUT with what to do. Such a program is a shell that has left a transaction open; a backup keeps
 * nobody out. */
int store_check_lock(const struct store *store, struct err *err);

/* The same of a database that this process has not opened, by trying: within two seconds. */
int store_try_lock(const char *path, struct err *err);

/* Bytes of the database and its log on disk. */
int store_size(struct store *store, uint64_t *ret_size_bytes, struct err *err);

/* Bytes of the log alone, which the checkpointer keeps small; 0 where there is none. */
uint64_t store_log_size(const struct store *store);

/* Moves what the log holds into the database file, so that a copy of it is whole. */
int store_checkpoint(struct store *store, struct err *err);

/* Writes the database anew without the pages that deleted rows have left behind, so that the disk gets them
 * back. Needs as much free space again meanwhile; writes wait for it. */
int store_vacuum(struct store *store, struct err *err);

/* Number of migrations in this program, which is the schema version that it writes. */
int store_schema_version(void);

#endif
