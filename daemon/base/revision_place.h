/*
 * Where a revision lies, as its name says it.
 *
 * Checkpoints are published as branches and tags, and in three more ways. A revision's name says which, by
 * characters that no git ref can hold, so that no other kind of revision is ever called so:
 *
 *     step1000                                a branch or tag (or what else the hub resolves)
 *     main:checkpoint-500                     the folder checkpoint-500 of branch main, as git writes it
 *     main^Training in progress, step 500     the newest commit of branch main with that title
 *     hf://google/multiberts-seed_0-step_20k  the default branch of another repository
 *
 * The first ':' or '^' ends the branch. A rule for names (name_rule.h) is written by the same grammar and
 * says where to look: "main:checkpoint-{step}". Revisions of a local model ("file:/path") are its subfolders,
 * whatever their names hold.
 */
#ifndef BIFURCATED_BASE_REVISION_PLACE_H
#define BIFURCATED_BASE_REVISION_PLACE_H

#include "daemon/base/err.h"
#include "daemon/base/limits.h"
#include "daemon/base/repository_name.h"

#define REVISION_PLACE_REPOSITORY_PREFIX "hf://"

enum revision_place_kind {
    REVISION_PLACE_REF,
    REVISION_PLACE_FOLDER,
    REVISION_PLACE_COMMIT,
    REVISION_PLACE_REPOSITORY,
};

struct revision_place {
    enum revision_place_kind kind;
    char branch[LIMIT_REVISION_NAME_BYTES]; /* of FOLDER and COMMIT; else "" */
    const char *rest; /* into the name: FOLDER: the path, COMMIT: the title, REPOSITORY: "owner/name", REF:
                         the whole name */
};

/* Splits a name of a revision of `model` (NULL: of one on the hub). ERR_INVALID, with the reason, for a name
 * that says a place which cannot be: without a branch, a path that leaves the branch, control characters. */
int revision_place_read(const char *model, const char *name, struct revision_place *ret_place,
                        struct err *err);

/* The same of a rule; beyond that, ERR_INVALID for placeholders or '*' where none can stand: in the branch or
 * in a repository's owner. Whether it is well-formed otherwise, name_rule_check() tells. */
int revision_place_read_rule(const char *model, const char *rule, struct revision_place *ret_place,
                             struct err *err);

/* Writes the name of a place, as revision_place_read() reads it. Returns 0, and name "", if there is no such
 * name: it would be too long, or no place. `branch` is used for FOLDER and COMMIT alone and may be NULL
 * otherwise. */
int revision_place_write(enum revision_place_kind kind, const char *branch, const char *rest,
                         char name[LIMIT_REVISION_NAME_BYTES]);

/* What to search the hub for by a rule of kind REPOSITORY: its owner, and the text of the repository's name
 * before the first placeholder or '*' (which may be ""). */
void revision_place_search(const struct revision_place *rule, char owner[REPOSITORY_NAME_SIZE],
                           char text[REPOSITORY_NAME_SIZE]);

#endif
