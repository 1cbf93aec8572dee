/*
 * The tensors that the displacements of folders' runs start from, kept on disk.
 *
 * A trainer deletes its old checkpoints (save_total_limit), and among the first is the one that all later
 * displacements are measured from. So once that tensor is in memory it is kept, under the digest of its
 * bytes:
 *
 *     <state folder>/references/<SHA-256>/
 *
 * It is read from there once the folder has it no longer. Keeping is best effort, and no task fails because
 * of it; a tensor takes at most half of the free disk space. One that no series of a folder refers to any
 * more goes, as do the least recently used ones beyond the budget. What the hub has stays there: its
 * commits outlive their branches, and a branch that is deleted leaves its series.
 */
#ifndef BIFURCATED_MEASURE_REFERENCES_H
#define BIFURCATED_MEASURE_REFERENCES_H

#include "daemon/base/err.h"
#include "store/store.h"

#include <stdint.h>

struct references;

struct references_options {
    const char *state_folder; /* copied */
    uint64_t budget_bytes;    /* 0: nothing is kept */
    /* Called when one cannot be kept, the first time, and with NULL when one could be again. By any thread.
     */
    void (*tell)(void *context, const struct err *reason);
    void *context;
};

int references_new(const struct references_options *options, struct references **ret_references,
                   struct err *err);

/* What is kept stays. NULL is allowed. */
void references_free(struct references *references);

/* Keeps the tensor with this digest, unless it is kept already; it counts as used. */
void references_keep(struct references *references, const char *digest, const void *data,
                     uint64_t size_bytes);

/* Fills data[size_bytes] with the tensor of this digest; returns whether it is kept, and undamaged. */
int references_read(struct references *references, const char *digest, void *data, uint64_t size_bytes);

/* Removes what nothing in the store refers to and nobody has used for a while; what cannot be told stays. */
void references_prune(struct references *references, struct store *store);

/* Bytes on disk. */
uint64_t references_size(const struct references *references);

#endif
