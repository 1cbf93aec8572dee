/*
 * Ranges of files that were fetched before, kept apart from the shared cache: they are no whole files and no
 * other program may take them for such.
 *
 *     <state folder>/ranges/<blob id>/<begin>-<end>.<SHA-256 of the bytes>
 *
 * The blob id is a digest of the whole file, so a range is the same for every revision that holds the file.
 * What is read back is checked against the digest in its name. Keeping is best effort: where it fails (a full
 * disk), the bytes have been delivered all the same.
 */
#ifndef BIFURCATED_HUB_RANGE_STORE_H
#define BIFURCATED_HUB_RANGE_STORE_H

#include <stdint.h>

/* Removes what a killed process left half written: nobody may ask for just that range again. */
void range_store_clean(const char *state_folder);

/* Copies [begin, end) of a blob from a kept range that holds it; returns 1 if there is one, else 0. A damaged
 * one is removed. */
int range_store_read(const char *state_folder, const char *blob_id, uint64_t begin, uint64_t end,
                     unsigned char *data);

/* Keeps a range, after removing the least recently used ones until it fits into the budget (0: no limit). */
void range_store_write(const char *state_folder, const char *blob_id, uint64_t begin, uint64_t end,
                       const unsigned char *data, uint64_t budget_bytes);

#endif
