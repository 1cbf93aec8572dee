/*
 * For this folder only: the files that a perplexity was scored of, inside of the writer's transaction.
 *
 * Where the list of the revision's files is known, they must be in it. Where it is not yet, they are kept
 * until it comes, and then held against it: a perplexity of other files is none of this revision.
 */
#ifndef BIFURCATED_STORE_SCORED_FILES_H
#define BIFURCATED_STORE_SCORED_FILES_H

#include "store/connection.h"
#include "store/revisions.h"

/* A revision was linked with a perplexity of this mode, which these files gave. ERR_MISMATCH: the list of the
 * revision's files has another. */
int scored_files_note(struct connection *connection, int64_t revision_id, const char *mode,
                      const struct revision_file_row *files, size_t count, struct err *err);

/* The list of files has come: the revision loses each perplexity that others gave. *ret_forgotten grows by
 * how many. */
int scored_files_confirm(struct connection *connection, int64_t revision_id, int *ret_forgotten,
                         struct err *err);

#endif
