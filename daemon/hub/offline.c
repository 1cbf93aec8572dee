#include "daemon/hub/offline.h"

#include "daemon/base/buf.h"
#include "daemon/base/digest.h"
#include "daemon/base/limits.h"
#include "daemon/base/revision_place.h"
#include "daemon/hub/hub_json.h"
#include "daemon/hub/view.h"
#include "daemon/hub/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- What to do ------------------------------------------------------------------------------------------ */

/* As a shell reads it. */
static void append_word(struct buf *text, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
    if (!word[strspn(word, plain)]) {
        (void)buf_append_text(text, word);
        return;
    }
    (void)buf_append_char(text, '\'');
    for (; *word; word++)
        (void)buf_append_text(text, *word == '\'' ? "'\\''" : (const char[]){*word, 0});
    (void)buf_append_char(text, '\'');
}

/* What of the repository is to be downloaded. */
static void append_revision(struct buf *text, const char *revision)
{
    struct revision_place place;
    struct err ignored = ERR_INIT;
    if (!revision || revision_place_read(NULL, revision, &place, &ignored))
        return;
    (void)buf_append_text(text, " --revision ");
    append_word(text, place.kind == REVISION_PLACE_FOLDER ? place.branch : revision);
    if (place.kind == REVISION_PLACE_FOLDER) {
        (void)buf_appendf(text, " --include ");
        append_word(text, place.rest);
        (void)buf_append_text(text, "/\\*");
    }
}

/* A name that this commit was noted by, as a new string; NULL: none. */
static char *find_name(struct hub_repository *repository, const char *commit)
{
    const struct repository_refs *noted = &repository->resolved;
    char *name = NULL;
    (void)pthread_mutex_lock(&repository->mutex);
    for (size_t i = 0; i < noted->count && !name; i++) {
        if (strcmp(noted->rows[i].commit, commit) == 0)
            name = strdup(noted->rows[i].name);
    }
    (void)pthread_mutex_unlock(&repository->mutex);
    return name;
}

int offline_refuse(struct hub_repository *repository, const char *what, const char *revision, struct err *err)
{
    struct buf command;
    const int is_commit = revision && digest_is_hex(revision, REPOSITORY_COMMIT_SIZE - 1);
    char *name = is_commit ? find_name(repository, revision) : NULL;
    const char *wanted = name ? name : revision;
    buf_init(&command, 4 * KIB);
    if (wanted && strchr(wanted, '^')) {
        (void)buf_append_text(&command, "sweep it with keep = files");
    } else {
        (void)buf_appendf(&command, "hf download %s", repository->repository.name);
        (void)buf_append_text(&command,
                              repository->kind == REPOSITORY_KIND_DATASET ? " --repo-type dataset" : "");
        append_revision(&command, wanted);
    }
    (void)err_set(err, ERR_NOT_FOUND,
                  "%.160s of %s is not in the cache %.120s, and HF_HUB_OFFLINE or the option offline forbids "
                  "to ask the hub; where there is a network: %s",
                  what, repository->repository.name, repository->hub->options.cache_folder,
                  buf_text(&command));
    buf_free(&command);
    free(name);
    return ERR_NOT_FOUND;
}

/* -- Refs and trees -------------------------------------------------------------------------------------- */

int offline_list_refs(struct hub_repository *repository, struct repository_refs **ret_refs, struct err *err)
{
    int code = cache_list_refs(&repository->cache, ret_refs, err);
    return code == ERR_NOT_FOUND ? offline_refuse(repository, "a revision", NULL, err) : code;
}

int offline_resolve(struct hub_repository *repository, const char *revision, char *commit, struct err *err)
{
    char what[LIMIT_REVISION_NAME_BYTES + 16];
    (void)snprintf(what, sizeof what, "revision %s", revision);
    int code = cache_read_ref(&repository->cache, revision, commit, err);
    if (code == ERR_CONFLICT) {
        err->code = ERR_IO; /* of this machine's disk, and no conflict with the queue */
        return err_wrap(err, "%s", what);
    }
    return code ? offline_refuse(repository, what, revision, err) : 0;
}

int offline_list_tree(struct hub_repository *repository, const char *commit,
                      struct repository_tree **ret_tree, struct err *err)
{
    int code = cache_list_tree(&repository->cache, commit, ret_tree, err);
    return code == ERR_NOT_FOUND ? offline_refuse(repository, "the list of files", commit, err) : code;
}

/* -- Titled commits -------------------------------------------------------------------------------------- */

static int is_title_of(const struct repository_ref *ref, const char *branch, struct revision_place *place)
{
    struct err ignored = ERR_INIT;
    return ref->kind == REPOSITORY_REF_KIND_PLACE && !revision_place_read(NULL, ref->name, place, &ignored) &&
           place->kind == REVISION_PLACE_COMMIT && strcmp(place->branch, branch) == 0;
}

int offline_list_commits(struct hub_repository *repository, const char *branch,
                         struct repository_commits **ret_commits, struct err *err)
{
    struct repository_refs *refs = NULL;
    struct repository_commits *commits = calloc(1, sizeof *commits);
    struct revision_place place;
    int code = commits ? cache_list_refs(&repository->cache, &refs, err)
                       : err_set(err, ERR_NO_MEMORY, "commits: out of memory");
    for (size_t i = 0; !code && i < refs->count; i++) {
        if (is_title_of(&refs->rows[i], branch, &place))
            code = hub_json_append_commit(commits, refs->rows[i].commit, place.rest, -1, err);
    }
    repository_refs_free(refs);
    if (!code && !commits->count)
        code = ERR_NOT_FOUND;
    if (!code) {
        *ret_commits = commits;
        return 0;
    }
    repository_commits_free(commits);
    return code == ERR_NOT_FOUND ? offline_refuse(repository, "the list of commits", NULL, err) : code;
}

/* -- Other repositories ---------------------------------------------------------------------------------- */

/* "owner/name" of a folder "models--owner--name"; 0 if it is none of this owner. */
static int read_folder_name(const char *folder, const char *owner, char name[REPOSITORY_NAME_SIZE])
{
    static const char kind[] = "models--";
    const size_t size = strlen(owner);
    if (strncmp(folder, kind, strlen(kind)) != 0 || strncmp(folder + strlen(kind), owner, size) != 0 ||
        strncmp(folder + strlen(kind) + size, "--", 2) != 0)
        return 0;
    int length =
        snprintf(name, REPOSITORY_NAME_SIZE, "%s/%s", owner, folder + strlen(kind) + size + strlen("--"));
    return length > 0 && length < REPOSITORY_NAME_SIZE;
}

/* One that was downloaded by commits alone has no default branch here. */
static int append_model(struct hub_repository *named, const char *owner, const char *name,
                        struct hub_listing *listing, struct err *err)
{
    struct cache cache;
    char commit[REPOSITORY_COMMIT_SIZE];
    struct err ignored = ERR_INIT;
    int code = cache_init(&cache, named->hub->options.cache_folder, REPOSITORY_KIND_MODEL, name, err);
    if (code)
        return code;
    if (cache_read_ref(&cache, "main", commit, &ignored) == 0)
        code = hub_json_append_model(listing, owner, name, commit, err);
    cache_free(&cache);
    return code;
}

int offline_list_models(struct hub_repository *named, const char *owner, const char *text,
                        struct hub_listing *listing, struct err *err)
{
    const char *root = named->hub->options.cache_folder;
    const struct dirent *entry = NULL;
    char name[REPOSITORY_NAME_SIZE];
    DIR *stream = opendir(root);
    int code = stream ? walk_next(stream, root, &entry, err) : 0;
    for (; stream && entry && !code; code = code ? code : walk_next(stream, root, &entry, err)) {
        if (read_folder_name(entry->d_name, owner, name) && strstr(name + strlen(owner) + 1, text))
            code = append_model(named, owner, name, listing, err);
    }
    if (stream)
        (void)closedir(stream);
    if (!code && !listing->count)
        return offline_refuse(named, "the list of models", NULL, err);
    return code;
}
