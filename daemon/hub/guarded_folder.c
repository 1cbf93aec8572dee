#include "daemon/hub/guarded_folder.h"

#include "daemon/base/local_name.h"
#include "daemon/hub/folder.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An open file outlives who opened it, should an errand not come back from it. */
struct shared_file {
    _Atomic int owner_count;
    struct source *source;
};

struct guarded {
    struct repository repository;
    char *name;
    struct folder_hints *hints; /* borrowed, and so are */
    struct errands *errands;
};

struct guarded_source {
    struct source source;
    struct guarded *guarded; /* borrowed */
    struct shared_file *file;
};

enum verb { VERB_LIST_REFS, VERB_RESOLVE, VERB_LIST_TREE, VERB_OPEN, VERB_FETCH, VERB_FIND, VERB_READ };

/* What an errand asks, and what it brings. */
struct question {
    enum verb verb;
    atomic_bool cancel;
    struct folder_hints *hints;
    struct repository *folder; /* of its own */
    struct shared_file *file;  /* of VERB_READ */
    char commit[REPOSITORY_COMMIT_SIZE];
    char *path; /* or the revision's name */
    int has_expected;
    struct repository_file expected; /* without its path */
    uint64_t offset;
    size_t size;
    void *data;
    struct buf buf;
    struct repository_refs *refs;
    struct repository_tree *tree;
    struct source *source;
    char *found;
};

/* -- The errand -- */

static void free_file(struct shared_file *file)
{
    if (!file || atomic_fetch_sub(&file->owner_count, 1) > 1)
        return;
    source_close(file->source);
    free(file);
}

static int work(void *context, struct err *err)
{
    struct question *question = context;
    struct repository *folder = question->folder;
    const struct repository_file *expected = question->has_expected ? &question->expected : NULL;
    switch (question->verb) {
    case VERB_LIST_REFS:
        return repository_list_refs(folder, &question->refs, err);
    case VERB_RESOLVE:
        return repository_resolve(folder, question->path, question->commit, err);
    case VERB_LIST_TREE:
        return repository_list_tree(folder, question->commit, &question->tree, err);
    case VERB_OPEN:
        return repository_open_file(folder, question->commit, question->path, expected, &question->source,
                                    err);
    case VERB_FETCH:
        return repository_fetch_file(folder, question->commit, question->path, expected, &question->buf, err);
    case VERB_FIND:
        return repository_download_file(folder, question->commit, question->path, expected, &question->found,
                                        err);
    case VERB_READ:
        return source_read(question->file->source, question->offset, question->data, question->size, err);
    }
    return err_set(err, ERR_INTERNAL, "an errand without a verb");
}

static void leave(void *context)
{
    struct question *question = context;
    atomic_store(&question->cancel, true);
}

static void drop(void *context)
{
    struct question *question = context;
    repository_refs_free(question->refs);
    repository_tree_free(question->tree);
    source_close(question->source);
    buf_free(&question->buf);
    free(question->found);
    free(question->data);
    free(question->path);
    repository_close(question->folder);
    free_file(question->file);
    folder_hints_free(question->hints);
    free(question);
}

static struct question *ask(struct guarded *guarded, enum verb verb, const char *commit, const char *path,
                            const struct repository_file *expected, struct err *err)
{
    struct question *question = calloc(1, sizeof *question);
    if (!question || (path && !(question->path = strdup(path)))) {
        free(question);
        (void)err_set(err, ERR_NO_MEMORY, "%.300s: out of memory", guarded->name);
        return NULL;
    }
    question->verb = verb;
    question->hints = folder_hints_share(guarded->hints);
    buf_init(&question->buf, 0);
    if (commit)
        (void)snprintf(question->commit, sizeof question->commit, "%.40s", commit);
    if (expected) {
        question->has_expected = 1;
        question->expected = *expected;
        question->expected.path = NULL;
    }
    if (folder_open_repository(guarded->name, guarded->hints, &question->cancel, &question->folder, err)) {
        drop(question);
        return NULL;
    }
    return question;
}

/* The question, answered, for the caller to drop. NULL, with an error, if there is none: then it is gone. */
static struct question *have_answered(struct guarded *guarded, struct question *question, struct err *err)
{
    const struct errand errand = {.work = work, .leave = leave, .drop = drop, .context = question};
    int is_back = 0;
    if (!question || !errands_run(guarded->errands, local_name_path(guarded->name), &errand,
                                  guarded->repository.cancel, &is_back, err))
        return question;
    if (is_back)
        drop(question);
    return NULL;
}

/* -- The verbs -- */

static struct guarded *guarded_of(struct repository *repository)
{
    return (struct guarded *)repository;
}

static int list_refs(struct repository *repository, struct repository_refs **ret_refs, struct err *err)
{
    struct guarded *guarded = guarded_of(repository);
    struct question *question =
        have_answered(guarded, ask(guarded, VERB_LIST_REFS, NULL, NULL, NULL, err), err);
    if (!question)
        return err->code;
    *ret_refs = question->refs;
    question->refs = NULL;
    drop(question);
    return 0;
}

static int resolve(struct repository *repository, const char *revision, char *commit, struct err *err)
{
    struct guarded *guarded = guarded_of(repository);
    struct question *question =
        have_answered(guarded, ask(guarded, VERB_RESOLVE, NULL, revision, NULL, err), err);
    if (!question)
        return err->code;
    (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", question->commit);
    drop(question);
    return 0;
}

static int list_tree(struct repository *repository, const char *commit, struct repository_tree **ret_tree,
                     struct err *err)
{
    struct guarded *guarded = guarded_of(repository);
    struct question *question =
        have_answered(guarded, ask(guarded, VERB_LIST_TREE, commit, NULL, NULL, err), err);
    if (!question)
        return err->code;
    *ret_tree = question->tree;
    question->tree = NULL;
    drop(question);
    return 0;
}

static int fetch_file(struct repository *repository, const char *commit, const char *path,
                      const struct repository_file *expected, struct buf *buf, struct err *err)
{
    struct guarded *guarded = guarded_of(repository);
    struct question *question = ask(guarded, VERB_FETCH, commit, path, expected, err);
    if (question)
        question->buf.max = buf->max - buf->size;
    question = have_answered(guarded, question, err);
    if (!question)
        return err->code;
    (void)buf_append(buf, question->buf.data, question->buf.size);
    drop(question);
    return buf_check(buf, path, err);
}

static int find_file(struct repository *repository, const char *commit, const char *path,
                     const struct repository_file *expected, char **ret_path, struct err *err)
{
    struct guarded *guarded = guarded_of(repository);
    struct question *question =
        have_answered(guarded, ask(guarded, VERB_FIND, commit, path, expected, err), err);
    if (!question)
        return err->code;
    *ret_path = question->found;
    question->found = NULL;
    drop(question);
    return 0;
}

static void counters(struct repository *repository, struct repository_counters *out)
{
    (void)repository;
    *out = (struct repository_counters){0};
}

static void close_guarded(struct repository *repository)
{
    struct guarded *guarded = guarded_of(repository);
    free(guarded->name);
    free(guarded);
}

/* -- Open files -- */

static int read_file(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    struct guarded_source *file = (struct guarded_source *)source;
    struct question *question = ask(file->guarded, VERB_READ, NULL, NULL, NULL, err);
    if (!question)
        return err->code;
    (void)atomic_fetch_add(&file->file->owner_count, 1);
    question->file = file->file;
    question->offset = offset;
    question->size = size;
    question->data = malloc(size ? size : 1);
    if (!question->data) {
        drop(question);
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", source->name);
    }
    question = have_answered(file->guarded, question, err);
    if (!question)
        return err->code;
    memcpy(data, question->data, size);
    drop(question);
    return 0;
}

static void close_file(struct source *source)
{
    struct guarded_source *file = (struct guarded_source *)source;
    free_file(file->file);
    free(file);
}

static const struct source_ops source_ops = {.read = read_file, .close = close_file};

static int open_file(struct repository *repository, const char *commit, const char *path,
                     const struct repository_file *expected, struct source **ret_source, struct err *err)
{
    struct guarded *guarded = guarded_of(repository);
    struct guarded_source *file = calloc(1, sizeof *file);
    struct shared_file *shared = calloc(1, sizeof *shared);
    struct question *question = NULL;
    if (!file || !shared)
        (void)err_set(err, ERR_NO_MEMORY, "%.300s: out of memory", path);
    else
        question = have_answered(guarded, ask(guarded, VERB_OPEN, commit, path, expected, err), err);
    if (!question) {
        free(file);
        free(shared);
        return err->code;
    }
    atomic_store(&shared->owner_count, 1);
    shared->source = question->source;
    question->source = NULL;
    drop(question);
    *file = (struct guarded_source){.source = {.ops = &source_ops,
                                               .name = shared->source->name,
                                               .size_bytes = shared->source->size_bytes},
                                    .guarded = guarded,
                                    .file = shared};
    *ret_source = &file->source;
    return 0;
}

static const struct repository_ops guarded_ops = {
    .list_refs = list_refs,
    .resolve = resolve,
    .list_tree = list_tree,
    .open_file = open_file,
    .fetch_file = fetch_file,
    .download_file = find_file,
    .counters = counters,
    .close = close_guarded,
};

static int visit(void *context, struct err *err)
{
    DIR *folder = opendir(context); /* which asks the server, where a stat may be answered from memory */
    (void)err;
    if (folder)
        (void)closedir(folder);
    return 0;
}

static void leave_visit(void *context)
{
    (void)context;
}

int guarded_folder_visit(const char *name, struct errands *errands, struct err *err)
{
    const char *place = local_name_path(name);
    const struct errand errand = {
        .work = visit, .leave = leave_visit, .drop = free, .context = strdup(place)};
    int is_back = 0;
    if (!errand.context)
        return err_set(err, ERR_NO_MEMORY, "%.300s: out of memory", name);
    int code = errands_run(errands, place, &errand, NULL, &is_back, err);
    if (is_back)
        free(errand.context);
    return code;
}

int guarded_folder_open_repository(const char *name, struct folder_hints *hints, struct errands *errands,
                                   const atomic_bool *cancel, struct repository **ret_repository,
                                   struct err *err)
{
    struct repository *folder = NULL;
    int code = folder_open_repository(name, hints, NULL, &folder, err); /* whether the name is one */
    if (code)
        return code;
    repository_close(folder);
    struct guarded *guarded = calloc(1, sizeof *guarded);
    if (!guarded || !(guarded->name = strdup(name))) {
        free(guarded);
        return err_set(err, ERR_NO_MEMORY, "%.300s: out of memory", name);
    }
    guarded->hints = hints;
    guarded->errands = errands;
    guarded->repository = (struct repository){.ops = &guarded_ops, .name = guarded->name, .cancel = cancel};
    *ret_repository = &guarded->repository;
    return 0;
}
