/*
 * Where a tensor of a revision lies, and what is known of it before its bytes are fetched.
 *
 * The store is asked first: a revision that was measured, or a file with a digest that was seen under any
 * name, tells dtype, shape and content without a request. Only otherwise the header is read.
 */
#ifndef BIFURCATED_MEASURE_LOCATION_H
#define BIFURCATED_MEASURE_LOCATION_H

#include "daemon/base/err.h"
#include "daemon/checkpoint/checkpoint.h"
#include "daemon/hub/repository.h"
#include "daemon/measure/location_cache.h"
#include "daemon/measure/references.h"
#include "daemon/measure/tensor_pool.h"
#include "daemon/sweep/revision_source.h"
#include "store/contents.h"
#include "store/revisions.h"
#include "store/store.h"

#define LOCATION_KEY_SIZE                                                                                    \
    (STORE_DIGEST_SIZE + 3 + LIMIT_MODEL_NAME_BYTES + LIMIT_FILE_NAME_BYTES + LIMIT_TENSOR_NAME_BYTES)

/* Under which key a tensor lies in the pool: by its file's digest, or, where that is "", by where the file
 * lies. A folder's commit alone does not say that: in two file systems, files of one name, size and time may
 * have one inode number as well. */
void location_write_key(char key[LOCATION_KEY_SIZE], const char *file_digest, const char *repository,
                        const char *commit, const char *file, const char *tensor);

/* What all locations of a task share; everything is borrowed. */
struct location_context {
    struct store *store;
    struct location_cache *cache;
    struct tensor_pool *pool;
    struct references *references; /* NULL: nothing is kept */
    struct repository *repository;
    const atomic_bool *cancel;
    int is_wary; /* reads no file, after a hang: what is neither in memory nor kept is ERR_TIMEOUT */
};

struct location {
    const struct location_context *context; /* borrowed */
    struct revision_row revision;
    char tensor[LIMIT_TENSOR_NAME_BYTES + 1];
    char file[LIMIT_FILE_NAME_BYTES + 1];
    char file_digest[STORE_DIGEST_SIZE]; /* "" if unknown */
    enum tensor_dtype dtype;
    struct tensor_shape shape; /* as a matrix if it comes from the store */
    uint64_t size_bytes;
    int is_content_known;       /* then `content` is the row of the store */
    struct content_row content; /* its id is 0 otherwise */
    char key[LOCATION_KEY_SIZE];
    /* open only where the header had to be read */
    int is_source_open;
    struct revision_source source;
    struct checkpoint *checkpoint;
};

/*
 * Finds `tensor` of the revision. Whoever has to read a header brings the tensor into the pool at once, while
 * the header is at hand and other tasks that need the same tensor wait for it; so each header and each tensor
 * is fetched once. The struct must not move afterwards. ERR_NOT_FOUND where the revision has no such tensor.
 * The caller closes it, also after an error.
 */
int location_open(struct location *location, const struct location_context *context,
                  const struct revision_row *revision, const char *tensor, struct err *err);

void location_close(struct location *location);

/* Its bytes came damaged: ranges that are kept of them are fetched again when they are next asked for. Of a
 * tensor that no one file's digest tells, which may lie in several, ranges of all files of its revision. */
void location_forget_ranges(const struct location *location);

/* The request that loads it into the pool; valid as long as the location. */
struct tensor_request location_request(struct location *location);

#endif
