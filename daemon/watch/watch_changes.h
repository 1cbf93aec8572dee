/*
 * How the refs of a model differ from what the store knows: branches and tags that are new, have moved, are
 * gone. A branch that only carries checkpoints, as folders or commits, moves with each push and is not told.
 */
#ifndef BIFURCATED_WATCH_WATCH_CHANGES_H
#define BIFURCATED_WATCH_WATCH_CHANGES_H

#include "daemon/base/err.h"
#include "daemon/sweep/revision_list.h"
#include "store/store.h"

#include <jansson.h>

#define WATCH_CHANGES_NAMES_MAX 100 /* of each kind in a report; all are counted */

/* Adds to the report: "new", "moved", "gone", each {"count": N, "names": [...]}. `earlier`: the same three of
 * runs that could not report them, or NULL; they are added. Before revision_list_store. */
int watch_changes_report(struct store *store, int64_t model_id, const struct revision_list *list,
                         const json_t *earlier, json_t *report, struct err *err);

/* Takes them out of the report again: the store was not brought up to date. */
void watch_changes_take_back(json_t *report);

/* Those three of a report as a text, for revisions_note; *ret_text becomes NULL if nothing has changed. The
 * caller frees it. */
int watch_changes_dump(const json_t *report, char **ret_text, struct err *err);

#endif
