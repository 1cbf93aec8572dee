/*
 * How many bytes a folder with a budget holds at most, kept in its hidden file ".lock", so that not all of it
 * need be looked at for each file that is added. Whoever holds the tally adds alone, in whatever process.
 *
 *     "<bytes> <when they were counted, in seconds> <what was counted>"
 *
 * Who adds says so before; what is removed is only noticed when all is counted anew, which is due when the
 * budget seems to be exceeded, and once an hour: an older program, or a power cut, may have added untold.
 */
#ifndef BIFURCATED_HUB_TALLY_H
#define BIFURCATED_HUB_TALLY_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct tally {
    int fd;
    const char *what; /* borrowed */
    int64_t counted_s;
    uint64_t bytes;
    int is_known;
};

/* Makes the folder, waits for its lock, and reads. `what` tells apart what the folder may hold in turn ("" if
 * nothing): of something else nothing is known. The caller gives it back with tally_close. */
int tally_open(const char *folder, const char *what, struct tally *ret_tally, struct err *err);

/* Whether so many bytes more surely fit into the budget. */
int tally_has_room(const struct tally *tally, uint64_t size_bytes, uint64_t budget_bytes);

/* Says that so many bytes are about to be added, before they are. */
int tally_add(struct tally *tally, uint64_t size_bytes, struct err *err);

/* Says what was counted just now, and what is about to be added. */
int tally_count(struct tally *tally, uint64_t counted_bytes, uint64_t size_bytes, struct err *err);

/* Says that something is added of which nothing was or is counted. */
int tally_forget(struct tally *tally, struct err *err);

void tally_close(struct tally *tally);

/* What must go at once where that much must: of many files a sixteenth of the budget more, since all are
 * looked at each time. Never more than the budget, of which `size_bytes` is a part. */
uint64_t tally_spare(size_t file_count, uint64_t size_bytes, uint64_t budget_bytes);

#endif
