/*
 * The standard hub cache of one repository, laid out and locked as huggingface_hub does it:
 *
 *     <root>/models--owner--name/blobs/<id>              content; id: SHA-256 of LFS files, else git's id
 *     <root>/models--owner--name/snapshots/<commit>/...  relative links to blobs
 *     <root>/models--owner--name/refs/<revision>         40 digits, no newline
 *     <root>/.locks/models--owner--name/<id>.lock        flock(2), held while a blob is written
 *
 * A blob appears under its name only when it is whole, verified and on the disk. Unfinished content has a
 * name of our own (<id>.b1f0ca7e.incomplete), which no other program writes to; its lock makes it ours alone,
 * so a download goes on where an earlier one stopped.
 */
#ifndef BIFURCATED_HUB_CACHE_H
#define BIFURCATED_HUB_CACHE_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"

#include <stdint.h>
#include <sys/stat.h>

struct cache {
    char *root;         /* ".../hub" */
    char *folder;       /* "<root>/models--owner--name" */
    char *locks_folder; /* "<root>/.locks/models--owner--name" */
};

/* Only remembers names; nothing is made on disk. The caller frees with cache_free. */
int cache_init(struct cache *cache, const char *root, enum repository_kind kind, const char *name,
               struct err *err);
void cache_free(struct cache *cache);

/* The file of a snapshot if its content is there, and of this size if one is given, as a new string, else
 * NULL. */
char *cache_find_file(const struct cache *cache, const char *commit, const char *path,
                      const uint64_t *size_bytes);

/* The blob of this id if it is there with this size, as a new string, else NULL. */
char *cache_find_blob(const struct cache *cache, const char *id, uint64_t size_bytes);

/* Paths of a blob and of its unfinished content, as new strings; NULL without memory. */
char *cache_blob_path(const struct cache *cache, const char *id);
char *cache_partial_path(const struct cache *cache, const char *id);

/* Makes blobs/, snapshots/, refs/ and the lock folder. */
int cache_make_folders(const struct cache *cache, struct err *err);

/* Takes the lock of a blob; *ret_fd is given back to cache_unlock. Returns 1 if somebody else holds it. */
int cache_lock(const struct cache *cache, const char *id, int *ret_fd, struct err *err);
void cache_unlock(int fd);

/* Renames verified, synced content to its blob's name and syncs the folder. ERR_CONFLICT: another program
 * removed it. */
int cache_publish(const struct cache *cache, const char *id, struct err *err);

/* Makes snapshots/<commit>/<path> a relative link to the blob. What leads to a file of the blob's size is
 * left alone. */
int cache_link(const struct cache *cache, const char *commit, const char *path, const char *id,
               struct err *err);

/* Which file a blob is: one that was deleted and brought again by somebody else is another. All 0: none. */
struct cache_identity {
    uint64_t inode, changed_s, changed_ns;
};

void cache_identify(const struct stat *status, struct cache_identity *ret_identity);

/* Removes our unfinished content of a blob, and the blob if it is `ours`, with the links to it and refs to
 * snapshots that become empty. The caller holds its lock. */
int cache_remove_blob(const struct cache *cache, const char *id, const struct cache_identity *ours,
                      struct err *err);

/* refs/<revision>: ERR_NOT_FOUND if it is not there; ERR_CONFLICT if it cannot be, since "a" and "a/b" are a
 * file and a folder of one name. commit has REPOSITORY_COMMIT_SIZE bytes. */
int cache_read_ref(const struct cache *cache, const char *revision, char *commit, struct err *err);
int cache_write_ref(const struct cache *cache, const char *revision, const char *commit, struct err *err);

/* What is known without the hub: the refs that were written, and a commit's files (the list that Python keeps
 * in trees/, else the snapshot as far as it is there). ERR_NOT_FOUND if nothing is. */
int cache_list_refs(const struct cache *cache, struct repository_refs **ret_refs, struct err *err);
int cache_list_tree(const struct cache *cache, const char *commit, struct repository_tree **ret_tree,
                    struct err *err);

#endif
