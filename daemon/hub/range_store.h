/*
 * Ranges of what was read before, kept apart from the shared cache: they are no whole files and no other
 * program may take them for such.
 *
 *     <state folder>/<shelf>/<blob id>/<begin>-<end>.<SHA-256 of the bytes>
 *
 * The shelf "ranges" has what was fetched of files; the blob id is a digest of the whole file, so a range is
 * the same for every revision that holds the file. (daemon/measure/references.h has the other one.) What is
 * read back is checked against the digest in its name. Keeping is best effort: where it fails (a full disk),
 * the bytes have been delivered all the same.
 */
#ifndef BIFURCATED_HUB_RANGE_STORE_H
#define BIFURCATED_HUB_RANGE_STORE_H

#include "daemon/base/err.h"

#include <stdint.h>

#define RANGE_STORE_FETCHED "ranges"

/* Everything is borrowed. */
struct range_store {
    const char *state_folder, *shelf;
    uint64_t budget_bytes; /* 0: no limit */
};

/* Removes what a killed process left half written: nobody may ask for just that range again. */
void range_store_clean(const struct range_store *store);

/* Copies [begin, end) of a blob from a kept range that holds it; returns 1 if there is one, else 0. A damaged
 * one is removed. With NULL for `data` nothing is read or checked; it counts as used all the same. */
int range_store_read(const struct range_store *store, const char *blob_id, uint64_t begin, uint64_t end,
                     unsigned char *data);

/* Keeps a range, after removing the least recently used ones until it fits into the budget: ERR_LIMIT if it
 * never does. */
int range_store_write(const struct range_store *store, const char *blob_id, uint64_t begin, uint64_t end,
                      const unsigned char *data, struct err *err);

/* Removes all that is kept of a blob: what was kept of it came damaged. */
void range_store_forget(const struct range_store *store, const char *blob_id);

/* Of all that is kept of one blob. */
struct range_store_blob {
    const char *id;
    uint64_t size_bytes;
    int64_t used_ms; /* when something of it was last read or written; wall clock */
};

/* Calls back with each blob, in no order; where `visit` returns 1, it is removed. Returns the bytes that
 * stay. */
uint64_t range_store_visit(const struct range_store *store,
                           int (*visit)(void *context, const struct range_store_blob *blob), void *context);

#endif
