/* The verbs that ask the hub's API: refs, commits, trees; offline, the cache answers. */
#include "daemon/hub/client.h"

#include "daemon/base/digest.h"
#include "daemon/base/limits.h"
#include "daemon/hub/exchange.h"
#include "daemon/hub/hub_json.h"
#include "daemon/hub/url.h"

#include <inttypes.h>
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

/* -- Listings of several pages ------------------------------------------------------------------------ */

#define SMALL_PAGE_BYTES 1000 /* fewer than ten entries; the hub's pages have a thousand */

struct pages {
    size_t count, small_count;
    uint64_t begun_us; /* what the repository's transfers had taken before */
    char *urls[LIMIT_HUB_PAGES];
};

/* Takes the next page's address; a listing that leads back to where it was would never end. */
static int add_page(struct pages *pages, const char *what, char *url, struct err *err)
{
    for (size_t i = 0; i < pages->count; i++) {
        if (strcmp(pages->urls[i], url) == 0) {
            free(url);
            return err_set(err, ERR_FORMAT, "%s: the hub's pages lead in a circle", what);
        }
    }
    if (pages->count == LIMIT_HUB_PAGES) {
        free(url);
        return err_set(err, ERR_LIMIT, "%s: more than %d pages", what, LIMIT_HUB_PAGES);
    }
    pages->urls[pages->count++] = url;
    return 0;
}

/* Whether a listing may go on after this page: one that leads on and on must not hold up whoever lists
 * others. Waits for limits do not count. */
static int check_progress(struct hub_repository *hub_repository, struct pages *pages, const char *what,
                          size_t page_bytes, struct err *err)
{
    int64_t limit_ms = hub_repository->hub->options.stall_timeout_ms * EXCHANGE_STALLS_MAX;
    uint64_t taken_us = atomic_load(&hub_repository->usage.transfer_us) - pages->begun_us;
    if (page_bytes < SMALL_PAGE_BYTES && ++pages->small_count > LIMIT_HUB_SMALL_PAGES)
        return err_set(err, ERR_LIMIT, "%s: more than %d pages that hold next to nothing", what,
                       LIMIT_HUB_SMALL_PAGES);
    if (taken_us / 1000 > (uint64_t)limit_ms)
        return err_set(err, ERR_TIMEOUT,
                       "%s: %zu pages took %" PRId64
                       " s and there are more; a larger stall timeout gives them "
                       "more time",
                       what, pages->count, (int64_t)(taken_us / 1000000));
    return 0;
}

/* Asks for `path` below the repository's API and for every page that its answers name as the next; `take`
 * parses each into `list`. `what` is for errors. */
static int read_pages(struct hub_repository *hub_repository, const char *what, const char *path,
                      int (*take)(const char *data, size_t size, void *list, struct err *err), void *list,
                      struct err *err)
{
    struct buf url, body;
    struct pages *pages = calloc(1, sizeof *pages);
    if (pages)
        pages->begun_us = atomic_load(&hub_repository->usage.transfer_us);
    buf_init(&url, LIMIT_URL_BYTES);
    buf_init(&body, LIMIT_HUB_JSON_BYTES);
    client_append_api(hub_repository, &url);
    (void)buf_append_text(&url, path);
    int code = buf_check(&url, "address", err);
    char *next = code ? NULL : buf_take(&url);
    if (!code && (!next || !pages))
        code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", what);
    while (!code && next) {
        char *page = next;
        next = NULL;
        code = add_page(pages, what, page, err);
        if (code)
            break;
        buf_clear(&body);
        code = request_get_json(hub_repository, page, &body, &next, err);
        if (!code)
            code = take(buf_text(&body), body.size, list, err);
        if (!code && next)
            code = check_progress(hub_repository, pages, what, body.size, err);
    }
    free(next);
    for (size_t i = 0; pages && i < pages->count; i++)
        free(pages->urls[i]);
    free(pages);
    buf_free(&url);
    buf_free(&body);
    return code;
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
    if (hub_repository->hub->options.is_offline) {
        if (cache_list_refs(&hub_repository->cache, ret_refs, err) == 0)
            return 0;
        return err->code == ERR_NOT_FOUND ? client_refuse_offline(hub_repository, "a revision", err)
                                          : err->code;
    }
    /* The hub has never been seen to page its refs, and its own clients ask for one page. Whoever does page
     * them must not lose us revisions. */
    struct repository_refs *refs = calloc(1, sizeof *refs);
    int code = refs ? read_pages(hub_repository, "refs", "/refs?include_prs=1", take_refs, refs, err)
                    : err_set(err, ERR_NO_MEMORY, "refs: out of memory");
    if (code) {
        repository_refs_free(refs);
        return name_repository(hub_repository, err);
    }
    *ret_refs = refs;
    return 0;
}

/* Remembers a name, so that a download can write it into the cache's refs. */
static void remember(struct hub_repository *hub_repository, const char *revision, const char *commit)
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

int listing_resolve(struct repository *repository, const char *revision, char *commit, struct err *err)
{
    struct hub_repository *hub_repository = cast(repository);
    if (!revision || !revision[0])
        revision = "main";
    if (strlen(revision) >= LIMIT_REVISION_NAME_BYTES)
        return err_set(err, ERR_INVALID, "%.40s...: a revision has at most %d bytes", revision,
                       LIMIT_REVISION_NAME_BYTES - 1);
    if (digest_is_hex(revision, REPOSITORY_COMMIT_SIZE - 1)) {
        (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", revision);
        return 0;
    }
    /* No branch can have these names, but as parts of an address they mean a folder: that of the model. */
    if (strcmp(revision, ".") == 0 || strcmp(revision, "..") == 0)
        return err_set(err, ERR_NOT_FOUND, "revision %s: no name of a branch, tag or commit", revision);
    if (hub_repository->hub->options.is_offline) {
        char what[LIMIT_REVISION_NAME_BYTES + 16];
        (void)snprintf(what, sizeof what, "revision %s", revision);
        int code = cache_read_ref(&hub_repository->cache, revision, commit, err);
        if (code == ERR_CONFLICT) {
            err->code = ERR_IO; /* of this machine's disk, and no conflict with the queue */
            return err_wrap(err, "%s", what);
        }
        return code ? client_refuse_offline(hub_repository, what, err) : 0;
    }
    char found[REPOSITORY_COMMIT_SIZE];
    int code = get_commit(hub_repository, revision, found, err);
    if (code)
        return err_wrap(err, "revision %s", revision);
    remember(hub_repository, revision, found);
    (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", found);
    return 0;
}

int listing_tree(struct repository *repository, const char *commit, struct repository_tree **ret_tree,
                 struct err *err)
{
    struct hub_repository *hub_repository = cast(repository);
    int code = client_check_commit(commit, err);
    if (code)
        return code;
    if (hub_repository->hub->options.is_offline) {
        if (cache_list_tree(&hub_repository->cache, commit, ret_tree, err) == 0)
            return 0;
        return err->code == ERR_NOT_FOUND ? client_refuse_offline(hub_repository, "the list of files", err)
                                          : err->code;
    }
    char path[REPOSITORY_COMMIT_SIZE + 64];
    (void)snprintf(path, sizeof path, "/tree/%s?recursive=true&expand=false", commit);
    struct repository_tree *tree = calloc(1, sizeof *tree);
    code = tree ? read_pages(hub_repository, "tree", path, take_tree, tree, err)
                : err_set(err, ERR_NO_MEMORY, "tree: out of memory");
    if (!code)
        code = hub_json_finish_tree(tree, err);
    if (code) {
        repository_tree_free(tree);
        return name_repository(hub_repository, err);
    }
    (void)snprintf(tree->commit, sizeof tree->commit, "%s", commit);
    *ret_tree = tree;
    return 0;
}
