/*
 * Data sets as local files: found on the hub once per sweep, then shared by its tasks.
 *
 * A data set is "owner/name" on the hub (daemon/measure/data_file.h says which of its files), or
 * "owner/name:path/in/it", or "file:/path". The commit is resolved once per sweep and process, so that all
 * revisions of a sweep see the same texts; the digest of the bytes is part of each result's identity anyway.
 */
#ifndef BIFURCATED_MEASURE_DATA_CACHE_H
#define BIFURCATED_MEASURE_DATA_CACHE_H

#include "daemon/base/err.h"
#include "daemon/hub/hub.h"

#include <stdatomic.h>
#include <stdint.h>

#define DATA_CACHE_STANDARD "EleutherAI/lambada_openai" /* where a sweep names none */

struct data_cache;

int data_cache_new(struct hub *hub, struct data_cache **ret_cache, struct err *err);

/* NULL is allowed. */
void data_cache_free(struct data_cache *cache);

/* The local path of a data set; the caller frees it. Of the threads that want the same for one sweep one
 * downloads, and the others wait until it has it or has failed; who wants another data set waits for nobody.
 * ERR_INVALID or ERR_NOT_FOUND list the files that could be named; ERR_CANCELLED; what the hub reports. */
int data_cache_get(struct data_cache *cache, int64_t sweep_id, const char *name, const atomic_bool *cancel,
                   char **ret_path, struct err *err);

#endif
