/*
 * Revisions of a model, and what the hub says of their weight files.
 *
 * Step order is: revisions with a step before those without; then stage, ingredient, step, tokens, name. A
 * branch that moved to another commit makes a new row; the old one is kept with is_current 0.
 */
#ifndef BIFURCATED_STORE_REVISIONS_H
#define BIFURCATED_STORE_REVISIONS_H

#include "daemon/base/limits.h"
#include "daemon/base/step_unit.h"
#include "store/store.h"

#define REVISIONS_STEP_NONE (-1)

/* Which of three numbers a name says; tokens also follow from the step where the model's batch is known. */
enum revision_states {
    REVISION_STATES_STAGE = 1,
    REVISION_STATES_INGREDIENT = 2,
    REVISION_STATES_TOKENS = 4
};

/* The commit of a revision that was asked for by name and does not exist; its task tells the user. */
#define REVISION_NO_COMMIT "0000000000000000000000000000000000000000"

struct revision_row {
    int64_t id;       /* 0 in input */
    int64_t model_id; /* ignored in input */
    char name[LIMIT_REVISION_NAME_BYTES + 1];
    char commit[STORE_DIGEST_SIZE];
    int64_t step;                      /* REVISIONS_STEP_NONE for names such as main */
    int64_t stage, ingredient, tokens; /* 0 where the name does not say */
    int stated;                        /* set of enum revision_states: which of these it says */
    int is_current;                    /* ignored in input */
    int64_t first_seen_ms;             /* ignored in input */
};

enum revision_digest_kind { REVISION_DIGEST_KIND_SHA256, REVISION_DIGEST_KIND_GIT };

struct revision_file_row {
    int64_t revision_id;
    char path[LIMIT_FILE_NAME_BYTES + 1];
    int64_t size_bytes;
    char digest[STORE_DIGEST_SIZE]; /* "" is refused */
    enum revision_digest_kind digest_kind;
};

/* Where a listing in step order goes on: after this revision. All zero with name "" is the start. */
struct revision_key {
    int is_stepless;
    int64_t stage, ingredient, step, tokens;
    char name[LIMIT_REVISION_NAME_BYTES + 1];
};

/* What the report of a watch's look will say of an update. */
struct revisions_note {
    int64_t watch_id;
    const char *changes; /* JSON, see watches_get_texts */
};

/*
 * Takes over what the hub lists, in one transaction: rows[i].id becomes the identifier of each; order does
 * not matter; a name must not occur twice (ERR_INVALID). Other commits of the same names become is_current 0,
 * and with is_complete so do names that are not in the list. `note` (or NULL) is kept with it, in place of
 * the watch's earlier one, until watches_record_run() has a report with it.
 */
int revisions_update(struct store *store, int64_t model_id, struct revision_row *rows, size_t count,
                     int is_complete, const struct revisions_note *note, struct err *err);

/* The same of a list that tells what its steps count, which the model gets in the same transaction; NULL: it
 * does not tell. */
int revisions_update_counted(struct store *store, int64_t model_id, const enum step_unit *unit,
                             struct revision_row *rows, size_t count, int is_complete,
                             const struct revisions_note *note, struct err *err);

/* The key of a row, for going on after it. */
void revision_key_of(const struct revision_row *row, struct revision_key *key);

/* The current revision of a name. ERR_NOT_FOUND. */
int revisions_find(struct store *store, int64_t model_id, const char *name, struct revision_row *ret_row,
                   struct err *err);
int revisions_get(struct store *store, int64_t id, struct revision_row *ret_row, struct err *err);

/* Current revisions in step order after `after` (NULL: from the start), at most `limit`. */
int revisions_list(struct store *store, int64_t model_id, const struct revision_key *after, int limit,
                   int (*row)(void *context, const struct revision_row *row), void *context, struct err *err);

/* Those of them without a step that the repository lists beside its main line, in the order of their names,
 * at most `limit`; and how many there are in all. Not among them: `main`, pull requests, what somebody named
 * by its commit, what is not there. */
int revisions_list_passed_over(struct store *store, int64_t model_id, int limit,
                               int (*row)(void *context, const struct revision_row *row), void *context,
                               struct err *err);
int revisions_count_passed_over(struct store *store, int64_t model_id, int64_t *ret_count, struct err *err);

/* Those of the current revisions of which there is a result. */
int revisions_list_measured(struct store *store, int64_t model_id,
                            int (*row)(void *context, const struct revision_row *row), void *context,
                            struct err *err);

/* Replaces the list of weight files of a revision; at most LIMIT_HUB_TREE_FILES. revision_id of rows is
 * ignored. */
int revisions_set_files(struct store *store, int64_t revision_id, const struct revision_file_row *rows,
                        size_t count, struct err *err);

/* The same, as the repository itself lists them. What was recorded before that of other files is no result of
 * this revision: it was read elsewhere, such as from a mirror that serves other data. It is forgotten, so
 * that the next sweep measures the revision; *ret_forgotten becomes how much: tensors and
 * perplexities. */
int revisions_set_listed_files(struct store *store, int64_t revision_id, const struct revision_file_row *rows,
                               size_t count, int *ret_forgotten, struct err *err);

/* The files of one revision, by path; none if they were never set. */
int revisions_get_files(struct store *store, int64_t revision_id,
                        int (*row)(void *context, const struct revision_file_row *file), void *context,
                        struct err *err);

/* One file of a revision. ERR_NOT_FOUND; *ret_are_known: whether any of its files are known. */
int revisions_find_file(struct store *store, int64_t revision_id, const char *path,
                        struct revision_file_row *ret_file, int *ret_are_known, struct err *err);

/* Revisions that the tasks of a sweep are of, or measure against, and whose files were never set; in the
 * order of the tasks, each once. */
int revisions_list_unlisted(struct store *store, int64_t sweep_id,
                            int (*row)(void *context, int64_t revision_id), void *context, struct err *err);

/* Files of the current revisions of a model, by step order and path: the whole material of an audit without
 * downloads. `revision` is the file's revision. `after` pages by revision. */
int revisions_list_files(struct store *store, int64_t model_id, const struct revision_key *after,
                         int revision_limit,
                         int (*row)(void *context, const struct revision_row *revision,
                                    const struct revision_file_row *file),
                         void *context, struct err *err);

#endif
