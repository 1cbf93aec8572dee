/*
 * The folders of a tree that hold checkpoints: config.json or weights lie in them, as in a local folder.
 */
#ifndef BIFURCATED_SWEEP_CHECKPOINT_FOLDERS_H
#define BIFURCATED_SWEEP_CHECKPOINT_FOLDERS_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"

struct checkpoint_folder {
    const char *path;         /* of a file in it; borrowed of the tree */
    size_t size, parent_size; /* of the folder's path; of the part before its last component, 0 at the top */
    int is_taken;             /* for the caller */
};

struct checkpoint_folders {
    struct checkpoint_folder
        *rows; /* by parents, so that what lies beside each other is together; each once */
    size_t count;
};

/* The top is none of them. The caller frees *folders with checkpoint_folders_free(), before the tree. */
int checkpoint_folders_list(const struct repository_tree *tree, struct checkpoint_folders *folders,
                            struct err *err);

/* Of those that are taken keeps the most that lie beside each other: one run. */
void checkpoint_folders_keep_one_run(struct checkpoint_folders *folders);

void checkpoint_folders_free(struct checkpoint_folders *folders);

#endif
