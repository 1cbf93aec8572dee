/*
 * Revisions that are no branches or tags: folders of a branch, titled commits, other repositories
 * (daemon/base/revision_place.h), as the hub has them now.
 *
 * A rule of such a kind says where to look, and finds what its whole text matches. Without one, main is
 * looked at: folders that hold a checkpoint and are named like a step; if there are none, commits with the
 * titles that transformers' Trainer gives them (those of steps, else those of epochs). Of folders only those
 * beside each other are one run: where there are several such places, the one with most of them counts.
 */
#ifndef BIFURCATED_SWEEP_PLACES_H
#define BIFURCATED_SWEEP_PLACES_H

#include "daemon/base/err.h"
#include "daemon/base/limits.h"
#include "daemon/hub/hub.h"
#include "daemon/hub/repository.h"

#define PLACES_WORDS_SIZE 512

struct place_found {
    char name[LIMIT_REVISION_NAME_BYTES];
    char commit[REPOSITORY_COMMIT_SIZE];
    struct repository_tree *tree; /* of a folder: its files; else NULL */
};

struct places {
    struct place_found *rows; /* each name once, in order of names */
    size_t count, capacity;
    int is_partial;     /* there may be more: offline, or the hub does not tell now */
    struct err failure; /* why it does not; code 0: it does */
    char
        looked[PLACES_WORDS_SIZE]; /* where, and what is there that was not taken, for errors and the log:
                                      "3 folders of main that hold checkpoints, such as \"a\""; "": nowhere */
};

/* Where to look. */
struct places_search {
    struct repository *repository;
    const struct repository_refs *refs; /* NULL: its refs were not listed */
    const char *rule;                   /* NULL: none */
};

/* Whether a rule is of repositories, so that the model's own needs not exist. */
int places_are_repositories(const char *model, const char *rule);

/* Looks by the rule, which must be of one of these kinds, or else is NULL. ERR_NOT_FOUND if the branch that
 * the rule names does not exist. The caller frees *places with places_free(), also after an error. */
int places_find(const struct places_search *search, struct places *places, struct err *err);

void places_free(struct places *places);

#endif
