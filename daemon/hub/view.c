#include "daemon/hub/view.h"

#include "daemon/base/limits.h"
#include "daemon/base/revision_place.h"
#include "daemon/hub/branch_folder.h"
#include "daemon/hub/client.h"
#include "daemon/hub/moving_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct view {
    struct repository repository;
    struct repository *below; /* whose files it has */
    struct repository *owned; /* the same if it is another repository; else NULL */
    char *revision;           /* its name */
    const char *folder;       /* in `revision`; NULL: its files lie at the top */
    char branch[LIMIT_REVISION_NAME_BYTES];
    pthread_mutex_t mutex; /* guards what follows: at which commit of the branch the folder was found last */
    char digest[REPOSITORY_COMMIT_SIZE], commit[REPOSITORY_COMMIT_SIZE];
};

static struct view *cast(struct repository *repository)
{
    return (struct view *)repository;
}

/* -- The branch's commit --------------------------------------------------------------------------------- */

/* By which name this commit will be looked for offline: see offline.h. */
static void note_name(const struct view *view, const char *below_commit)
{
    struct hub_repository *below = client_repository_of(view->below);
    if (below && strcmp(below_commit, view->revision) != 0)
        client_note_name(below, view->owned ? "main" : view->revision, below_commit);
}

static int refuse_changed(const struct view *view, struct err *err)
{
    return err_set(err, ERR_MISMATCH, "%s has changed since it was listed; sweep again", view->revision);
}

/* Looks at the view's folder, which must have this commit. Of a part of its files, which is all that the
 * cache may know, there is no telling; each is held against its own digest, as ever. */
static int look_again(struct view *view, const char *digest, struct repository_tree **ret_tree,
                      char *ret_branch_commit, struct err *err)
{
    struct repository_tree *tree = NULL;
    int code = branch_folder_look(view->below, view->branch, view->folder, &tree, ret_branch_commit, err);
    if (code)
        return err_wrap(err, "%s", view->revision);
    if (strcmp(tree->commit, digest) != 0 && !tree->is_partial) {
        repository_tree_free(tree);
        return refuse_changed(view, err);
    }
    (void)pthread_mutex_lock(&view->mutex);
    (void)snprintf(view->digest, sizeof view->digest, "%s", digest);
    (void)snprintf(view->commit, sizeof view->commit, "%s", ret_branch_commit);
    (void)pthread_mutex_unlock(&view->mutex);
    (void)snprintf(tree->commit, sizeof tree->commit, "%s", digest);
    *ret_tree = tree;
    return 0;
}

/* A commit of the branch at which the folder is as it should be. */
static int find_commit(struct view *view, const char *digest, char *ret_branch_commit, struct err *err)
{
    struct repository_tree *tree = NULL;
    (void)pthread_mutex_lock(&view->mutex);
    int is_known = strcmp(view->digest, digest) == 0;
    if (is_known)
        (void)snprintf(ret_branch_commit, REPOSITORY_COMMIT_SIZE, "%s", view->commit);
    (void)pthread_mutex_unlock(&view->mutex);
    if (is_known || branch_folder_recall(view->below, digest, ret_branch_commit))
        return 0;
    int code = look_again(view, digest, &tree, ret_branch_commit, err);
    repository_tree_free(tree);
    return code;
}

/* -- The verbs ------------------------------------------------------------------------------------------- */

/* A file of the view that is read, and where it lies below. */
struct reading {
    struct view *view;
    const char *commit, *path;
    const struct repository_file *expected; /* NULL: not known */
    char below_commit[REPOSITORY_COMMIT_SIZE];
    char below_path[LIMIT_REVISION_NAME_BYTES + LIMIT_FILE_NAME_BYTES + 1];
};

#define READING(repository, commit, path, expected)                                                          \
    {                                                                                                        \
        cast(repository), commit, path, expected, "", ""                                                     \
    }

/* `is_anew`: where the folder was seen is not believed, since that commit is gone. */
static int find_place(struct reading *reading, int is_anew, struct err *err)
{
    struct view *view = reading->view;
    struct repository_tree *tree = NULL;
    const char *folder = view->folder ? view->folder : "", *path = reading->path;
    int code = 0;
    (void)snprintf(reading->below_commit, sizeof reading->below_commit, "%.40s", reading->commit);
    if (view->folder && is_anew)
        code = look_again(view, reading->commit, &tree, reading->below_commit, err);
    else if (view->folder)
        code = find_commit(view, reading->commit, reading->below_commit, err);
    repository_tree_free(tree);
    if (!code)
        note_name(view, reading->below_commit);
    int size = snprintf(reading->below_path, sizeof reading->below_path, "%s%s%s", folder,
                        view->folder ? "/" : "", path);
    if (!code && (size < 0 || (size_t)size >= sizeof reading->below_path))
        code =
            err_set(err, ERR_INVALID, "%.100s...: a path of more than %d bytes", path, LIMIT_FILE_NAME_BYTES);
    return code;
}

typedef int reading_verb(const struct reading *reading, void *result, struct err *err);

/* Of a folder it is tried once more if the commit that it was seen at is gone. */
static int read_with(struct reading *reading, reading_verb *verb, void *result, struct err *err)
{
    int code = find_place(reading, 0, err);
    if (!code)
        code = verb(reading, result, err);
    if (code && reading->view->folder && moving_file_is_gone(err)) {
        *err = (struct err)ERR_INIT;
        code = find_place(reading, 1, err);
        if (!code)
            code = verb(reading, result, err);
    }
    return code;
}

static int list_refs(struct repository *repository, struct repository_refs **ret_refs, struct err *err)
{
    return repository_list_refs(cast(repository)->below, ret_refs, err);
}

static int resolve(struct repository *repository, const char *revision, char *commit, struct err *err)
{
    return repository_resolve(cast(repository)->below, revision, commit, err);
}

static int list_tree(struct repository *repository, const char *commit, struct repository_tree **ret_tree,
                     struct err *err)
{
    struct view *view = cast(repository);
    char branch_commit[REPOSITORY_COMMIT_SIZE];
    if (view->folder)
        return look_again(view, commit, ret_tree, branch_commit, err);
    note_name(view, commit);
    return repository_list_tree(view->below, commit, ret_tree, err);
}

static int list_commits(struct repository *repository, const char *revision,
                        struct repository_commits **ret_commits, struct err *err)
{
    return repository_list_commits(cast(repository)->below, revision, ret_commits, err);
}

static int open_verb(const struct reading *reading, void *result, struct err *err)
{
    return repository_open_file(reading->view->below, reading->below_commit, reading->below_path,
                                reading->expected, result, err);
}

/* When a read has found the commit gone. */
static int reopen_file(struct repository *repository, const char *commit, const char *path,
                       const struct repository_file *expected, struct source **ret_source, struct err *err)
{
    struct reading reading = READING(repository, commit, path, expected);
    int code = find_place(&reading, 1, err);
    return code ? code : open_verb(&reading, ret_source, err);
}

static int open_file(struct repository *repository, const char *commit, const char *path,
                     const struct repository_file *expected, struct source **ret_source, struct err *err)
{
    struct reading reading = READING(repository, commit, path, expected);
    if (!reading.view->folder)
        return read_with(&reading, open_verb, ret_source, err);
    struct source *source = NULL;
    int code = read_with(&reading, open_verb, &source, err);
    return code ? code
                : moving_file_open(source, repository, commit, path, expected, reopen_file, ret_source, err);
}

static int fetch_verb(const struct reading *reading, void *result, struct err *err)
{
    return repository_fetch_file(reading->view->below, reading->below_commit, reading->below_path,
                                 reading->expected, result, err);
}

static int fetch_file(struct repository *repository, const char *commit, const char *path,
                      const struct repository_file *expected, struct buf *buf, struct err *err)
{
    struct reading reading = READING(repository, commit, path, expected);
    return read_with(&reading, fetch_verb, buf, err);
}

static int download_verb(const struct reading *reading, void *result, struct err *err)
{
    return repository_download_file(reading->view->below, reading->below_commit, reading->below_path,
                                    reading->expected, result, err);
}

static int download(struct repository *repository, const char *commit, const char *path,
                    const struct repository_file *expected, char **ret_path, struct err *err)
{
    struct reading reading = READING(repository, commit, path, expected);
    return read_with(&reading, download_verb, ret_path, err);
}

static int access_verb(const struct reading *reading, void *result, struct err *err)
{
    (void)result;
    return repository_ask_access(reading->view->below, reading->below_commit, reading->below_path, err);
}

static int ask_access(struct repository *repository, const char *commit, const char *path, struct err *err)
{
    struct reading reading = READING(repository, commit, path, NULL);
    return read_with(&reading, access_verb, NULL, err);
}

/* Of a folder the list costs no more than the search for its weights, and tells more. */
static int ask_file(struct repository *repository, const char *commit, const char *path,
                    struct repository_file *ret_file, struct err *err)
{
    const struct view *view = cast(repository);
    if (view->folder)
        return err_set(err, ERR_UNSUPPORTED, "%s: files of a folder are listed", path);
    return repository_ask_file(view->below, commit, path, ret_file, err);
}

static void counters(struct repository *repository, struct repository_counters *out)
{
    repository_counters(cast(repository)->below, out);
}

static void close_view(struct repository *repository)
{
    struct view *view = cast(repository);
    repository_close(view->owned);
    (void)pthread_mutex_destroy(&view->mutex);
    free(view->revision);
    free(view);
}

static const struct repository_ops view_ops = {
    .list_refs = list_refs,
    .resolve = resolve,
    .list_tree = list_tree,
    .list_commits = list_commits,
    .open_file = open_file,
    .fetch_file = fetch_file,
    .download_file = download,
    .ask_access = ask_access,
    .ask_file = ask_file,
    .counters = counters,
    .close = close_view,
};

struct repository *view_below(struct repository *repository)
{
    return repository->ops == &view_ops ? cast(repository)->below : repository;
}

/* -- Opening --------------------------------------------------------------------------------------------- */

/* Another repository of the same hub; what it costs counts for the first. */
static int open_other(struct hub_repository *first, const char *name, struct repository **ret_other,
                      struct err *err)
{
    int code = hub_open_repository(first->hub, first->kind, name, first->repository.cancel, ret_other, err);
    if (code)
        return code;
    struct hub_repository *other = client_repository_of(*ret_other);
    other->payer = first;
    other->is_expected = first->is_expected;
    return 0;
}

int view_open(struct repository *repository, const char *revision, struct repository **ret_view,
              struct err *err)
{
    struct hub_repository *hub_repository = client_repository_of(repository);
    struct revision_place place = {.kind = REVISION_PLACE_REF};
    int code = hub_repository ? revision_place_read(repository->name, revision, &place, err) : 0;
    if (code)
        return code;
    struct view *view = calloc(1, sizeof *view);
    if (!view)
        return err_set(err, ERR_NO_MEMORY, "revision %s: out of memory", revision);
    (void)pthread_mutex_init(&view->mutex, NULL);
    view->below = repository;
    view->revision = strdup(revision);
    if (!view->revision)
        code = err_set(err, ERR_NO_MEMORY, "revision %s: out of memory", revision);
    if (!code && place.kind == REVISION_PLACE_REPOSITORY) {
        code = open_other(hub_repository, place.rest, &view->owned, err);
        view->below = view->owned;
    } else if (!code && place.kind == REVISION_PLACE_FOLDER) {
        view->folder = view->revision + (place.rest - revision);
        memcpy(view->branch, place.branch, sizeof view->branch);
    }
    if (!code)
        view->repository =
            (struct repository){.ops = &view_ops, .name = view->below->name, .cancel = repository->cancel};
    if (code)
        close_view(&view->repository);
    else
        *ret_view = &view->repository;
    return code;
}

/* -- Resolving ------------------------------------------------------------------------------------------- */

static int resolve_folder(struct repository *repository, const struct revision_place *place, char *commit,
                          struct err *err)
{
    struct repository_tree *tree = NULL;
    char branch_commit[REPOSITORY_COMMIT_SIZE];
    int code = branch_folder_look(repository, place->branch, place->rest, &tree, branch_commit, err);
    if (!code)
        (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", tree->commit);
    repository_tree_free(tree);
    return code;
}

/* Commits are listed with the newest first. */
static int resolve_title(struct repository *repository, const struct revision_place *place, char *commit,
                         struct err *err)
{
    struct repository_commits *commits = NULL;
    int code = repository_list_commits(repository, place->branch, &commits, err);
    if (code)
        return code;
    size_t i = 0;
    while (i < commits->count && strcmp(commits->rows[i].title, place->rest) != 0)
        i++;
    if (i < commits->count)
        (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", commits->rows[i].id);
    else
        code = err_set_absent(err, ERR_ABSENT_REVISION, "%s: branch %s has no commit with this title",
                              repository->name, place->branch);
    repository_commits_free(commits);
    return code;
}

static int resolve_other(struct hub_repository *first, const char *name, char *commit, struct err *err)
{
    struct repository *other = NULL;
    int code = open_other(first, name, &other, err);
    if (!code)
        code = repository_resolve(other, NULL, commit, err);
    repository_close(other);
    return code;
}

int view_resolve(struct repository *repository, const char *revision, char *commit, struct err *err)
{
    struct revision_place place = {.kind = REVISION_PLACE_REF};
    int code = revision && revision[0] ? revision_place_read(repository->name, revision, &place, err) : 0;
    if (code || place.kind == REVISION_PLACE_REF)
        return code ? code : listing_resolve(repository, revision, commit, err);
    if (place.kind == REVISION_PLACE_FOLDER)
        code = resolve_folder(repository, &place, commit, err);
    else if (place.kind == REVISION_PLACE_COMMIT)
        code = resolve_title(repository, &place, commit, err);
    else
        code = resolve_other(client_repository_of(repository), place.rest, commit, err);
    return code ? err_wrap(err, "revision %s", revision) : 0;
}
