/*
 * For this folder only: configurations, tokenizers and indexes of shards that were fetched and verified, in
 * memory, by the id of what they hold. The revisions of a model, and the models of a family, have equal
 * ones; their lists of files show it, so each content is fetched once and not once for each revision.
 *
 * At most SMALL_FILES_MAX files of SMALL_FILES_BYTES together; those that were not used for longest go first.
 */
#ifndef BIFURCATED_HUB_SMALL_FILES_H
#define BIFURCATED_HUB_SMALL_FILES_H

#include "daemon/base/keyed_lock.h"
#include "daemon/base/limits.h"

#include <pthread.h>
#include <stddef.h>

#define SMALL_FILES_MAX 256
#define SMALL_FILES_BYTES (64 * MIB)

struct small_file;

struct small_files {
    pthread_mutex_t lock;
    struct small_file *newest;
    size_t count, size_bytes;
    struct keyed_locks fetching;
};

void small_files_init(struct small_files *files);

/* Nobody may be fetching any more. */
void small_files_free(struct small_files *files);

/* Whether a file of this path and size is kept where there is room: JSON, or a tokenizer.model, of at
 * most half of it. */
int small_files_takes(const char *path, uint64_t size_bytes);

/* The caller will look for this content, and fetch and keep it where it is not there; who wants the same
 * waits. ERR_CANCELLED as keyed_locks_take(). `id` is borrowed until small_files_end(). */
int small_files_begin(struct small_files *files, struct keyed_lock *own, const char *id,
                      const atomic_bool *cancel, struct err *err);
void small_files_end(struct small_files *files, struct keyed_lock *own);

/* Copies the content of this id, which has this size, to `data`; returns whether it is there. */
int small_files_read(struct small_files *files, const char *id, void *data, size_t size_bytes);

/* Keeps a copy, whose content has been verified by its id; without memory, none. */
void small_files_keep(struct small_files *files, const char *id, const void *data, size_t size_bytes);

#endif
