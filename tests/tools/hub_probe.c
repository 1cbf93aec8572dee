/*
 * Drives the hub client from the command line and prints one JSON object, for the end-to-end tests:
 *
 *     hub_probe [--set NAME=NUMBER]... [--dataset] [--no-tree] [--cancel] REPOSITORY COMMAND [ARGUMENT]...
 *
 *     refs | resolve [REV] | tree REV | fetch REV PATH | download REV PATH
 *     commits [REV] | models [TEXT]                  the history; what REPOSITORY, an owner, has
 *     read REV PATH OFFSET SIZE [OFFSET SIZE]...     SHA-256 of each range; "need OFFSET SIZE" announces
 *     sweep THREADS PATH OFFSET SIZE                 that range of every branch
 *
 * --cancel ends the command after 300 ms. The options come from the environment, then from --set. Exit status
 * 1: {"error", "message"}.
 */
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/limits.h"
#include "daemon/hub/hub.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct probe {
    struct hub_options options;
    struct hub *hub;
    struct repository *repository;
    enum repository_kind kind;
    int uses_tree;
    atomic_bool cancel;
    json_t *out;
};

static void usage(void)
{
    (void)fputs(
        "hub_probe [--set NAME=NUMBER] [--dataset] [--no-tree] [--cancel] REPOSITORY COMMAND ...; see the "
        "source\n",
        stderr);
    exit(2);
}

static uint64_t number(const char *text)
{
    char *end = NULL;
    uint64_t value = text ? strtoull(text, &end, 10) : 0;
    if (!text || end == text || *end)
        usage();
    return value;
}

static void set_option(struct hub_options *options, const char *text)
{
    const char *equals = strchr(text, '=');
    struct err err = ERR_INIT;
    if (!equals)
        usage();
    if (strncmp(text, "state=", 6) == 0) {
        if (hub_options_set(&options->state_folder, equals + 1, &err))
            exit(2);
        return;
    }
    int64_t value = (int64_t)number(equals + 1);
    size_t size = (size_t)(equals - text);
#define OPTION(member, type)                                                                                 \
    if (strlen(#member) == size && strncmp(text, #member, size) == 0) {                                      \
        options->member = (type)value;                                                                       \
        return;                                                                                              \
    }
    OPTION(keep, enum hub_keep)
    OPTION(connections_max, int)
    OPTION(connections_per_file_max, int)
    OPTION(connect_timeout_ms, int64_t)
    OPTION(stall_timeout_ms, int64_t)
    OPTION(backoff_ms, int64_t)
    OPTION(backoff_max_ms, int64_t)
    OPTION(wait_max_ms, int64_t)
    OPTION(attempts_max, int)
    OPTION(request_budget, int)
    OPTION(request_window_ms, int64_t)
    OPTION(cache_budget_bytes, uint64_t)
#undef OPTION
    usage();
}

/* -- Commands: each fills probe->out --------------------------------------------------------------- */

static int do_refs(struct probe *probe, struct err *err)
{
    static const char *const kinds[] = {"branch", "tag", "pull_request"};
    struct repository_refs *refs = NULL;
    int code = repository_list_refs(probe->repository, &refs, err);
    if (code)
        return code;
    json_t *rows = json_array();
    for (size_t i = 0; i < refs->count; i++)
        (void)json_array_append_new(rows,
                                    json_pack("{s:s,s:s,s:s}", "kind", kinds[refs->rows[i].kind], "name",
                                              refs->rows[i].name, "commit", refs->rows[i].commit));
    (void)json_object_set_new(probe->out, "refs", rows);
    repository_refs_free(refs);
    return 0;
}

static int do_tree(struct probe *probe, const char *commit, struct err *err)
{
    struct repository_tree *tree = NULL;
    int code = repository_list_tree(probe->repository, commit, &tree, err);
    if (code)
        return code;
    json_t *rows = json_array();
    for (size_t i = 0; i < tree->count; i++)
        (void)json_array_append_new(rows, json_pack("{s:s,s:I,s:s,s:s}", "path", tree->files[i].path, "size",
                                                    (json_int_t)tree->files[i].size_bytes, "oid",
                                                    tree->files[i].git_oid, "sha256", tree->files[i].sha256));
    (void)json_object_set_new(probe->out, "files", rows);
    repository_tree_free(tree);
    return 0;
}

static int do_commits(struct probe *probe, const char *revision, struct err *err)
{
    struct repository_commits *commits = NULL;
    int code = repository_list_commits(probe->repository, revision, &commits, err);
    if (code)
        return code;
    json_t *rows = json_array();
    for (size_t i = 0; i < commits->count; i++)
        (void)json_array_append_new(rows, json_pack("{s:s,s:s,s:I}", "id", commits->rows[i].id, "title",
                                                    commits->rows[i].title, "date_ms",
                                                    (json_int_t)commits->rows[i].date_ms));
    (void)json_object_set_new(probe->out, "commits", rows);
    repository_commits_free(commits);
    return 0;
}

static int do_models(struct probe *probe, const char *text, struct err *err)
{
    struct hub_listing *listing = NULL;
    int code =
        hub_list_repositories(probe->repository, probe->repository->name, text ? text : "", &listing, err);
    if (code)
        return code;
    json_t *rows = json_array();
    for (size_t i = 0; i < listing->count; i++)
        (void)json_array_append_new(
            rows, json_pack("{s:s,s:s}", "name", listing->rows[i].name, "commit", listing->rows[i].commit));
    (void)json_object_set_new(probe->out, "models", rows);
    hub_listing_free(listing);
    return 0;
}

/* Finds a file's row where the tree is used; *ret_tree keeps it alive. */
static int find(struct probe *probe, const char *commit, const char *path, struct repository_tree **ret_tree,
                const struct repository_file **ret_file, struct err *err)
{
    *ret_tree = NULL;
    *ret_file = NULL;
    if (!probe->uses_tree)
        return 0;
    int code = repository_list_tree(probe->repository, commit, ret_tree, err);
    if (code)
        return code;
    *ret_file = repository_tree_find(*ret_tree, path);
    return *ret_file ? 0 : err_set(err, ERR_NOT_FOUND, "%s: not in the tree", path);
}

static int do_fetch(struct probe *probe, const char *commit, const char *path, struct err *err)
{
    struct buf buf;
    char hex[DIGEST_SHA256_HEX_SIZE];
    struct repository_tree *tree = NULL;
    const struct repository_file *file = NULL;
    buf_init(&buf, 64 * MIB);
    int code = find(probe, commit, path, &tree, &file, err);
    if (!code)
        code = repository_fetch_file(probe->repository, commit, path, file, &buf, err);
    if (!code)
        code = digest_sha256_hex(buf_text(&buf), buf.size, hex, err);
    if (!code) {
        (void)json_object_set_new(probe->out, "sha256", json_string(hex));
        (void)json_object_set_new(probe->out, "size", json_integer((json_int_t)buf.size));
    }
    repository_tree_free(tree);
    buf_free(&buf);
    return code;
}

static int do_download(struct probe *probe, const char *commit, const char *path, struct err *err)
{
    char *local = NULL;
    struct repository_tree *tree = NULL;
    const struct repository_file *file = NULL;
    int code = find(probe, commit, path, &tree, &file, err);
    if (!code)
        code = repository_download_file(probe->repository, commit, path, file, &local, err);
    if (!code)
        (void)json_object_set_new(probe->out, "path", json_string(local));
    repository_tree_free(tree);
    free(local);
    return code;
}

static int read_one(struct source *source, uint64_t offset, uint64_t size, char *hex, struct err *err)
{
    void *data = malloc(size ? (size_t)size : 1);
    if (!data)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int code = source_read(source, offset, data, (size_t)size, err);
    if (!code)
        code = digest_sha256_hex(data, (size_t)size, hex, err);
    free(data);
    return code;
}

static int do_read(struct probe *probe, const char *commit, const char *path, char **words, struct err *err)
{
    char hex[DIGEST_SHA256_HEX_SIZE];
    struct source *source = NULL;
    struct repository_tree *tree = NULL;
    const struct repository_file *file = NULL;
    json_t *rows = json_array();
    (void)json_object_set_new(probe->out, "ranges", rows);
    int code = find(probe, commit, path, &tree, &file, err);
    if (!code)
        code = repository_open_file(probe->repository, commit, path, file, &source, err);
    while (!code && *words) {
        int announces = strcmp(*words, "need") == 0;
        words += announces;
        uint64_t offset = number(words[0]), size = number(words[1]);
        words += 2;
        if (announces) {
            source_will_need(source, offset, size);
            continue;
        }
        code = read_one(source, offset, size, hex, err);
        if (!code)
            (void)json_array_append_new(rows, json_string(hex));
    }
    if (source) {
        (void)json_object_set_new(probe->out, "size", json_integer((json_int_t)source->size_bytes));
        (void)json_object_set_new(probe->out, "mapped", json_boolean(source_map(source) != NULL));
    }
    source_close(source);
    repository_tree_free(tree);
    return code;
}

struct sweep {
    struct probe *probe;
    struct repository_refs *refs;
    const char *path;
    uint64_t offset, size;
    pthread_mutex_t mutex;
    size_t next;
    json_t *rows;
};

static int sweep_one(struct sweep *sweep, const struct repository_ref *ref, char *hex, struct err *err)
{
    struct repository_tree *tree = NULL;
    const struct repository_file *file = NULL;
    struct source *source = NULL;
    int code = find(sweep->probe, ref->commit, sweep->path, &tree, &file, err);
    if (!code)
        code = repository_open_file(sweep->probe->repository, ref->commit, sweep->path, file, &source, err);
    uint64_t size = sweep->size ? sweep->size : source ? source->size_bytes : 0;
    if (!code && sweep->offset > 8) /* as a reader of checkpoints does: first the header, then the tensor */
        code = read_one(source, 0, 8, hex, err);
    if (!code)
        code = read_one(source, sweep->offset, size, hex, err);
    source_close(source);
    repository_tree_free(tree);
    return code;
}

static void *sweep_main(void *context)
{
    struct sweep *sweep = context;
    for (;;) {
        (void)pthread_mutex_lock(&sweep->mutex);
        size_t index = sweep->next++;
        (void)pthread_mutex_unlock(&sweep->mutex);
        if (index >= sweep->refs->count)
            return NULL;
        const struct repository_ref *ref = &sweep->refs->rows[index];
        char hex[DIGEST_SHA256_HEX_SIZE];
        struct err err = ERR_INIT;
        int code = sweep_one(sweep, ref, hex, &err);
        (void)pthread_mutex_lock(&sweep->mutex);
        (void)json_object_set_new(
            sweep->rows, ref->name,
            code ? json_pack("{s:s,s:s}", "error", err_name(code), "message", err.message)
                 : json_string(hex));
        (void)pthread_mutex_unlock(&sweep->mutex);
    }
}

static int do_sweep(struct probe *probe, char **words, struct err *err)
{
    pthread_t threads[64];
    struct sweep sweep = {.probe = probe,
                          .path = words[1],
                          .offset = number(words[2]),
                          .size = number(words[3]),
                          .rows = json_object()};
    size_t count = (size_t)number(words[0]), started = 0;
    (void)json_object_set_new(probe->out, "branches", sweep.rows);
    int code = repository_list_refs(probe->repository, &sweep.refs, err);
    if (code)
        return code;
    size_t kept = 0;
    while (kept < sweep.refs->count && sweep.refs->rows[kept].kind == REPOSITORY_REF_KIND_BRANCH)
        kept++;
    size_t all = sweep.refs->count;
    sweep.refs->count = kept;
    (void)pthread_mutex_init(&sweep.mutex, NULL);
    while (started < count && started < 64 &&
           pthread_create(&threads[started], NULL, sweep_main, &sweep) == 0)
        started++;
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_mutex_destroy(&sweep.mutex);
    sweep.refs->count = all;
    repository_refs_free(sweep.refs);
    return 0;
}

/* -- The program ----------------------------------------------------------------------------------- */

static int run(struct probe *probe, char **words, int count, struct err *err)
{
    static const struct {
        const char *name;
        int arguments_min;
    } commands[] = {{"refs", 0},  {"commits", 0},  {"models", 0}, {"resolve", 0}, {"tree", 1},
                    {"fetch", 2}, {"download", 2}, {"read", 4},   {"sweep", 4}};
    const char *word = words[0];
    char commit[REPOSITORY_COMMIT_SIZE] = "";
    size_t command = 0;
    while (command < sizeof commands / sizeof commands[0] && strcmp(commands[command].name, word) != 0)
        command++;
    if (command == sizeof commands / sizeof commands[0] || count - 1 < commands[command].arguments_min)
        usage();
    if (strcmp(word, "refs") == 0)
        return do_refs(probe, err);
    if (strcmp(word, "commits") == 0)
        return do_commits(probe, words[1], err); /* NULL after the last word */
    if (strcmp(word, "models") == 0)
        return do_models(probe, words[1], err);
    if (strcmp(word, "sweep") == 0)
        return do_sweep(probe, words + 1, err);
    int code = repository_resolve(probe->repository, words[1], commit, err);
    if (code)
        return code;
    (void)json_object_set_new(probe->out, "commit", json_string(commit));
    const char *path = count > 2 ? words[2] : NULL;
    if (strcmp(word, "tree") == 0)
        return do_tree(probe, commit, err);
    if (strcmp(word, "fetch") == 0)
        return do_fetch(probe, commit, path, err);
    if (strcmp(word, "download") == 0)
        return do_download(probe, commit, path, err);
    if (strcmp(word, "read") == 0)
        return do_read(probe, commit, path, words + 3, err);
    return 0;
}

static void *cancel_main(void *context)
{
    struct probe *probe = context;
    clock_sleep_ms(300);
    atomic_store(&probe->cancel, 1);
    return NULL;
}

/* Runs a command that is cancelled meanwhile. */
static int run_cancelled(struct probe *probe, char **words, int count, struct err *err)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, cancel_main, probe))
        return err_set(err, ERR_INTERNAL, "no thread");
    int code = run(probe, words, count, err);
    (void)pthread_join(thread, NULL);
    return code;
}

static void add_counters(struct probe *probe)
{
    struct repository_counters counters;
    hub_counters(probe->hub, &counters);
    (void)json_object_set_new(probe->out, "requests", json_integer((json_int_t)counters.request_count));
    (void)json_object_set_new(probe->out, "received", json_integer((json_int_t)counters.received_bytes));
    (void)json_object_set_new(probe->out, "retries", json_integer((json_int_t)counters.retry_count));
    (void)json_object_set_new(probe->out, "cache_hits", json_integer((json_int_t)counters.cache_hit_count));
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct probe probe = {.kind = REPOSITORY_KIND_MODEL, .uses_tree = 1, .out = json_object()};
    int next = 1, is_cancelled = 0;
    int code = hub_options_from_environment(&probe.options, &err);
    for (; !code && next < argc && strncmp(argv[next], "--", 2) == 0; next++) {
        if (strcmp(argv[next], "--dataset") == 0)
            probe.kind = REPOSITORY_KIND_DATASET;
        else if (strcmp(argv[next], "--no-tree") == 0)
            probe.uses_tree = 0;
        else if (strcmp(argv[next], "--cancel") == 0)
            is_cancelled = 1;
        else if (strcmp(argv[next], "--set") == 0 && next + 1 < argc)
            set_option(&probe.options, argv[++next]);
        else
            usage();
    }
    if (!code && argc - next < 2)
        usage();
    double began_s = clock_monotonic_s();
    if (!code)
        code = hub_open(&probe.options, &probe.hub, &err);
    if (!code)
        code = hub_open_repository(probe.hub, probe.kind, argv[next], &probe.cancel, &probe.repository, &err);
    if (!code)
        code = (is_cancelled ? run_cancelled : run)(&probe, argv + next + 1, argc - next - 1, &err);
    if (probe.hub)
        add_counters(&probe);
    (void)json_object_set_new(probe.out, "seconds", json_real(clock_monotonic_s() - began_s));
    repository_close(probe.repository);
    hub_close(probe.hub);
    hub_options_free(&probe.options);
    if (code) {
        (void)json_object_set_new(probe.out, "error", json_string(err_name(code)));
        (void)json_object_set_new(probe.out, "message", json_string(err.message));
    }
    (void)json_dumpf(probe.out, stdout, JSON_COMPACT);
    (void)fputc('\n', stdout);
    json_decref(probe.out);
    return code != 0;
}
