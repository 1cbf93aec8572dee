/*
 * Which revision of a local folder had a commit when it was last seen, and how long it has been seen.
 *
 * Everything is asked for by commit, and a folder has no index of its commits: finding one means to look at
 * every file of every revision. A hint saves that. It is a guess, to be checked against the revision before
 * use, so it may be old, and a newer one may take its place. Safe from any thread.
 */
#ifndef BIFURCATED_HUB_FOLDER_HINTS_H
#define BIFURCATED_HUB_FOLDER_HINTS_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct folder_hints;

int folder_hints_new(struct folder_hints **ret_hints, struct err *err);

/* One more owner, who frees it as well; returns `hints`. */
struct folder_hints *folder_hints_share(struct folder_hints *hints);

/* The last owner's frees it. NULL is allowed. */
void folder_hints_free(struct folder_hints *hints);

/* Without memory nothing is noted. */
void folder_hints_put(struct folder_hints *hints, const char *commit, const char *revision);

/* Whether there is a hint; its name, cut to `size`. */
int folder_hints_get(struct folder_hints *hints, const char *commit, char *revision, size_t size);

/* For how long at least this commit has been seen; 0 if it is not known. */
int64_t folder_hints_age_ms(struct folder_hints *hints, const char *commit);

#endif
