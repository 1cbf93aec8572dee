/*
 * One revision of a model, open for reading: its list of files, and its checkpoint over the repository.
 *
 * This is where the hub and the checkpoint readers meet; neither knows the other. The list of files of a
 * commit never changes, so it is asked of the hub once, by one of those who need it at the same time, and
 * then comes from the store.
 *
 * The hub counts lists and files apart, and takes six times as many requests for files. Where little is left
 * of the former, a revision whose weights alone are wanted is not listed: the answer for a weight file tells
 * its digest, which is all that a measurement and the audit need. Such a list of one weight file is a part,
 * and whoever needs another file has the whole one asked for.
 */
#ifndef BIFURCATED_SWEEP_REVISION_SOURCE_H
#define BIFURCATED_SWEEP_REVISION_SOURCE_H

#include "daemon/base/err.h"
#include "daemon/base/weight_layout.h"
#include "daemon/checkpoint/checkpoint.h"
#include "daemon/hub/repository.h"
#include "store/revisions.h"
#include "store/store.h"

struct revision_source {
    struct repository *repository; /* the revision's own, a view (daemon/hub/view.h); owned */
    char name[LIMIT_REVISION_NAME_BYTES + 1];
    struct repository_tree *tree;  /* owned */
    struct checkpoint_files files; /* for checkpoint_open; its context is this struct */
    char content[LIMIT_MODEL_NAME_BYTES + LIMIT_REVISION_NAME_BYTES + REPOSITORY_COMMIT_SIZE +
                 4];     /* of them */
    int forgotten_count; /* results that were recorded of other files than it has, by its list */
};

/* Lists the files of a stored revision, from the store or else from the repository (and then stores them).
 * The repository must outlive the source; the struct must not move while open. ERR_NOT_FOUND if the revision
 * does not exist any more. */
int revision_source_open(struct revision_source *source, struct store *store, struct repository *repository,
                         const struct revision_row *revision, struct err *err);

/* The same for who reads the weights alone: the list may be a part. */
int revision_source_open_weights(struct revision_source *source, struct store *store,
                                 struct repository *repository, const struct revision_row *revision,
                                 struct err *err);

/* The same, without ever asking for a list. ERR_UNSUPPORTED: what the hub says of files does not tell, since
 * the weights are not one file, or by a mirror that is silent. */
int revision_source_glance(struct revision_source *source, struct store *store, struct repository *repository,
                           const struct revision_row *revision, struct err *err);

/* Frees the list. Works on a zeroed struct too. */
void revision_source_close(struct revision_source *source);

/* Opens the checkpoint; the caller closes it before the source. */
int revision_source_open_checkpoint(struct revision_source *source, struct checkpoint **ret_checkpoint,
                                    struct err *err);

/* Appends a whole small file to buf; ERR_NOT_FOUND if the revision has none of that name. */
int revision_source_fetch(struct revision_source *source, const char *path, struct buf *buf, struct err *err);

/* Whether the revision has a file of this name, or it is not known that it has none. */
int revision_source_may_have(const struct revision_source *source, const char *path);

/* The digest of a file ("" if unknown): sha256 of LFS files, else git's. Borrowed. */
const char *revision_source_digest(const struct revision_source *source, const char *path);

/* Stores a list of the revision's files that somebody else has asked for. *ret_forgotten: see
 * revisions_set_listed_files. */
int revision_source_store(struct store *store, const struct revision_row *revision,
                          const struct repository_tree *tree, int *ret_forgotten, struct err *err);

/* A file as the store keeps it; 0: nothing identifies it. */
int revision_source_row_of(const struct repository_file *file, struct revision_file_row *ret_row);

/* By which files the checkpoint is read; NULL: it has none. */
const struct weight_layout *revision_source_layout(struct revision_source *source);

#endif
