/*
 * A local folder of checkpoints as a repository ("file:/path"): what a running trainer writes.
 *
 * Each subfolder that holds a checkpoint (weight_layout_is_of_checkpoint) is a revision of that name; if
 * the folder itself holds one, it is the revision "main", in place of a subfolder of that name. The commit of
 * a revision is a digest of the names, sizes, times and inodes of its files, so a checkpoint that is still
 * being written changes its commit, and reading by an old commit fails instead of mixing two states.
 *
 * A second write in the same tick of the file system's clock would leave a file's time as it was. So where a
 * file changed less than a minute ago, opening one waits until the commit has stood for longer than a tick:
 * 60 ms, or 2 s where times have no fractions.
 */
#ifndef BIFURCATED_HUB_FOLDER_H
#define BIFURCATED_HUB_FOLDER_H

#include "daemon/base/err.h"
#include "daemon/hub/folder_hints.h"
#include "daemon/hub/repository.h"

/* Opens "file:/path" (or "file:///path"). ERR_INVALID unless the path is absolute. The caller closes it,
 * before `hints`, which several may share. `cancel`, or NULL, ends the wait for a tick once it is true. */
int folder_open_repository(const char *name, struct folder_hints *hints, const atomic_bool *cancel,
                           struct repository **ret_repository, struct err *err);

#endif
