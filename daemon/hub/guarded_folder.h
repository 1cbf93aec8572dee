/*
 * A local folder for threads that must not stand still: each of its verbs, and each read of its files, is an
 * errand (daemon/base/errand.h). So a folder on a mount whose server is gone costs its caller some seconds
 * and an ERR_UNREACHABLE, and later none at all; what needs it waits. ERR_TIMEOUT: it has waited for too
 * long.
 *
 * Tasks have another way, since their reads are large and their process may end (daemon/measure/hang.h).
 */
#ifndef BIFURCATED_HUB_GUARDED_FOLDER_H
#define BIFURCATED_HUB_GUARDED_FOLDER_H

#include "daemon/base/err.h"
#include "daemon/base/errand.h"
#include "daemon/hub/folder_hints.h"
#include "daemon/hub/repository.h"

/* As folder_open_repository(). The caller closes it before `errands` are freed. */
int guarded_folder_open_repository(const char *name, struct folder_hints *hints, struct errands *errands,
                                   const atomic_bool *cancel, struct repository **ret_repository,
                                   struct err *err);

/* Looks at the folder itself: 0, whatever is there, or the errors above where nothing answers. */
int guarded_folder_visit(const char *name, struct errands *errands, struct err *err);

#endif
