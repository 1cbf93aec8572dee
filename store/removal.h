/*
 * Removal: a model and all that is known of it go.
 *
 * It is marked in one transaction, after which nothing shows it and its name may be given to another model;
 * its rows then go in parts, so that writers get their turn, and go on after a restart. Half a model is never
 * shown.
 *
 * What was measured belongs to content: the results of a content that a revision of another model has, too,
 * stay, and so do perplexities of weights that another model has.
 */
#ifndef BIFURCATED_STORE_REMOVAL_H
#define BIFURCATED_STORE_REMOVAL_H

#include "daemon/base/err.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdint.h>

/* What goes with a model. */
struct removal_counts {
    int64_t revisions;     /* former ones as well */
    int64_t contents;      /* measured tensors, with all their results */
    int64_t kept_contents; /* of the model, that stay since another model has them, too */
    int64_t perplexities;
    int64_t sweeps;
    int64_t tasks;
    int64_t is_watched;
    int64_t deliveries; /* of the watch */
    int64_t size_bytes; /* of the large values of those contents, as they are stored */
};

/* Counts what would go. ERR_NOT_FOUND; ERR_CONFLICT as removal_begin(). */
int removal_count(struct store *store, const char *model, struct removal_counts *ret_counts, struct err *err);

/*
 * From now on the model, its sweeps and its watch are gone for everybody; *ret_counts is what goes with it.
 * ERR_NOT_FOUND; ERR_CONFLICT: a sweep of it has not ended, which is to be cancelled first.
 */
int removal_begin(struct store *store, const char *model, struct removal_counts *ret_counts, struct err *err);

/* The first model after `after` (0: of all) whose rows are to go; `name` is what it was called.
 * ERR_NOT_FOUND: there is none. */
int removal_next(struct store *store, int64_t after, int64_t *ret_id, char *name, size_t name_size,
                 struct err *err);

/*
 * Deletes its rows in parts of at most 20 contents, 20 revisions, 100 perplexities, sweeps that have 1,000
 * tasks together, or 1,000 tasks of one that has more; ERR_CANCELLED once *cancel (or NULL) is true. Each
 * takes one of *parts (NULL: there is no bound). With none left *ret_is_gone becomes 0, and the next call
 * goes on. With some left it is 0 for a model that has to wait: sweeps stay while one of their job arrays has
 * not ended, since nobody else knows of it.
 */
int removal_finish(struct store *store, int64_t id, const atomic_bool *cancel, int *parts, int *ret_is_gone,
                   struct err *err);

#endif
