/*
 * Damage of large values: those that do not decompress, or, with the checksum that each has had since it was
 * introduced, hold other bytes than were written. SQLite's own check reads structures, not what is in them.
 *
 * What was measured can be measured again: a damaged value is let go of, and the next sweep makes a new one.
 */
#ifndef BIFURCATED_STORE_DAMAGE_H
#define BIFURCATED_STORE_DAMAGE_H

#include "daemon/base/err.h"
#include "store/store.h"

#include <stdint.h>

struct connection;

/* How many large values of the database are damaged. Reads all of them. For this folder only. */
int damage_count(struct connection *connection, int64_t *ret_count, struct err *err);

/* Deletes them. */
int damage_delete(struct store *store, int64_t *ret_count, struct err *err);

#endif
