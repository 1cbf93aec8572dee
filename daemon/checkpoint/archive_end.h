/*
 * The end of a zip archive: where its directory lies and how large it is. Private to archive.c.
 *
 * torch.save writes the directory, (ZIP64 end record and locator,) and the end record without a comment as
 * the very last bytes. Exactly this is accepted, so there is one way to read a file. Format: PKWARE
 * APPNOTE.TXT 6.3.10, sections 4.3.14 to 4.3.16.
 */
#ifndef BIFURCATED_CHECKPOINT_ARCHIVE_END_H
#define BIFURCATED_CHECKPOINT_ARCHIVE_END_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct archive_end {
    uint64_t directory_begin; /* offset in the file; it ends where the end records begin */
    uint64_t record_count;
};

/* Reads the last `size` bytes of a file of `file_size` bytes. ERR_FORMAT where they are not the end of a zip
 * archive, ERR_LIMIT for a directory that is too large. */
int archive_end_parse(const unsigned char *tail, size_t size, uint64_t file_size, struct archive_end *ret_end,
                      struct err *err);

#endif
