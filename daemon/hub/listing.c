/* The verbs that ask the hub's API: refs, commits, trees, histories; offline, the cache answers. */
#include "daemon/hub/client.h"

#include "daemon/base/digest.h"
#include "daemon/base/limits.h"
#include "daemon/hub/hub_json.h"
#include "daemon/hub/offline.h"
#include "daemon/hub/pages.h"
#include "daemon/hub/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct hub_repository *cast(struct repository *repository)
{
    return (struct hub_repository *)repository;
}

int client_check_commit(const char *commit, struct err *err)
{
    if (digest_is_hex(commit, REPOSITORY_COMMIT_SIZE - 1))
        return 0;
    return err_set(err, ERR_INVALID, "%.60s: a commit has 40 hexadecimal digits; resolve the revision first",
                   commit);
}

/* An error of the API says which repository it is about, unless its words do so already. */
static int name_repository(const struct hub_repository *hub_repository, struct err *err)
{
    const char *name = hub_repository->repository.name;
    return strstr(err->message, name) ? err->code : err_wrap(err, "%s", name);
}

static int get_commit(struct hub_repository *hub_repository, const char *revision, char *commit,
                      struct err *err)
{
    struct buf url, body;
    buf_init(&url, LIMIT_URL_BYTES);
    buf_init(&body, LIMIT_HUB_JSON_BYTES);
    client_append_api(hub_repository, &url);
    (void)buf_append_text(&url, "/revision/");
    url_append_segment(&url, revision);
    int code = buf_check(&url, "address", err);
    if (!code)
        code = request_get_json(hub_repository, url.data, &body, NULL, err);
    if (!code)
        code = hub_json_parse_commit(buf_text(&body), body.size, commit, err);
    buf_free(&url);
    buf_free(&body);
    return code ? name_repository(hub_repository, err) : 0;
}

/* Reads the pages of `path` below the repository's API, whose errors then name it. `list` is NULL without
 * memory. */
static int list_pages(struct hub_repository *hub_repository, const char *what, const char *path,
                      pages_take *take, void *list, struct err *err)
{
    struct buf url;
    buf_init(&url, LIMIT_URL_BYTES);
    client_append_api(hub_repository, &url);
    (void)buf_append_text(&url, path);
    int code = list ? pages_read(hub_repository, what, &url, take, list, err)
                    : err_set(err, ERR_NO_MEMORY, "%s: out of memory", what);
    buf_free(&url);
    return code ? name_repository(hub_repository, err) : 0;
}

static int take_refs(const char *data, size_t size, void *list, struct err *err)
{
    return hub_json_parse_refs_page(data, size, list, err);
}

static int take_tree(const char *data, size_t size, void *list, struct err *err)
{
    return hub_json_parse_tree_page(data, size, list, err);
}

int listing_refs(struct repository *repository, struct repository_refs **ret_refs, struct err *err)
{
    struct hub_repository *hub_repository = cast(repository);
    if (hub_repository->hub->options.is_offline)
        return offline_list_refs(hub_repository, ret_refs, err);
    /* The hub has never been seen to page its refs, and its own clients ask for one page. Whoever does page
     * them must not lose us revisions. */
    struct repository_refs *refs = calloc(1, sizeof *refs);
    int code = list_pages(hub_repository, "refs", "/refs?include_prs=1", take_refs, refs, err);
    if (code) {
        repository_refs_free(refs);
        return code;
    }
    *ret_refs = refs;
    return 0;
}

void client_note_name(struct hub_repository *hub_repository, const char *revision, const char *commit)
{
    struct repository_refs *resolved = &hub_repository->resolved;
    struct err ignored = ERR_INIT;
    (void)pthread_mutex_lock(&hub_repository->mutex);
    size_t i = 0;
    while (i < resolved->count && strcmp(resolved->rows[i].name, revision) != 0)
        i++;
    if (i < resolved->count)
        (void)snprintf(resolved->rows[i].commit, REPOSITORY_COMMIT_SIZE, "%s", commit);
    else
        (void)hub_json_append_ref(resolved, REPOSITORY_REF_KIND_BRANCH, revision, commit, &ignored);
    (void)pthread_mutex_unlock(&hub_repository->mutex);
}

/* Whether a revision can be part of an address; NULL and "" become "main". */
static int check_revision(const char **revision, struct err *err)
{
    if (!*revision || !**revision)
        *revision = "main";
    if (strlen(*revision) >= LIMIT_REVISION_NAME_BYTES)
        return err_set(err, ERR_INVALID, "%.40s...: a revision has at most %d bytes", *revision,
                       LIMIT_REVISION_NAME_BYTES - 1);
    /* No branch can have these names, but as parts of an address they mean a folder: that of the model. */
    if (strcmp(*revision, ".") == 0 || strcmp(*revision, "..") == 0)
        return err_set(err, ERR_NOT_FOUND, "revision %s: no name of a branch, tag or commit", *revision);
    return 0;
}

int listing_resolve(struct repository *repository, const char *revision, char *commit, struct err *err)
{
    struct hub_repository *hub_repository = cast(repository);
    int code = check_revision(&revision, err);
    if (code)
        return code;
    if (digest_is_hex(revision, REPOSITORY_COMMIT_SIZE - 1)) {
        (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", revision);
        return 0;
    }
    if (hub_repository->hub->options.is_offline)
        return offline_resolve(hub_repository, revision, commit, err);
    char found[REPOSITORY_COMMIT_SIZE];
    code = get_commit(hub_repository, revision, found, err);
    if (code)
        return err_wrap(err, "revision %s", revision);
    client_note_name(hub_repository, revision, found);
    (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", found);
    return 0;
}

/* The tree of a commit, or of what lies in a folder of it. */
static int list_tree(struct hub_repository *hub_repository, const char *commit, const char *folder,
                     struct repository_tree **ret_tree, struct err *err)
{
    struct buf path;
    int code = client_check_commit(commit, err);
    if (code)
        return code;
    if (hub_repository->hub->options.is_offline)
        return offline_list_tree(hub_repository, commit, ret_tree, err);
    buf_init(&path, LIMIT_URL_BYTES);
    (void)buf_appendf(&path, "/tree/%s%s", commit, folder ? "/" : "");
    url_append_path(&path, folder ? folder : "");
    (void)buf_append_text(&path, "?recursive=true&expand=false");
    struct repository_tree *tree = calloc(1, sizeof *tree);
    code = buf_check(&path, "address", err);
    if (!code)
        code = list_pages(hub_repository, "tree", path.data, take_tree, tree, err);
    buf_free(&path);
    if (code == ERR_NOT_FOUND && err->absent == ERR_ABSENT_REVISION)
        code = err_set_absent(err, ERR_ABSENT_REVISION, CLIENT_NO_COMMIT, client_kind_word(hub_repository),
                              hub_repository->repository.name);
    if (!code && hub_json_finish_tree(tree, err))
        code = name_repository(hub_repository, err);
    if (code) {
        repository_tree_free(tree);
        return code;
    }
    (void)snprintf(tree->commit, sizeof tree->commit, "%s", commit);
    *ret_tree = tree;
    return 0;
}

int listing_tree(struct repository *repository, const char *commit, struct repository_tree **ret_tree,
                 struct err *err)
{
    return list_tree(cast(repository), commit, NULL, ret_tree, err);
}

int listing_tree_below(struct repository *repository, const char *commit, const char *folder,
                       struct repository_tree **ret_tree, struct err *err)
{
    return list_tree(cast(repository), commit, folder, ret_tree, err);
}

static int take_commits(const char *data, size_t size, void *list, struct err *err)
{
    return hub_json_parse_commits_page(data, size, list, err);
}

int listing_commits(struct repository *repository, const char *revision,
                    struct repository_commits **ret_commits, struct err *err)
{
    struct hub_repository *hub_repository = cast(repository);
    struct buf path;
    int code = check_revision(&revision, err);
    if (code)
        return code;
    if (hub_repository->hub->options.is_offline)
        return offline_list_commits(hub_repository, revision, ret_commits, err);
    buf_init(&path, LIMIT_URL_BYTES);
    (void)buf_append_text(&path, "/commits/");
    url_append_segment(&path, revision);
    /* Without a limit the hub gives 50 at once; 1000 is the most that its own JavaScript client says may be
     * asked for. */
    (void)buf_append_text(&path, "?limit=1000");
    struct repository_commits *commits = calloc(1, sizeof *commits);
    code = buf_check(&path, "address", err);
    if (!code)
        code = list_pages(hub_repository, "commits", path.data, take_commits, commits, err);
    buf_free(&path);
    if (code) {
        repository_commits_free(commits);
        return err_wrap(err, "revision %s", revision);
    }
    *ret_commits = commits;
    return 0;
}
