/*
 * A data set: a file as a sequence of texts, read as a stream.
 *
 * Kinds: JSON lines (one object per line, one string field is the text), or a whole file as one text. gzip
 * and zstd are recognised by their first bytes and unpacked on the way; what comes out is bounded, so that a
 * small file cannot become an endless one. Memory is bounded by the longest text.
 * The SHA-256 of the raw bytes (as stored, so it equals the hub's LFS digest) names the data set in results.
 */
#ifndef BIFURCATED_TEXT_DATASET_H
#define BIFURCATED_TEXT_DATASET_H

#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/source.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum dataset_kind {
    DATASET_KIND_AUTO,  /* by the file's name: ".jsonl" (also before .gz, .zst) is JSONL, all else TEXT */
    DATASET_KIND_JSONL, /* one JSON object per line; blank lines are skipped */
    DATASET_KIND_TEXT,  /* the whole file is one text */
};

struct dataset_options {
    enum dataset_kind kind;
    const char *field;         /* of the JSON objects; NULL is "text" */
    uint64_t limit;            /* texts to deliver; 0 is all */
    const atomic_bool *cancel; /* or NULL: once true, reading on ends with ERR_CANCELLED */
};

struct dataset;

/* Starts to read `source`, which is borrowed and outlives the data set; its name appears in messages.
 * `options` may be NULL. ERR_NO_MEMORY; everything else shows up while reading. The caller frees
 * *ret_dataset. */
int dataset_open(struct source *source, const struct dataset_options *options, struct dataset **ret_dataset,
                 struct err *err);

/* Frees. NULL is allowed. */
void dataset_close(struct dataset *dataset);

/* The next text, borrowed until the next call and followed by a 0 (it may also hold zeros). At the end
 * *ret_text is NULL. ERR_FORMAT names the line: "x.jsonl: line 17: no field "text""; ERR_LIMIT for a text, a
 * line or a file past its bound; ERR_IO and what the source reports. After a failure the data set can only be
 * closed. */
int dataset_next(struct dataset *dataset, const char **ret_text, size_t *ret_size, struct err *err);

/* SHA-256 of the whole raw file, whatever the limit: reads the rest of the source (without unpacking it);
 * ERR_CANCELLED. The data set can only be closed afterwards. hex has DIGEST_SHA256_HEX_SIZE bytes. */
int dataset_digest(struct dataset *dataset, char *hex, struct err *err);

/* The kind that a source of this name is read as: `kind` itself unless it is AUTO. */
enum dataset_kind dataset_kind_resolve(enum dataset_kind kind, const char *name);

/* "jsonl" for DATASET_KIND_JSONL. */
const char *dataset_kind_name(enum dataset_kind kind);

#endif
