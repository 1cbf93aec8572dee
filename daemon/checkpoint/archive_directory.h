/*
 * The central directory of a zip archive, read by libzip. Private to archive.c.
 *
 * libzip is shown a file of which only the directory and what follows it are there; the rest reads as zeros.
 * So no tensor data can be taken for a directory, libzip fetches nothing (it would search the last 64 KiB,
 * and read each local header), and this is a pure function of bytes in memory.
 */
#ifndef BIFURCATED_CHECKPOINT_ARCHIVE_DIRECTORY_H
#define BIFURCATED_CHECKPOINT_ARCHIVE_DIRECTORY_H

#include "daemon/base/err.h"
#include "daemon/checkpoint/archive.h"
#include "daemon/checkpoint/archive_end.h"
#include "daemon/checkpoint/window.h"

#include <stddef.h>
#include <stdint.h>

#define ARCHIVE_LOCAL_HEADER_BYTES 30

/* Reads the records that the directory lists, in its order; `tail` holds the file's bytes from the directory
 * to its end at `file_size`. Refuses what archive.h says, but for duplicates and overlaps. The caller frees
 * *ret_records with archive_directory_free. */
int archive_directory_read(const struct window *tail, uint64_t file_size, const struct archive_end *end,
                           struct archive_record **ret_records, size_t *ret_count, struct err *err);

/* NULL is allowed. */
void archive_directory_free(struct archive_record *records, size_t count);

#endif
