/*
 * What this program put into the shared cache, and when it was last used: only that may be evicted.
 *
 * One small file per blob in <state folder>/fetched, named "<models--owner--name>@<blob id>"; its content
 * is the blob's size, once it is finished its inode and time of change, and the cache's root; the entry's
 * own time of change is the last use. Entries of another root than the present one are left alone and count
 * for nothing. Together they are counted when the budget may be exceeded (tally.h). So if a download broke
 * off, or its blob was deleted, its entry does not claim a blob that somebody else puts there later. Several
 * processes may share a ledger: a lock file orders them. What Python downloaded has no entry that fits and is
 * never touched.
 */
#ifndef BIFURCATED_HUB_LEDGER_H
#define BIFURCATED_HUB_LEDGER_H

#include "daemon/base/err.h"
#include "daemon/hub/cache.h"

#include <stdint.h>

/*
 * Makes an entry for a blob that is about to be fetched, after evicting the least recently used others until
 * it fits into the budget (0: no limit). 1, without an entry, and mostly with nothing evicted: it will fit
 * once blobs that somebody is writing, which are passed over, are finished. ERR_LIMIT if it alone exceeds the
 * budget.
 */
int ledger_reserve(const char *state_folder, const struct cache *cache, const char *id, uint64_t size_bytes,
                   uint64_t budget_bytes, struct err *err);

/* Notes that this file, whole and about to become the blob, is ours to evict. Until then only its unfinished
 * content is. */
int ledger_finish(const char *state_folder, const struct cache *cache, const char *id, int fd,
                  struct err *err);

/* Takes the entry back: the fetch failed and left nothing, or somebody else's blob took its place. */
void ledger_remove(const char *state_folder, const struct cache *cache, const char *id);

/* Where the entries are, whose names hold an "@", as a new string; NULL without memory. Its time of change
 * tells that one was made, finished or taken back. */
char *ledger_folder(const char *state_folder);

/* Notes that a blob was used now, if it has an entry. */
void ledger_touch(const char *state_folder, const struct cache *cache, const char *id);

#endif
