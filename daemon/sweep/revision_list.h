/*
 * The revisions of a model as the hub (or the folder) lists them now, placed in step order: branches and
 * tags, or the other places (places.h) that a rule or main itself says.
 */
#ifndef BIFURCATED_SWEEP_REVISION_LIST_H
#define BIFURCATED_SWEEP_REVISION_LIST_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"
#include "daemon/model/revision.h"
#include "daemon/sweep/places.h"
#include "daemon/sweep/sweep_spec.h"
#include "store/revisions.h"

/* Offline: where the weights of a revision are. */
enum revision_cached {
    REVISION_CACHED_UNKNOWN, /* nobody looked */
    REVISION_CACHED_HERE,    /* in the cache, or it cannot be told */
    REVISION_CACHED_ELSEWHERE,
};

struct revision_listed {
    struct revision_row row;                  /* id is 0 until revision_list_store */
    struct model_revision named;              /* what the name says, in whatever unit */
    struct model_revision place;              /* in the training run: of the list's unit, else no step */
    int is_selected, is_refused, is_given_up; /* for the caller */
    int is_carrier;               /* a branch in which places lie and that is not asked for itself:
                                     its commit tells nothing */
    int is_remembered;            /* only the store knows it: see revision_list_remember */
    int is_known;                 /* the store had its name before; set there, of folders */
    enum revision_cached cached;  /* cached_revisions_find() */
    struct repository_tree *tree; /* of a folder of a branch: its files; owned; else NULL */
};

struct revision_list {
    struct revision_listed *rows; /* in step order */
    size_t count, capacity;
    enum step_unit unit;            /* what their steps count; names that count another are no steps */
    int is_partial;                 /* the repository knows only a part of them now: offline */
    struct err failure;             /* why the hub does not tell of other places now; code 0: it does */
    size_t place_count;             /* of them, that are no branches or tags but were looked for */
    char looked[PLACES_WORDS_SIZE]; /* where for those; "": nowhere */
};

/*
 * Lists branches and tags, one request, and what the spec names besides (a commit, a pull request), one
 * request each. Names are placed by the spec's rule. Where it is a rule of other places, or there is none and
 * no branch or tag gives a step, those are looked for (places.h); for a rule of repositories the model's own
 * is not asked. The caller frees *list with revision_list_free, also after an error.
 */
int revision_list_read(struct revision_list *list, struct repository *repository,
                       const struct sweep_spec *spec, struct err *err);

/*
 * Of a partial list: adds the revisions that the store has as current and the list lacks. They cannot be read
 * now, but they are what comes first in step order, or before another one; a sweep of the part alone would
 * measure displacements from elsewhere than the series does.
 *
 * Of a folder: adds what was measured and its trainer has deleted since (save_total_limit), so that it stays
 * in the series. That is older than the newest checkpoint there, if there is one, and than any that is new:
 * what is not belongs to a run before, whose folder another run has taken (see run_before.h, too). Nothing is
 * done to another whole list.
 */
int revision_list_remember(struct revision_list *list, struct store *store, int64_t model_id,
                           const char *model, const struct sweep_spec *spec, struct err *err);

/* Stores the files of folders of branches, which are known with their names; after revision_list_store. */
int revision_list_store_files(const struct revision_list *list, struct store *store, struct err *err);

void revision_list_free(struct revision_list *list);

/* By name, or NULL. */
struct revision_listed *revision_list_find(const struct revision_list *list, const char *name);

/* Displacements from a revision that does not exist would all be missing, after hours: that is a slip. A NULL
 * reference is none. ERR_NOT_FOUND. */
int revision_list_check_reference(const struct revision_list *list, const char *model, const char *reference,
                                  struct err *err);

/* Whether any of them is a point of the run. */
int revision_list_has_steps(const struct revision_list *list);

/* Drops names that do not exist. */
void revision_list_drop_missing(struct revision_list *list);

/* Brings the store up to date, in one transaction: rows get their ids, what is not in a whole list is not
 * current any more, and the model the unit of its steps, if there are any; remembered rows of a partial one
 * stay as they are.
 * `note`: see revisions_update; NULL but for watches. */
int revision_list_store(struct revision_list *list, struct store *store, int64_t model_id,
                        const struct revisions_note *note, struct err *err);

/* Whether the revision exists. */
int revision_listed_exists(const struct revision_listed *listed);

/* Whether it may be read: it is there, or, of a partial list, may be in the cache though its place cannot be
 * looked at; where the cache was looked at, it tells. */
int revision_listed_is_readable(const struct revision_list *list, const struct revision_listed *listed);

#endif
