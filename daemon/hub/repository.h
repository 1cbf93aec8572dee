/*
 * A repository: revisions of a model (or data set) and their files, wherever they live.
 *
 * The hub ("owner/name") and a local folder of checkpoints ("file:/path") offer the same few verbs, so that
 * nothing above this layer asks which of them it talks to. A revision name is first resolved to a commit, 40
 * hexadecimal digits, and everything else is asked for by commit: a branch that moves in the meantime changes
 * nothing. (The commit of a local revision is a digest of its files' names, sizes, times and inodes.)
 *
 * A repository may be used by several threads at once; the objects that it returns belong to the caller.
 */
#ifndef BIFURCATED_HUB_REPOSITORY_H
#define BIFURCATED_HUB_REPOSITORY_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/base/source.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define REPOSITORY_COMMIT_SIZE 41 /* 40 hexadecimal digits and a 0 */
#define REPOSITORY_SHA256_SIZE 65

enum repository_kind { REPOSITORY_KIND_MODEL, REPOSITORY_KIND_DATASET };

enum repository_ref_kind {
    REPOSITORY_REF_KIND_BRANCH, /* also: a subfolder of a local folder */
    REPOSITORY_REF_KIND_TAG,
    REPOSITORY_REF_KIND_PULL_REQUEST,
    REPOSITORY_REF_KIND_PLACE, /* offline: what the cache calls a folder or titled commit, by the name of its
                                  place (daemon/base/revision_place.h); the commit is where its files lie */
};

struct repository_ref {
    char *name; /* "step1000"; pull requests: "refs/pr/1" */
    enum repository_ref_kind kind;
    char commit[REPOSITORY_COMMIT_SIZE];
};

struct repository_refs {
    int is_partial; /* offline: what the cache knows; there may be more */
    size_t count;
    struct repository_ref *rows; /* branches, then tags, then pull requests; each as the hub orders them */
};

struct repository_file {
    char *path; /* relative, safe ("a/b.safetensors") */
    uint64_t size_bytes;
    char git_oid[REPOSITORY_COMMIT_SIZE]; /* git's blob id ("" if unknown); of an LFS file: of its pointer */
    char sha256[REPOSITORY_SHA256_SIZE];  /* of an LFS file's content, else "" */
};

struct repository_tree {
    char commit[REPOSITORY_COMMIT_SIZE];
    int64_t newest_ms; /* last change of a file, wall clock; 0 where that is not known: on the hub */
    int64_t settle_ms; /* how long it must have been seen like this until its files' times tell of any later
                          write: of a folder, else 0 */
    int is_partial;    /* offline: what the cache knows; there may be more */
    size_t count;
    struct repository_file *files; /* ordered by path, no path twice */
};

struct repository_commit {
    char id[REPOSITORY_COMMIT_SIZE];
    char *title;     /* its first line */
    int64_t date_ms; /* since 1970; -1 where the hub says none that can be read */
};

struct repository_commits {
    size_t count;
    struct repository_commit *rows; /* newest first */
};

/* What a repository or the whole hub has cost so far. */
struct repository_counters {
    uint64_t request_count;  /* HTTP requests sent, redirects and retries included */
    uint64_t received_bytes; /* bytes of bodies received */
    uint64_t transfer_us;    /* that requests took, added up: two at once count twice */
    uint64_t retry_count;
    uint64_t cache_hit_count; /* files served from the cache without a request for their content */
};

struct repository;

/* For implementers: the table behind the functions below; struct repository is the first member. */
struct repository_ops {
    int (*list_refs)(struct repository *, struct repository_refs **, struct err *);
    int (*resolve)(struct repository *, const char *revision, char *commit, struct err *);
    int (*list_tree)(struct repository *, const char *commit, struct repository_tree **, struct err *);
    int (*list_commits)(struct repository *, const char *revision, struct repository_commits **,
                        struct err *); /* NULL: it has no history: a folder */
    int (*open_file)(struct repository *, const char *commit, const char *path,
                     const struct repository_file *expected, struct source **, struct err *);
    int (*fetch_file)(struct repository *, const char *commit, const char *path,
                      const struct repository_file *expected, struct buf *, struct err *);
    int (*download_file)(struct repository *, const char *commit, const char *path,
                         const struct repository_file *expected, char **, struct err *);
    int (*ask_access)(struct repository *, const char *commit, const char *path,
                      struct err *); /* NULL: nobody keeps it from us; reading tells whether it can be read */
    int (*ask_file)(struct repository *, const char *commit, const char *path, struct repository_file *,
                    struct err *); /* NULL: it tells nothing of a single file */
    void (*counters)(struct repository *, struct repository_counters *);
    void (*close)(struct repository *);
};

struct repository {
    const struct repository_ops *ops;
    const char *name;          /* "EleutherAI/pythia-14m" or "file:/path"; owned by the implementer */
    const atomic_bool *cancel; /* ends calls that wait, once it is true; NULL: nothing does */
};

/* All branches, tags and pull requests. The caller frees *ret_refs. ERR_NOT_FOUND with ERR_ABSENT_MODEL:
 * there is no such model, or it is kept from us. */
int repository_list_refs(struct repository *repository, struct repository_refs **ret_refs, struct err *err);

/* The commit of a branch, tag, pull request ref or (abbreviations excepted) commit. NULL or "" is the default
 * branch. commit has REPOSITORY_COMMIT_SIZE bytes. ERR_NOT_FOUND if there is no such revision. */
int repository_resolve(struct repository *repository, const char *revision, char *commit, struct err *err);

/* All files of a commit. The caller frees *ret_tree. */
int repository_list_tree(struct repository *repository, const char *commit, struct repository_tree **ret_tree,
                         struct err *err);

/*
 * The history of a branch, tag or commit, newest first, at most LIMIT_HUB_COMMITS (else ERR_LIMIT); of a
 * commit it is one list even if the branch moves while its pages are read. NULL or "" is the default branch.
 * Commits whose title nobody can ask for (empty, LIMIT_REVISION_NAME_BYTES or more, control characters) are
 * passed over. The caller frees *ret_commits. ERR_NOT_FOUND as for repository_resolve(); ERR_UNSUPPORTED: of
 * folders.
 */
int repository_list_commits(struct repository *repository, const char *revision,
                            struct repository_commits **ret_commits, struct err *err);

/*
 * Opens a file for reading by ranges; nothing is fetched before the first read except where noted by the
 * implementer. `expected` is the file's row of the tree, or NULL; with it, size and digests are held against
 * what is served, and no request is needed to learn the size. A file that is whole in the cache is mapped.
 * Announce with source_will_need() a region that will be read in small pieces (a zip entry's local header and
 * its data): it is then fetched in one request. The caller closes *ret_source before the repository.
 */
int repository_open_file(struct repository *repository, const char *commit, const char *path,
                         const struct repository_file *expected, struct source **ret_source, struct err *err);

/* Appends a whole small file (config.json, an index, tokenizer.json) to `buf`, whose max bounds it; digests
 * are verified where known. */
int repository_fetch_file(struct repository *repository, const char *commit, const char *path,
                          const struct repository_file *expected, struct buf *buf, struct err *err);

/* Makes the whole file available as a local file, verified, and gives its path (the caller frees it). On the
 * hub: in the standard cache, where Python finds it too. */
int repository_download_file(struct repository *repository, const char *commit, const char *path,
                             const struct repository_file *expected, char **ret_path, struct err *err);

/* Whether this file may be read now, whatever was refused before: on the hub by one request, which fetches
 * nothing and does not leave the endpoint. ERR_GATED: not. */
int repository_ask_access(struct repository *repository, const char *commit, const char *path,
                          struct err *err);

/* What is said of one file without the list of all: the size and SHA-256 of an LFS file, on the hub by one
 * request for a file, which fetches nothing. ret_file->path stays. ERR_NOT_FOUND: the commit has no such
 * file, for sure. ERR_UNSUPPORTED: that is not told, as of small files, by some mirrors, and of folders. */
int repository_ask_file(struct repository *repository, const char *commit, const char *path,
                        struct repository_file *ret_file, struct err *err);

/* What this repository object has cost so far. */
void repository_counters(struct repository *repository, struct repository_counters *counters);

/* NULL is allowed. */
void repository_close(struct repository *repository);

/* The row of a path, or NULL. Borrowed. */
const struct repository_file *repository_tree_find(const struct repository_tree *tree, const char *path);

/* Whether it has the path; as weight_layout_choose() asks, with a tree for its context. */
int repository_tree_has(void *tree, const char *path);

/* NULL is allowed. */
void repository_tree_free(struct repository_tree *tree);
void repository_refs_free(struct repository_refs *refs);
void repository_commits_free(struct repository_commits *commits);

#endif
