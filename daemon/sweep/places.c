#include "daemon/sweep/places.h"

#include "daemon/base/revision_place.h"
#include "daemon/hub/branch_folder.h"
#include "daemon/hub/cached_folders.h"
#include "daemon/hub/subfolder.h"
#include "daemon/model/revision.h"
#include "daemon/sweep/checkpoint_folders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STANDARD_BRANCH "main"
#define OF_STEPS "Training in progress, step "

/* -- What was found -------------------------------------------------------------------------------------- */

/* `tree` is taken over, unless it fails; NULL of what is no folder. */
static int add(struct places *places, const char *name, const char *commit, struct repository_tree *tree,
               struct err *err)
{
    if (places->count == places->capacity) {
        size_t capacity = places->capacity ? places->capacity * 2 : 64;
        struct place_found *rows = realloc(places->rows, capacity * sizeof *rows);
        if (!rows)
            return err_set(err, ERR_NO_MEMORY, "revisions: out of memory");
        places->rows = rows;
        places->capacity = capacity;
    }
    struct place_found *found = &places->rows[places->count++];
    *found = (struct place_found){.tree = tree};
    (void)snprintf(found->name, sizeof found->name, "%s", name);
    (void)snprintf(found->commit, sizeof found->commit, "%s", commit);
    return 0;
}

static int compare_rows(const void *a, const void *b)
{
    return strcmp(((const struct place_found *)a)->name, ((const struct place_found *)b)->name);
}

/* Orders the rows and keeps each name once. A search may tell of one repository twice. */
static void keep_one_of_each(struct places *places)
{
    size_t kept = 0;
    if (places->count)
        qsort(places->rows, places->count, sizeof *places->rows, compare_rows);
    for (size_t i = 0; i < places->count; i++) {
        if (kept && strcmp(places->rows[kept - 1].name, places->rows[i].name) == 0)
            repository_tree_free(places->rows[i].tree);
        else
            places->rows[kept++] = places->rows[i];
    }
    places->count = kept;
}

static int is_step(const struct places_search *search, const char *name)
{
    struct model_revision place;
    model_revision_parse(search->repository->name, name, search->rule, &place);
    return place.is_step;
}

/* Says where was looked. `example` is what was not taken, or NULL. */
static void say(struct places *places, size_t count, const char *what, const char *example)
{
    size_t used = strlen(places->looked), size = sizeof places->looked - used;
    (void)snprintf(places->looked + used, size, "%s%zu %s%s%.100s%s", used ? ", " : "", count, what,
                   example ? ", such as \"" : "", example ? example : "", example ? "\"" : "");
}

/* Offline what was looked for is not in the cache: that is no failure, there is what the store remembers. */
static void note_offline(struct places *places, struct err *err)
{
    places->is_partial = 1;
    (void)snprintf(places->looked, sizeof places->looked, "%.400s", err->message);
    *err = (struct err)ERR_INIT;
}

/* The commit of a branch: as it was listed, or asked for; "" if it has none here, offline. */
static int find_branch(const struct places_search *search, const char *branch, char *commit, struct err *err)
{
    const struct repository_refs *refs = search->refs;
    for (size_t i = 0; refs && i < refs->count; i++) {
        if (refs->rows[i].kind != REPOSITORY_REF_KIND_PULL_REQUEST &&
            strcmp(refs->rows[i].name, branch) == 0) {
            (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", refs->rows[i].commit);
            return 0;
        }
    }
    int code = repository_resolve(search->repository, branch, commit, err);
    if (code == ERR_NOT_FOUND && hub_is_offline(search->repository)) {
        *err = (struct err)ERR_INIT;
        commit[0] = '\0';
        return 0;
    }
    return code;
}

/* -- Folders --------------------------------------------------------------------------------------------- */

/* The revision that a folder is; 0 if its name is too long for one. */
static int write_name(const char *branch, const struct checkpoint_folder *folder, char *path, char *name)
{
    (void)snprintf(path, LIMIT_FILE_NAME_BYTES, "%.*s", (int)folder->size, folder->path);
    return revision_place_write(REVISION_PLACE_FOLDER, branch, path, name);
}

static int take_folder(const struct places_search *search, const struct repository_tree *tree,
                       const char *path, const char *name, struct places *places, struct err *err)
{
    struct repository_tree *files = NULL;
    int code = subfolder_take(tree, path, &files, err);
    if (!code)
        code = add(places, name, files->commit, files, err);
    if (code) {
        repository_tree_free(files);
        return code;
    }
    if (!files->is_partial)
        branch_folder_note(search->repository, files->commit, tree->commit);
    return 0;
}

/* Offline, with those of its folders that lie at other commits of it. */
static int list_branch(const struct places_search *search, const char *branch, const char *commit,
                       struct repository_tree **ret_tree, struct err *err)
{
    static const struct repository_refs none = {.is_partial = 1};
    if (!hub_is_offline(search->repository))
        return repository_list_tree(search->repository, commit, ret_tree, err);
    int code = commit[0] ? repository_list_tree(search->repository, commit, ret_tree, err) : 0;
    if (code && code != ERR_NOT_FOUND)
        return code;
    *err = (struct err)ERR_INIT;
    return cached_folders_add(search->repository, search->refs ? search->refs : &none, branch, ret_tree, err);
}

static int find_folders(const struct places_search *search, const char *branch, const char *commit,
                        struct places *places, struct err *err)
{
    struct repository_tree *tree = NULL;
    struct checkpoint_folders folders = {0};
    char path[LIMIT_FILE_NAME_BYTES], name[LIMIT_REVISION_NAME_BYTES], other[LIMIT_REVISION_NAME_BYTES] = "";
    int code = list_branch(search, branch, commit, &tree, err);
    if (!code)
        code = checkpoint_folders_list(tree, &folders, err);
    for (size_t i = 0; !code && i < folders.count; i++)
        folders.rows[i].is_taken = write_name(branch, &folders.rows[i], path, name) && is_step(search, name);
    if (!code && !search->rule)
        checkpoint_folders_keep_one_run(&folders);
    for (size_t i = 0; !code && i < folders.count; i++) {
        if (write_name(branch, &folders.rows[i], path, name) && folders.rows[i].is_taken)
            code = take_folder(search, tree, path, name, places, err);
        else if (!other[0])
            (void)snprintf(other, sizeof other, "%s", name[0] ? name : path);
    }
    if (!code) {
        char what[LIMIT_REVISION_NAME_BYTES + 64];
        (void)snprintf(what, sizeof what,
                       folders.count == 1 ? "folder of %s that holds a checkpoint"
                                          : "folders of %s that hold checkpoints",
                       branch);
        say(places, folders.count, what, other[0] ? other : NULL);
        places->is_partial |= tree->is_partial;
    }
    checkpoint_folders_free(&folders);
    repository_tree_free(tree);
    return code;
}

/* -- Commits --------------------------------------------------------------------------------------------- */

/* Whether a title is the Trainer's of a step. */
static int has_titles_of_steps(const struct repository_commits *commits)
{
    size_t i = 0;
    while (i < commits->count && strncmp(commits->rows[i].title, OF_STEPS, strlen(OF_STEPS)) != 0)
        i++;
    return i < commits->count;
}

/* A commit among others in another order. */
struct titled {
    const struct repository_commit *commit;
};

static int compare_titles(const void *left, const void *right)
{
    const struct titled *a = left, *b = right;
    int order = strcmp(a->commit->title, b->commit->title);
    return order ? order : (a->commit > b->commit) - (a->commit < b->commit);
}

/* Takes the newest commit of each title that gives a step. */
static int take_commits(const struct places_search *search, const char *branch,
                        const struct repository_commits *commits, struct places *places, struct err *err)
{
    struct titled *sorted = calloc(commits->count ? commits->count : 1, sizeof *sorted);
    const int has_steps = !search->rule && has_titles_of_steps(commits);
    const char *before = NULL, *other = NULL;
    int code = 0;
    if (!sorted)
        return err_set(err, ERR_NO_MEMORY, "commits: out of memory");
    for (size_t i = 0; i < commits->count; i++)
        sorted[i].commit = &commits->rows[i];
    if (commits->count)
        qsort(sorted, commits->count, sizeof *sorted, compare_titles);
    for (size_t i = 0; !code && i < commits->count; i++) {
        const char *title = sorted[i].commit->title;
        char name[LIMIT_REVISION_NAME_BYTES];
        if (before && strcmp(before, title) == 0)
            continue;
        before = title;
        if (revision_place_write(REVISION_PLACE_COMMIT, branch, title, name) && is_step(search, name) &&
            (!has_steps || strncmp(title, OF_STEPS, strlen(OF_STEPS)) == 0))
            code = add(places, name, sorted[i].commit->id, NULL, err);
        else
            other = other ? other : title;
    }
    if (!code) {
        char what[LIMIT_REVISION_NAME_BYTES + 64];
        (void)snprintf(what, sizeof what, commits->count == 1 ? "commit of %s" : "commits of %s", branch);
        say(places, commits->count, what, other);
    }
    free(sorted);
    return code;
}

static int find_commits(const struct places_search *search, const char *branch, const char *commit,
                        struct places *places, struct err *err)
{
    struct repository_commits *commits = NULL;
    const char *from = hub_is_offline(search->repository) ? branch : commit;
    int code = repository_list_commits(search->repository, from, &commits, err);
    if (!code)
        code = take_commits(search, branch, commits, places, err);
    repository_commits_free(commits);
    return code;
}

/* -- Repositories ---------------------------------------------------------------------------------------- */

/* One whose commit the search does not tell is asked for it; it may be gone by then. */
static int take_repository(const struct places_search *search, const struct hub_listed *listed,
                           const char *name, struct places *places, struct err *err)
{
    char commit[REPOSITORY_COMMIT_SIZE];
    struct err reason = ERR_INIT;
    (void)snprintf(commit, sizeof commit, "%s", listed->commit);
    int code = commit[0] ? 0 : repository_resolve(search->repository, name, commit, &reason);
    if (code == ERR_NOT_FOUND)
        return 0;
    if (code) {
        *err = reason;
        return code;
    }
    return add(places, name, commit, NULL, err);
}

static int find_repositories(const struct places_search *search, const struct revision_place *rule,
                             struct places *places, struct err *err)
{
    char owner[REPOSITORY_NAME_SIZE], text[REPOSITORY_NAME_SIZE], name[LIMIT_REVISION_NAME_BYTES];
    struct hub_listing *listing = NULL;
    const char *other = NULL;
    revision_place_search(rule, owner, text);
    int code = hub_list_repositories(search->repository, owner, text, &listing, err);
    if (code == ERR_NOT_FOUND) {
        note_offline(places, err);
        return 0;
    }
    places->is_partial |= hub_is_offline(search->repository);
    for (size_t i = 0; !code && i < listing->count; i++) {
        const struct hub_listed *listed = &listing->rows[i];
        if (revision_place_write(REVISION_PLACE_REPOSITORY, NULL, listed->name, name) &&
            is_step(search, name))
            code = take_repository(search, listed, name, places, err);
        else
            other = other ? other : listed->name;
    }
    if (!code) {
        char what[2 * REPOSITORY_NAME_SIZE + 64];
        (void)snprintf(what, sizeof what,
                       listing->count == 1 ? "model of %s whose name holds \"%s\""
                                           : "models of %s whose names hold \"%s\"",
                       owner, text);
        say(places, listing->count, what, other);
    }
    hub_listing_free(listing);
    return code;
}

/* -- Both ways ------------------------------------------------------------------------------------------- */

/* Whether what was looked for is not there, rather than out of reach now. Some mirrors have no histories. */
static int is_absent(int code)
{
    return code == ERR_NOT_FOUND || code == ERR_UNSUPPORTED;
}

/* Whether the hub does not tell: there may be what it told before. That must cost no sweep that needs none of
 * it. */
static int is_untold(int code)
{
    return code == ERR_HTTP || code == ERR_GATED || code == ERR_FORMAT || code == ERR_LIMIT;
}

/* One of two places, `what`, without a rule. */
static int try_to_find(int (*find)(const struct places_search *, const char *, const char *, struct places *,
                                   struct err *),
                       const struct places_search *search, const char *what, const char *commit,
                       struct places *places, struct err *err)
{
    struct err reason = ERR_INIT;
    int code = find(search, STANDARD_BRANCH, commit, places, &reason);
    if (is_untold(code)) {
        const size_t used = strlen(places->looked);
        places->is_partial = 1;
        (void)snprintf(places->looked + used, sizeof places->looked - used,
                       "%s%s of " STANDARD_BRANCH " (which the hub does not tell now)", used ? ", " : "",
                       what);
        (void)err_wrap(&reason, "%s of " STANDARD_BRANCH, what);
        places->failure = reason;
    } else if (code && !is_absent(code)) {
        *err = reason;
        return code;
    }
    return 0;
}

static int find_in_main(const struct places_search *search, struct places *places, struct err *err)
{
    char commit[REPOSITORY_COMMIT_SIZE] = "";
    const struct repository_refs *refs = search->refs;
    size_t i = 0;
    while (refs && i < refs->count && strcmp(refs->rows[i].name, STANDARD_BRANCH) != 0)
        i++;
    if (!refs || (i == refs->count && !hub_is_offline(search->repository)))
        return 0;
    if (i < refs->count)
        (void)snprintf(commit, sizeof commit, "%s", refs->rows[i].commit);
    int code = try_to_find(find_folders, search, "folders", commit, places, err);
    /* Commits that push folders have the same titles as those that are revisions: of folders that are not
     * told they would make a second series. */
    if (code || places->count || places->failure.code)
        return code;
    code = try_to_find(find_commits, search, "commits", commit, places, err);
    if (!code && refs->is_partial && !places->count && places->looked[0]) {
        size_t used = strlen(places->looked);
        (void)snprintf(places->looked + used, sizeof places->looked - used,
                       " (offline, commits are not known)");
    }
    return code;
}

static int find_by_rule(const struct places_search *search, struct places *places, struct err *err)
{
    struct revision_place rule;
    char commit[REPOSITORY_COMMIT_SIZE];
    int code = revision_place_read_rule(search->repository->name, search->rule, &rule, err);
    if (code || rule.kind == REVISION_PLACE_REF)
        return code;
    if (rule.kind == REVISION_PLACE_REPOSITORY)
        return find_repositories(search, &rule, places, err);
    code = find_branch(search, rule.branch, commit, err);
    if (!code)
        code = rule.kind == REVISION_PLACE_FOLDER ? find_folders(search, rule.branch, commit, places, err)
                                                  : find_commits(search, rule.branch, commit, places, err);
    if (code == ERR_NOT_FOUND && search->refs && search->refs->is_partial) {
        note_offline(places, err);
        return 0;
    }
    return code ? err_wrap(err, "the rule \"%.100s\"", search->rule) : 0;
}

int places_are_repositories(const char *model, const char *rule)
{
    struct revision_place place;
    struct err ignored = ERR_INIT;
    return rule && revision_place_read_rule(model, rule, &place, &ignored) == 0 &&
           place.kind == REVISION_PLACE_REPOSITORY;
}

int places_find(const struct places_search *search, struct places *places, struct err *err)
{
    *places = (struct places){.rows = NULL};
    int code = search->rule ? find_by_rule(search, places, err) : find_in_main(search, places, err);
    keep_one_of_each(places);
    return code;
}

void places_free(struct places *places)
{
    for (size_t i = 0; i < places->count; i++)
        repository_tree_free(places->rows[i].tree);
    free(places->rows);
    *places = (struct places){.rows = NULL};
}
