/*
 * Whether a checkpoint is whole, or still being written by a trainer.
 *
 * On the hub a commit appears at once, so every one is whole. A revision of a folder counts as whole once no
 * file of it has changed for COMPLETENESS_SETTLE_MS and its checkpoint is consistent:
 *
 *   - its layout can be opened, and all shards that its index names are there;
 *   - each file ends where it says: by the header of a safetensors file, by the directory of a torch zip, not
 * before the last chunk that torch.distributed.checkpoint's metadata names, which is written last;
 *   - all tensors of the index are in them, and chunks make whole tensors.
 */
#ifndef BIFURCATED_SWEEP_COMPLETENESS_H
#define BIFURCATED_SWEEP_COMPLETENESS_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"
#include "store/revisions.h"

#define COMPLETENESS_SETTLE_MS 30000

enum completeness {
    COMPLETENESS_WHOLE,
    COMPLETENESS_FRESH,  /* a file changed a moment ago: look again soon */
    COMPLETENESS_BROKEN, /* quiet, but not consistent: not finished yet, or never will be */
};

/* Looks at one revision; reads headers only. Unless it is WHOLE, reason[ERR_MESSAGE_BYTES] says what is
 * missing. An error is returned only if that could not be found out (memory, cancelled). */
int completeness_check(struct repository *repository, struct store *store,
                       const struct revision_row *revision, int64_t now_ms,
                       enum completeness *ret_completeness, char *reason, struct err *err);

/* The rule for times alone: whether a file that changed at `newest_ms` may still be written at `now_ms`. */
int completeness_is_fresh(int64_t newest_ms, int64_t now_ms);

#endif
