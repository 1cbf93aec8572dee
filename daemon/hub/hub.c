#include "daemon/hub/hub.h"

#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/hub/client.h"
#include "daemon/hub/folder.h"
#include "daemon/hub/hub_json.h"
#include "daemon/hub/url.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- The hub -----------------------------------------------------------------------------------------------
 */

static int copy_options(const struct hub_options *from, struct hub_options *to, struct err *err)
{
    *to = *from;
    to->endpoint = to->token = to->cache_folder = to->state_folder = to->ca_file = to->user_agent = NULL;
    int code = hub_options_set(&to->endpoint, from->endpoint, err);
    if (!code)
        code = hub_options_set(&to->token, from->token, err);
    if (!code)
        code = hub_options_set(&to->cache_folder, from->cache_folder, err);
    if (!code)
        code = hub_options_set(&to->state_folder, from->state_folder, err);
    if (!code)
        code = hub_options_set(&to->ca_file, from->ca_file, err);
    if (!code)
        code = hub_options_set(&to->user_agent, from->user_agent, err);
    return code;
}

static int check_options(struct hub_options *options, struct err *err)
{
    if (!options->endpoint || !options->cache_folder || !options->user_agent)
        return err_set(err, ERR_INVALID, "hub: endpoint, cache folder and user agent must be set");
    for (size_t size = strlen(options->endpoint); size && options->endpoint[size - 1] == '/'; size--)
        options->endpoint[size - 1] = 0;
    if (!url_is_endpoint(options->endpoint))
        return err_set(err, ERR_INVALID, "hub: %.200s: not an http or https address", options->endpoint);
    if (options->connections_max < 1 || options->connections_per_file_max < 1 || options->attempts_max < 1)
        return err_set(err, ERR_INVALID, "hub: connections and attempts must be at least 1");
    if (options->connect_timeout_ms < 1 || options->stall_timeout_ms < 1 || options->backoff_ms < 0)
        return err_set(err, ERR_INVALID, "hub: times must be positive");
    if (options->ca_file && !file_exists(options->ca_file))
        return err_set(err, ERR_INVALID, "hub: %s: no such file of certificates", options->ca_file);
    return 0;
}

int hub_open(const struct hub_options *options, struct hub **ret_hub, struct err *err)
{
    struct hub *hub = calloc(1, sizeof *hub);
    if (!hub)
        return err_set(err, ERR_NO_MEMORY, "hub: out of memory");
    int code = copy_options(options, &hub->options, err);
    if (!code)
        code = check_options(&hub->options, err);
    if (!code)
        code = transfers_open(&hub->options, &hub->transfers, err);
    if (code) {
        hub_options_free(&hub->options);
        free(hub);
        return code;
    }
    *ret_hub = hub;
    return 0;
}

void hub_close(struct hub *hub)
{
    if (!hub)
        return;
    transfers_close(hub->transfers);
    hub_options_free(&hub->options);
    free(hub);
}

void hub_cancel(struct hub *hub)
{
    atomic_store(&hub->is_cancelled, 1);
    transfers_cancel(hub->transfers);
}

void hub_counters(struct hub *hub, struct repository_counters *counters)
{
    usage_read(&hub->usage, counters);
}

/* -- The verbs of a repository --------------------------------------------------------------------------- */

static struct hub_repository *cast(struct repository *repository)
{
    return (struct hub_repository *)repository;
}

static int check_commit(const char *commit, struct err *err)
{
    if (digest_is_hex(commit, REPOSITORY_COMMIT_SIZE - 1))
        return 0;
    return err_set(err, ERR_INVALID, "%.60s: a commit has 40 hexadecimal digits; resolve the revision first",
                   commit);
}

static int check_file(const char *commit, const char *path, struct err *err)
{
    int code = check_commit(commit, err);
    if (!code && !file_is_safe_relative(path))
        code = err_set(err, ERR_INVALID, "%.100s: not a path inside of the repository", path);
    return code;
}

static int get_info(struct hub_repository *hub_repository, const char *revision, struct repository_info *info,
                    struct err *err)
{
    struct buf url, body;
    buf_init(&url, LIMIT_URL_BYTES);
    buf_init(&body, LIMIT_HUB_JSON_BYTES);
    client_append_api(hub_repository, &url);
    if (revision) {
        (void)buf_append_text(&url, "/revision/");
        url_append_segment(&url, revision);
    }
    int code = buf_check(&url, "address", err);
    if (!code)
        code = request_get_json(hub_repository, url.data, &body, NULL, err);
    if (!code)
        code = hub_json_parse_info(buf_text(&body), body.size, info, err);
    buf_free(&url);
    buf_free(&body);
    return code;
}

static int info_of(struct repository *repository, struct repository_info *info, struct err *err)
{
    if (cast(repository)->hub->options.is_offline) {
        struct repository_info found = {0};
        if (cache_read_ref(&cast(repository)->cache, "main", found.commit, err))
            return client_refuse_offline(cast(repository), "the default branch", err);
        *info = found;
        return 0;
    }
    return get_info(cast(repository), NULL, info, err);
}

static int list_refs(struct repository *repository, struct repository_refs **ret_refs, struct err *err)
{
    struct hub_repository *hub_repository = cast(repository);
    struct buf url, body;
    if (hub_repository->hub->options.is_offline) {
        if (cache_list_refs(&hub_repository->cache, ret_refs, err) == 0)
            return 0;
        return err->code == ERR_NOT_FOUND ? client_refuse_offline(hub_repository, "any revision", err)
                                          : err->code;
    }
    buf_init(&url, LIMIT_URL_BYTES);
    buf_init(&body, LIMIT_HUB_JSON_BYTES);
    client_append_api(hub_repository, &url);
    (void)buf_append_text(&url, "/refs?include_prs=1");
    int code = buf_check(&url, "address", err);
    if (!code)
        code = request_get_json(hub_repository, url.data, &body, NULL, err);
    if (!code)
        code = hub_json_parse_refs(buf_text(&body), body.size, ret_refs, err);
    buf_free(&url);
    buf_free(&body);
    return code;
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

static int resolve(struct repository *repository, const char *revision, char *commit, struct err *err)
{
    struct hub_repository *hub_repository = cast(repository);
    struct repository_info info;
    if (!revision || !revision[0])
        revision = "main";
    if (strlen(revision) >= LIMIT_REVISION_NAME_BYTES)
        return err_set(err, ERR_INVALID, "%.40s...: a revision has at most %d bytes", revision,
                       LIMIT_REVISION_NAME_BYTES - 1);
    if (digest_is_hex(revision, REPOSITORY_COMMIT_SIZE - 1)) {
        (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", revision);
        return 0;
    }
    if (hub_repository->hub->options.is_offline) {
        char what[LIMIT_REVISION_NAME_BYTES + 16];
        (void)snprintf(what, sizeof what, "revision %s", revision);
        return cache_read_ref(&hub_repository->cache, revision, commit, err)
                   ? client_refuse_offline(hub_repository, what, err)
                   : 0;
    }
    int code = get_info(hub_repository, revision, &info, err);
    if (code)
        return err_wrap(err, "revision %s", revision);
    remember(hub_repository, revision, info.commit);
    (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", info.commit);
    return 0;
}

struct pages {
    size_t count;
    char *urls[LIMIT_HUB_PAGES];
};

/* Takes the next page's address; a listing that leads back to where it was would never end. */
static int add_page(struct pages *pages, char *url, struct err *err)
{
    for (size_t i = 0; i < pages->count; i++) {
        if (strcmp(pages->urls[i], url) == 0) {
            free(url);
            return err_set(err, ERR_FORMAT, "tree: the hub's pages lead in a circle");
        }
    }
    if (pages->count == LIMIT_HUB_PAGES) {
        free(url);
        return err_set(err, ERR_LIMIT, "tree: more than %d pages", LIMIT_HUB_PAGES);
    }
    pages->urls[pages->count++] = url;
    return 0;
}

static int read_pages(struct hub_repository *hub_repository, const char *commit, struct pages *pages,
                      struct repository_tree *tree, struct err *err)
{
    struct buf url, body;
    buf_init(&url, LIMIT_URL_BYTES);
    buf_init(&body, LIMIT_HUB_JSON_BYTES);
    client_append_api(hub_repository, &url);
    (void)buf_appendf(&url, "/tree/%s?recursive=true&expand=false", commit);
    int code = buf_check(&url, "address", err);
    char *next = code ? NULL : buf_take(&url);
    if (!code && !next)
        code = err_set(err, ERR_NO_MEMORY, "tree: out of memory");
    while (!code && next) {
        char *page = next;
        next = NULL;
        code = add_page(pages, page, err);
        if (code)
            break;
        buf_clear(&body);
        code = request_get_json(hub_repository, page, &body, &next, err);
        if (!code)
            code = hub_json_parse_tree_page(buf_text(&body), body.size, tree, err);
    }
    free(next);
    buf_free(&url);
    buf_free(&body);
    return code;
}

static int list_tree(struct repository *repository, const char *commit, struct repository_tree **ret_tree,
                     struct err *err)
{
    struct hub_repository *hub_repository = cast(repository);
    int code = check_commit(commit, err);
    if (code)
        return code;
    if (hub_repository->hub->options.is_offline) {
        if (cache_list_tree(&hub_repository->cache, commit, ret_tree, err) == 0)
            return 0;
        return err->code == ERR_NOT_FOUND ? client_refuse_offline(hub_repository, "the list of files", err)
                                          : err->code;
    }
    struct pages *pages = calloc(1, sizeof *pages);
    struct repository_tree *tree = calloc(1, sizeof *tree);
    if (!pages || !tree)
        code = err_set(err, ERR_NO_MEMORY, "tree: out of memory");
    if (!code)
        code = read_pages(hub_repository, commit, pages, tree, err);
    if (!code)
        code = hub_json_finish_tree(tree, err);
    if (!code) {
        (void)snprintf(tree->commit, sizeof tree->commit, "%s", commit);
        *ret_tree = tree;
        tree = NULL;
    }
    for (size_t i = 0; pages && i < pages->count; i++)
        free(pages->urls[i]);
    free(pages);
    repository_tree_free(tree);
    return code;
}

/* The path of a file whose whole content is in the cache, or NULL. */
static char *find_cached(struct hub_repository *hub_repository, const char *commit, const char *path,
                         const struct repository_file *expected)
{
    struct cache *cache = &hub_repository->cache;
    if (!expected)
        return cache_find_file(cache, commit, path);
    return cache_find_blob(cache, expected->sha256[0] ? expected->sha256 : expected->git_oid,
                           expected->size_bytes);
}

static int open_cached(struct hub_repository *hub_repository, const char *path, struct source **ret_source,
                       struct err *err)
{
    int code = source_open_file(path, ret_source, err);
    if (!code)
        client_note_cache_hit(hub_repository, path);
    return code;
}

/* A file may be evicted between its download and here when the budget is small: then once more. */
static int open_downloaded(struct hub_repository *hub_repository, const char *commit, const char *path,
                           const struct repository_file *expected, struct source **ret_source,
                           struct err *err)
{
    int code = ERR_NOT_FOUND;
    for (int round = 0; round < 2 && code == ERR_NOT_FOUND; round++) {
        char *local = NULL;
        code = download_file(hub_repository, commit, path, expected, &local, err);
        if (code)
            break;
        code = source_open_file(local, ret_source, err);
        free(local);
    }
    return code;
}

static int open_file(struct repository *repository, const char *commit, const char *path,
                     const struct repository_file *expected, struct source **ret_source, struct err *err)
{
    struct hub_repository *hub_repository = cast(repository);
    int code = check_file(commit, path, err);
    if (code)
        return code;
    char *local = find_cached(hub_repository, commit, path, expected);
    if (local) {
        code = open_cached(hub_repository, local, ret_source, err);
    } else if (hub_repository->hub->options.is_offline) {
        code = client_refuse_offline(hub_repository, path, err);
    } else if (hub_repository->hub->options.keep == HUB_KEEP_FILES) {
        code = open_downloaded(hub_repository, commit, path, expected, ret_source, err);
    } else {
        code = remote_open(hub_repository, commit, path, expected, ret_source, err);
    }
    free(local);
    return code;
}

static int fetch_remote(struct hub_repository *hub_repository, const char *commit, const char *path,
                        const struct repository_file *expected, struct buf *buf, struct err *err)
{
    struct source *source = NULL;
    int code = remote_open(hub_repository, commit, path, expected, &source, err);
    if (code)
        return code;
    if (source->size_bytes > buf->max - buf->size) {
        code = err_set(err, ERR_LIMIT, "%s: larger than the limit of %zu bytes", path, buf->max);
    } else {
        char *place = buf_reserve(buf, (size_t)source->size_bytes);
        code = place ? source_read(source, 0, place, (size_t)source->size_bytes, err)
                     : buf_check(buf, path, err);
        if (!code) {
            buf->size += (size_t)source->size_bytes;
            buf->data[buf->size] = 0;
        }
    }
    source_close(source);
    return code;
}

static int fetch_file(struct repository *repository, const char *commit, const char *path,
                      const struct repository_file *expected, struct buf *buf, struct err *err)
{
    struct hub_repository *hub_repository = cast(repository);
    int code = check_file(commit, path, err);
    if (code)
        return code;
    char *local = find_cached(hub_repository, commit, path, expected);
    if (local) {
        code = file_read(local, buf, err);
        if (!code)
            client_note_cache_hit(hub_repository, local);
    } else if (hub_repository->hub->options.is_offline) {
        code = client_refuse_offline(hub_repository, path, err);
    } else {
        code = fetch_remote(hub_repository, commit, path, expected, buf, err);
        if (code == ERR_MISMATCH) /* one flipped bit on the way is worth a second try */
            code = fetch_remote(hub_repository, commit, path, expected, buf, err);
    }
    free(local);
    return code;
}

static int download(struct repository *repository, const char *commit, const char *path,
                    const struct repository_file *expected, char **ret_path, struct err *err)
{
    int code = check_file(commit, path, err);
    return code ? code : download_file(cast(repository), commit, path, expected, ret_path, err);
}

static void read_counters(struct repository *repository, struct repository_counters *counters)
{
    usage_read(&cast(repository)->usage, counters);
}

static void close_repository(struct repository *repository)
{
    struct hub_repository *hub_repository = cast(repository);
    for (size_t i = 0; i < hub_repository->resolved.count; i++)
        free(hub_repository->resolved.rows[i].name);
    free(hub_repository->resolved.rows);
    cache_free(&hub_repository->cache);
    (void)pthread_mutex_destroy(&hub_repository->mutex);
    free(hub_repository->name);
    free(hub_repository);
}

static const struct repository_ops hub_repository_ops = {
    .info = info_of,
    .list_refs = list_refs,
    .resolve = resolve,
    .list_tree = list_tree,
    .open_file = open_file,
    .fetch_file = fetch_file,
    .download_file = download,
    .counters = read_counters,
    .close = close_repository,
};

int hub_is_repository_name(const char *name)
{
    size_t size = strlen(name), slash_count = 0;
    if (size == 0 || size > 96 || strstr(name, "--") || strstr(name, "..") ||
        (size > 4 && strcmp(name + size - 4, ".git") == 0))
        return 0;
    for (size_t i = 0; i < size; i++) {
        int is_first = i == 0 || name[i - 1] == '/', is_last = i + 1 == size || name[i + 1] == '/';
        if (name[i] == '/') {
            if (is_first || is_last || ++slash_count > 1)
                return 0;
        } else if (name[i] == '-' || name[i] == '.') {
            if (is_first || is_last)
                return 0;
        } else if (!isalnum((unsigned char)name[i]) && name[i] != '_') {
            return 0;
        }
    }
    return 1;
}

int hub_open_repository(struct hub *hub, enum repository_kind kind, const char *name,
                        const atomic_bool *cancel, struct repository **ret_repository, struct err *err)
{
    if (strncmp(name, "file:", 5) == 0)
        return folder_open_repository(name, ret_repository, err);
    if (!hub_is_repository_name(name))
        return err_set(err, ERR_INVALID, "%.100s: a model is written owner/name or file:/absolute/path",
                       name);
    struct hub_repository *hub_repository = calloc(1, sizeof *hub_repository);
    if (!hub_repository)
        return err_set(err, ERR_NO_MEMORY, "hub: out of memory");
    hub_repository->hub = hub;
    hub_repository->kind = kind;
    hub_repository->cancel = cancel;
    (void)pthread_mutex_init(&hub_repository->mutex, NULL);
    hub_repository->name = strdup(name);
    hub_repository->repository =
        (struct repository){.ops = &hub_repository_ops, .name = hub_repository->name};
    int code = hub_repository->name
                   ? cache_init(&hub_repository->cache, hub->options.cache_folder, kind, name, err)
                   : err_set(err, ERR_NO_MEMORY, "hub: out of memory");
    if (code) {
        close_repository(&hub_repository->repository);
        return code;
    }
    *ret_repository = &hub_repository->repository;
    return 0;
}
