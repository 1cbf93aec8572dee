/* Visiting the files below a folder. What is not there, or not ours to read, is skipped; a disk or a server
 * that fails is an error, so that what it hides is not taken for gone. */
#ifndef BIFURCATED_HUB_WALK_H
#define BIFURCATED_HUB_WALK_H

#include "daemon/base/err.h"

#include <dirent.h>
#include <sys/stat.h>

/* Gets the path on disk, the path below the top and the status of what it leads to (links are followed). */
typedef int walk_visit(void *context, const char *path, const char *relative, const struct stat *status,
                       struct err *err);

/* Visits every regular file below `folder` in no particular order, at most `depth_max` folders deep (0: only
 * the folder itself). Hidden entries but .metadata of torch and broken links are passed over, and so is a
 * folder that we may not read. Ends with the first nonzero return of `visit`, or with ERR_LIMIT: links can
 * make few folders endless.
 */
int walk_files(const char *folder, int depth_max, walk_visit *visit, void *context, struct err *err);

/* The next entry of an open folder, valid until the next call; NULL at its end. */
int walk_next(DIR *stream, const char *folder, const struct dirent **ret_entry, struct err *err);

#endif
