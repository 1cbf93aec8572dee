/*
 * A byte source: "read these bytes at this offset" of an immutable sequence of known size.
 *
 * This is all that the checkpoint readers know of the world: a local file and a file on the hub that is read
 * by ranges look the same. Implementers embed `struct source` as their first member and fill in the table.
 */
#ifndef BIFURCATED_BASE_SOURCE_H
#define BIFURCATED_BASE_SOURCE_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct source;

/* What tells a file from others and, but for changes within the clock's granularity, from its own past. */
struct source_identity {
    uint64_t device, inode, size_bytes;
    int64_t modified_ns, changed_ns; /* wall clock: content (anyone may set it), and whatever of the file */
};

struct source_ops {
    /* Fills exactly `size` bytes or fails. Called only with a range that lies inside the source. */
    int (*read)(struct source *source, uint64_t offset, void *data, size_t size, struct err *err);
    /* (optional) Says that these ranges will be read soon, so that they may be fetched together. */
    void (*will_need)(struct source *source, uint64_t offset, uint64_t size);
    /* (optional) The whole content in memory, valid as long as the source (a mapped file); or NULL. */
    const void *(*map)(struct source *source);
    /* (optional) Of a file, as it is now; 0 where that cannot be told. */
    int (*identify)(struct source *source, struct source_identity *ret_identity);
    void (*close)(struct source *source);
    int reads_at_once; /* whether several threads may read at once, each its part, and are faster then */
};

struct source {
    const struct source_ops *ops;
    const char *name;    /* for messages: "model.safetensors"; owned by the implementer */
    uint64_t size_bytes; /* of the whole content */
};

/* Reads exactly `size` bytes at `offset`; a range outside of the source is ERR_FORMAT ("truncated"). */
int source_read(struct source *source, uint64_t offset, void *data, size_t size, struct err *err);

/* Announces a range; does nothing where the source does not care. */
void source_will_need(struct source *source, uint64_t offset, uint64_t size);

/* The mapped content, or NULL if this source cannot be mapped. Borrowed. */
const void *source_map(struct source *source);

/* Whether a large range is read fastest in pieces by several threads: of files, not of what is fetched. */
int source_reads_at_once(const struct source *source);

/* Which file it is, as the file is now; 0: it is none, or that cannot be told. */
int source_identify(struct source *source, struct source_identity *ret_identity);

/* Frees the source. NULL is allowed. */
void source_close(struct source *source);

/* Opens a local regular file, which is also mapped. A read past what is left of a file that was cut short is
 * ERR_FORMAT; the mapping has no such defence. The caller closes *ret_source. */
int source_open_file(const char *path, struct source **ret_source, struct err *err);

/* The same for a file that others may still write (a trainer's folder): it is not mapped, so that nothing can
 * touch what is gone, and a read is ERR_MISMATCH once its size or time of change is not what it was when it
 * was opened. */
int source_open_changing_file(const char *path, struct source **ret_source, struct err *err);

/* The `size` bytes at `offset` of another source, which must outlive it and hold them. `name` is copied. */
int source_open_part(struct source *whole, uint64_t offset, uint64_t size, const char *name,
                     struct source **ret_source, struct err *err);

/* A source over bytes that the caller keeps alive (tests, fuzzers, small downloads). `name` is copied. */
int source_open_memory(const char *name, const void *data, size_t size, struct source **ret_source,
                       struct err *err);

#endif
