/*
 * SHA-256 of files that are used again and again and seldom change: the texts that each revision is scored
 * with.
 *
 * A file is hashed once for each of its identities: device, inode, size, both times to the nanosecond.
 * These show a change only if it got another time than what was hashed. So a digest is kept only if the
 * file's last change (ctime, which nobody can set back) was long past when it was opened: longer than a
 * clock's tick, the delay of writes through a mapping, and the error of a file server's clock. Until then
 * it is hashed each time. (In a file system in memory, writes through a mapping change no time, and are not
 * seen.)
 *
 * Safe for threads; of those that want the same file one hashes.
 */
#ifndef BIFURCATED_MEASURE_FILE_DIGESTS_H
#define BIFURCATED_MEASURE_FILE_DIGESTS_H

#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/source.h"

#include <stdatomic.h>
#include <stdint.h>

#define FILE_DIGESTS_SETTLED_MS 60000 /* dirty pages of a mapping are written after some 35 s */

struct file_digests;

struct file_digests_counters {
    uint64_t kept_count, hashed_count; /* answers without and with hashing */
};

/* For files whose last change is at least `settled_ms` past. */
int file_digests_new(int64_t settled_ms, struct file_digests **ret_digests, struct err *err);

/* Nobody may be asking. NULL is allowed. */
void file_digests_free(struct file_digests *digests);

/* The digest of all bytes of a source. With NULL for `digests`, or of a source that is no file, it is hashed.
 * ERR_CANCELLED soon after *cancel, which may be NULL, became true; what the source reports. */
int file_digests_get(struct file_digests *digests, struct source *source, const atomic_bool *cancel,
                     char hex[DIGEST_SHA256_HEX_SIZE], struct err *err);

/* For tests of threads: what tells that of several one has hashed. */
void file_digests_count(struct file_digests *digests, struct file_digests_counters *ret_counters);

#endif
