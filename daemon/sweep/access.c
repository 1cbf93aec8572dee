#include "daemon/sweep/access.h"

#include "daemon/base/limits.h"
#include "daemon/base/local_name.h"
#include "daemon/sweep/revision_source.h"

#include <stdio.h>
#include <string.h>

/* The largest file has what is kept from others; pages that explain the terms are open to all. */
static int ask_for_largest(struct repository *repository, const struct repository_tree *tree, struct err *err)
{
    const struct repository_file *largest = NULL;
    for (size_t i = 0; i < tree->count; i++) {
        if (!largest || tree->files[i].size_bytes > largest->size_bytes)
            largest = &tree->files[i];
    }
    return largest ? repository_ask_access(repository, tree->commit, largest->path, err) : 0;
}

/* Its name is "owner/name" or "owner/name:path". */
static int ask_for_dataset(const struct access *access, uint64_t *request_count, struct err *err)
{
    const char *name = access->spec->dataset;
    char owner[LIMIT_MODEL_NAME_BYTES + 1], commit[REPOSITORY_COMMIT_SIZE];
    struct repository *repository = NULL;
    struct repository_tree *tree = NULL;
    struct repository_counters counters = {0};
    (void)snprintf(owner, sizeof owner, "%.*s", (int)strcspn(name, ":"), name);
    int code =
        hub_open_repository(access->hub, REPOSITORY_KIND_DATASET, owner, access->cancel, &repository, err);
    if (code)
        return code;
    code = repository_resolve(repository, NULL, commit, err);
    if (!code)
        code = repository_list_tree(repository, commit, &tree, err);
    if (!code)
        code = ask_for_largest(repository, tree, err);
    repository_counters(repository, &counters);
    *request_count += counters.request_count;
    repository_tree_free(tree);
    repository_close(repository);
    return code;
}

int access_ask(const struct access *access, const struct revision_row *revision, uint64_t *request_count,
               struct err *err)
{
    const struct sweep_spec *spec = access->spec;
    struct revision_source source;
    int code = revision_source_open(&source, access->store, access->repository, revision, err);
    if (!code) {
        code = ask_for_largest(source.repository, source.tree, err);
        revision_source_close(&source);
    }
    if (!code && spec->wants_perplexity && spec->dataset && !local_name_is(spec->dataset))
        code = ask_for_dataset(access, request_count, err);
    return code;
}
