/*
 * A file that is read at a commit which may vanish, while another has it, too.
 *
 * Of a folder of a branch only what lies in it counts, so it is read at any commit of the branch at which it
 * is as it should be. When the branch's history is squashed, that commit is gone, and the folder mostly is as
 * before at the new one: there the file is opened again, once.
 */
#ifndef BIFURCATED_HUB_MOVING_FILE_H
#define BIFURCATED_HUB_MOVING_FILE_H

#include "daemon/base/err.h"
#include "daemon/base/source.h"
#include "daemon/hub/repository.h"

/* Opens the file where it is now, from its beginning. */
typedef int moving_file_reopen(struct repository *repository, const char *commit, const char *path,
                               const struct repository_file *expected, struct source **ret_source,
                               struct err *err);

/* Whether an error of reading says that there is no such commit. */
int moving_file_is_gone(const struct err *err);

/* Takes `now`, a file that was opened as the other parameters say, and wraps it; a mapped one needs that not
 * and is handed through. The caller closes *ret_source before the repository; after an error `now` is
 * closed. */
int moving_file_open(struct source *now, struct repository *repository, const char *commit, const char *path,
                     const struct repository_file *expected, moving_file_reopen *reopen,
                     struct source **ret_source, struct err *err);

#endif
