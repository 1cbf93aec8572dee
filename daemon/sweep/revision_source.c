#include "daemon/sweep/revision_source.h"

#include "daemon/base/keyed_lock.h"
#include "daemon/hub/hub.h"
#include "daemon/hub/view.h"
#include "daemon/sweep/weights_hint.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int has_file(void *context, const char *name)
{
    const struct revision_source *source = context;
    return repository_tree_find(source->tree, name) != NULL;
}

static int open_file(void *context, const char *name, struct source **ret_source, struct err *err)
{
    struct revision_source *source = context;
    return repository_open_file(source->repository, source->tree->commit, name,
                                repository_tree_find(source->tree, name), ret_source, err);
}

/* -- The list of files, from the store -- */

struct tree_builder {
    struct repository_tree *tree;
    size_t capacity;
    int failed;
};

static int add_file(void *context, const struct revision_file_row *row)
{
    struct tree_builder *builder = context;
    struct repository_tree *tree = builder->tree;
    if (tree->count == builder->capacity) {
        size_t capacity = builder->capacity ? builder->capacity * 2 : 16;
        struct repository_file *files = realloc(tree->files, capacity * sizeof *files);
        if (!files) {
            builder->failed = 1;
            return 1;
        }
        tree->files = files;
        builder->capacity = capacity;
    }
    struct repository_file *file = &tree->files[tree->count];
    *file = (struct repository_file){.path = strdup(row->path), .size_bytes = (uint64_t)row->size_bytes};
    if (!file->path) {
        builder->failed = 1;
        return 1;
    }
    if (row->digest_kind == REVISION_DIGEST_KIND_SHA256)
        (void)snprintf(file->sha256, sizeof file->sha256, "%s", row->digest);
    else
        (void)snprintf(file->git_oid, sizeof file->git_oid, "%.40s", row->digest);
    tree->count++;
    return 0;
}

/* *ret_tree is NULL if the store knows no files of this revision. */
static int read_stored_tree(struct store *store, const struct revision_row *revision,
                            struct repository_tree **ret_tree, struct err *err)
{
    struct tree_builder builder = {.tree = calloc(1, sizeof *builder.tree)};
    if (!builder.tree)
        return err_set(err, ERR_NO_MEMORY, "revision %s: out of memory", revision->name);
    (void)snprintf(builder.tree->commit, sizeof builder.tree->commit, "%.40s", revision->commit);
    int code = revisions_get_files(store, revision->id, add_file, &builder, err);
    if (!code && builder.failed)
        code = err_set(err, ERR_NO_MEMORY, "revision %s: out of memory", revision->name);
    if (code || builder.tree->count == 0) {
        repository_tree_free(builder.tree);
        return code;
    }
    *ret_tree = builder.tree;
    return 0;
}

int revision_source_row_of(const struct repository_file *file, struct revision_file_row *ret_row)
{
    int is_lfs = file->sha256[0] != 0;
    *ret_row = (struct revision_file_row){.size_bytes = (int64_t)file->size_bytes,
                                          .digest_kind = is_lfs ? REVISION_DIGEST_KIND_SHA256
                                                                : REVISION_DIGEST_KIND_GIT};
    (void)snprintf(ret_row->path, sizeof ret_row->path, "%s", file->path);
    (void)snprintf(ret_row->digest, sizeof ret_row->digest, "%s", is_lfs ? file->sha256 : file->git_oid);
    return ret_row->digest[0] != 0;
}

int revision_source_store(struct store *store, const struct revision_row *revision,
                          const struct repository_tree *tree, int *ret_forgotten, struct err *err)
{
    size_t count = 0;
    struct revision_file_row *rows = calloc(tree->count ? tree->count : 1, sizeof *rows);
    if (!rows)
        return err_set(err, ERR_NO_MEMORY, "revision %s: out of memory", revision->name);
    for (size_t i = 0; i < tree->count; i++) {
        if (!revision_source_row_of(&tree->files[i], &rows[count++])) {
            free(rows);
            return 0; /* ask again next time */
        }
    }
    int code = count ? revisions_set_listed_files(store, revision->id, rows, count, ret_forgotten, err) : 0;
    free(rows);
    return code;
}

/* -- The weight file by itself -- */

struct glance {
    struct repository *repository;
    const char *commit;
    struct repository_file file; /* without its path */
    int code;                    /* of the last answer */
    struct err *err;
};

/* Whether the commit has this file; what fails counts as no. */
static int look(void *context, const char *name)
{
    struct glance *glance = context;
    if ((glance->code && glance->code != ERR_NOT_FOUND) || weight_layout_is_of_trainer(name))
        return 0;
    glance->code = repository_ask_file(glance->repository, glance->commit, name, &glance->file, glance->err);
    return glance->code == 0;
}

/* Asks for the files by which a checkpoint may be read, in their order, until one is there. */
static int ask_for_weights(struct repository *repository, const char *commit,
                           struct repository_tree **ret_tree, struct err *err)
{
    struct glance glance = {.repository = repository, .commit = commit, .err = err};
    const struct weight_layout *layout = weight_layout_choose(look, &glance);
    if (glance.code && glance.code != ERR_NOT_FOUND)
        return glance.code;
    if (!layout || layout->form != WEIGHT_FORM_FILE)
        return err_set(err, ERR_UNSUPPORTED, "the weights are not one file");
    struct repository_tree *tree = calloc(1, sizeof *tree);
    struct repository_file *files = calloc(1, sizeof *files);
    char *path = strdup(layout->file);
    if (!tree || !files || !path) {
        free(tree);
        free(files);
        free(path);
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", layout->file);
    }
    files[0] = glance.file;
    files[0].path = path;
    *tree = (struct repository_tree){.count = 1, .files = files};
    (void)snprintf(tree->commit, sizeof tree->commit, "%s", commit);
    *ret_tree = tree;
    return 0;
}

/* Whether there may be more files than these. */
static int may_be_part(struct repository_tree *tree)
{
    const struct weight_layout *layout =
        tree->count == 1 ? weight_layout_choose(repository_tree_has, tree) : NULL;
    return layout && layout->form == WEIGHT_FORM_FILE;
}

/* -- One of several threads asks; the others wait for it -- */

enum wanted { WANTED_ALL, WANTED_WEIGHTS, WANTED_GLANCE };

static struct keyed_locks listing;
static pthread_once_t listing_once = PTHREAD_ONCE_INIT;

static void init_listing(void)
{
    keyed_locks_init(&listing);
}

/* Asks the repository. What tells of the weights alone comes where a list would have to wait. */
static int ask(struct repository *repository, const char *commit, enum wanted wanted,
               struct repository_tree **ret_tree, struct err *err)
{
    if (wanted == WANTED_GLANCE || (wanted == WANTED_WEIGHTS && !hub_has_room(repository))) {
        int code = ask_for_weights(repository, commit, ret_tree, err);
        if (code != ERR_UNSUPPORTED || wanted == WANTED_GLANCE)
            return code;
        *err = (struct err)ERR_INIT;
    }
    return repository_list_tree(repository, commit, ret_tree, err);
}

/* What the store has, if that is enough; else NULL. */
static int read_enough(struct store *store, const struct revision_row *revision, enum wanted wanted,
                       struct repository_tree **ret_tree, struct err *err)
{
    int code = read_stored_tree(store, revision, ret_tree, err);
    if (!code && *ret_tree && wanted == WANTED_ALL && may_be_part(*ret_tree)) {
        repository_tree_free(*ret_tree);
        *ret_tree = NULL;
    }
    return code;
}

static int list_tree(struct revision_source *source, struct store *store, const struct revision_row *revision,
                     enum wanted wanted, struct err *err)
{
    struct keyed_lock own = {.number = revision->id, .name = revision->commit};
    (void)pthread_once(&listing_once, init_listing);
    int code = keyed_locks_take(&listing, &own, source->repository->cancel, err);
    if (code)
        return code;
    code = read_enough(store, revision, wanted, &source->tree, err);
    if (!code && !source->tree) {
        code = ask(source->repository, revision->commit, wanted, &source->tree, err);
        if (!code && source->tree && !source->tree->is_partial)
            code = revision_source_store(store, revision, source->tree, &source->forgotten_count, err);
    }
    keyed_locks_give(&listing, &own);
    return code;
}

static int open_source(struct revision_source *source, struct store *store, struct repository *repository,
                       const struct revision_row *revision, enum wanted wanted, struct err *err)
{
    *source = (struct revision_source){.repository = NULL};
    source->files = (struct checkpoint_files){.has = has_file, .open = open_file, .context = source};
    memcpy(source->name, revision->name, sizeof source->name);
    int code = view_open(repository, revision->name, &source->repository, err);
    if (!code)
        code = read_enough(store, revision, wanted, &source->tree, err);
    if (!code && !source->tree)
        code = list_tree(source, store, revision, wanted, err);
    if (code) {
        revision_source_close(source);
        return code;
    }
    (void)snprintf(source->content, sizeof source->content, "%s\n%s\n%s", repository->name, revision->name,
                   source->tree->commit);
    source->files.content = source->content;
    source->files.cancel = source->repository->cancel;
    return 0;
}

int revision_source_open(struct revision_source *source, struct store *store, struct repository *repository,
                         const struct revision_row *revision, struct err *err)
{
    return open_source(source, store, repository, revision, WANTED_ALL, err);
}

int revision_source_open_weights(struct revision_source *source, struct store *store,
                                 struct repository *repository, const struct revision_row *revision,
                                 struct err *err)
{
    return open_source(source, store, repository, revision, WANTED_WEIGHTS, err);
}

int revision_source_glance(struct revision_source *source, struct store *store, struct repository *repository,
                           const struct revision_row *revision, struct err *err)
{
    return open_source(source, store, repository, revision, WANTED_GLANCE, err);
}

void revision_source_close(struct revision_source *source)
{
    repository_tree_free(source->tree);
    repository_close(source->repository);
    source->tree = NULL;
    source->repository = NULL;
}

/* A part of the list does not tell that there is no such file; the repository says what is known. */
static int refuse_unlisted(const struct revision_source *source, const char *path, struct err *err)
{
    struct source *file = NULL;
    int code = repository_open_file(source->repository, source->tree->commit, path, NULL, &file, err);
    source_close(file);
    return code ? code : err_set(err, ERR_MISMATCH, "%s: it is there now, and was not a moment ago", path);
}

int revision_source_open_checkpoint(struct revision_source *source, struct checkpoint **ret_checkpoint,
                                    struct err *err)
{
    int code = checkpoint_open(&source->files, ret_checkpoint, err);
    const struct weight_layout *layout = code == ERR_NOT_FOUND ? revision_source_layout(source) : NULL;
    if (code == ERR_NOT_FOUND && !layout && source->tree->is_partial)
        return refuse_unlisted(source, "model.safetensors", err);
    if (code == ERR_NOT_FOUND && (!layout || layout->form == WEIGHT_FORM_POINTER))
        weights_hint_add(source->repository->name, source->name, source->tree, err);
    return code;
}

int revision_source_fetch(struct revision_source *source, const char *path, struct buf *buf, struct err *err)
{
    const struct repository_file *file = repository_tree_find(source->tree, path);
    if (!file && source->tree->is_partial)
        return refuse_unlisted(source, path, err);
    if (!file)
        return err_set(err, ERR_NOT_FOUND, "%s: the revision has no such file", path);
    return repository_fetch_file(source->repository, source->tree->commit, path, file, buf, err);
}

int revision_source_may_have(const struct revision_source *source, const char *path)
{
    return source->tree->is_partial || repository_tree_find(source->tree, path);
}

const char *revision_source_digest(const struct revision_source *source, const char *path)
{
    const struct repository_file *file = repository_tree_find(source->tree, path);
    if (!file)
        return "";
    return file->sha256[0] ? file->sha256 : file->git_oid;
}

const struct weight_layout *revision_source_layout(struct revision_source *source)
{
    return weight_layout_choose(has_file, source);
}
