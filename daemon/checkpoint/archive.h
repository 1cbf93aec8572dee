/*
 * A zip archive as torch.save writes it: stored records under one top folder, read through a byte source.
 *
 * Opening reads the end of the file with the directory (archive_end, archive_directory) and proves that the
 * records lie side by side; a record's local header is read when the record is first wanted, and must agree
 * with the directory. Refused: compression, encryption, archive comments and trailing bytes, several disks,
 * names that occur twice, names that leave the archive, a second top folder, records that overlap each other
 * or the directory.
 */
#ifndef BIFURCATED_CHECKPOINT_ARCHIVE_H
#define BIFURCATED_CHECKPOINT_ARCHIVE_H

#include "daemon/base/err.h"
#include "daemon/base/source.h"

#include <stddef.h>
#include <stdint.h>

struct archive;

struct archive_record {
    char *path;             /* as in the directory: "archive/data/12" */
    const char *name;       /* without the top folder: "data/12" */
    uint64_t size_bytes;    /* an empty record has no place: what follows is then 0 */
    uint64_t header_offset; /* of its local header */
    uint64_t end_max;       /* where the next record or the directory begins */
    uint64_t offset;        /* of its first byte in the source; 0 until it is located */
};

/* Opens an archive over `source`, which it borrows. Reads the last 32 KiB and the rest of the directory, if
 * that is larger. The caller closes *ret_archive. */
int archive_open(struct source *source, struct archive **ret_archive, struct err *err);

/* NULL is allowed. */
void archive_close(struct archive *archive);

/* The record of a name, or NULL. */
struct archive_record *archive_find(struct archive *archive, const char *name);

/* Fetches the whole record at once, and up to `more` bytes behind it: small records that will be read too. */
int archive_prefetch(struct archive *archive, const struct archive_record *record, size_t more,
                     struct err *err);

/* Finds where the record's bytes lie and sets record->offset; reads its local header on the first call. */
int archive_locate(struct archive *archive, struct archive_record *record, struct err *err);

/* Reads `size` bytes at `offset` of the source; what was fetched before is not fetched again. */
int archive_read(struct archive *archive, uint64_t offset, void *data, size_t size, struct err *err);

#endif
