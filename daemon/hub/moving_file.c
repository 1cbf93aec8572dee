#include "daemon/hub/moving_file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct moving_file {
    struct source source;
    pthread_mutex_t mutex; /* guards what follows; a file of the hub is read by one at a time anyway */
    struct source *now;
    int has_moved;
    struct repository *repository;
    char commit[REPOSITORY_COMMIT_SIZE];
    struct repository_file expected; /* without its path */
    int has_expected;
    moving_file_reopen *reopen;
    char path[];
};

int moving_file_is_gone(const struct err *err)
{
    return err->code == ERR_NOT_FOUND && err->absent == ERR_ABSENT_REVISION;
}

/* Opens it again; `err` says why the first one could not be read. */
static int move(struct moving_file *file, struct err *err)
{
    struct repository_file expected = file->expected;
    struct source *again = NULL;
    expected.path = file->path;
    *err = (struct err)ERR_INIT;
    int code = file->reopen(file->repository, file->commit, file->path, file->has_expected ? &expected : NULL,
                            &again, err);
    if (code)
        return code;
    if (again->size_bytes != file->source.size_bytes) {
        source_close(again);
        return err_set(err, ERR_MISMATCH, "%s has changed while it was read; sweep again", file->path);
    }
    source_close(file->now);
    file->now = again;
    file->has_moved = 1;
    return 0;
}

static int read_file(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    struct moving_file *file = (struct moving_file *)source;
    (void)pthread_mutex_lock(&file->mutex);
    int code = source_read(file->now, offset, data, size, err);
    if (code && moving_file_is_gone(err) && !file->has_moved) {
        code = move(file, err);
        if (!code)
            code = source_read(file->now, offset, data, size, err);
    }
    (void)pthread_mutex_unlock(&file->mutex);
    return code;
}

static void will_need(struct source *source, uint64_t offset, uint64_t size)
{
    struct moving_file *file = (struct moving_file *)source;
    (void)pthread_mutex_lock(&file->mutex);
    source_will_need(file->now, offset, size);
    (void)pthread_mutex_unlock(&file->mutex);
}

static void close_file(struct source *source)
{
    struct moving_file *file = (struct moving_file *)source;
    source_close(file->now);
    (void)pthread_mutex_destroy(&file->mutex);
    free(file);
}

static const struct source_ops ops = {.read = read_file, .will_need = will_need, .close = close_file};

int moving_file_open(struct source *now, struct repository *repository, const char *commit, const char *path,
                     const struct repository_file *expected, moving_file_reopen *reopen,
                     struct source **ret_source, struct err *err)
{
    size_t path_size = strlen(path) + 1;
    if (source_map(now)) {
        *ret_source = now;
        return 0;
    }
    struct moving_file *file = calloc(1, sizeof *file + path_size);
    if (!file) {
        source_close(now);
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    }
    memcpy(file->path, path, path_size);
    file->source = (struct source){.ops = &ops, .name = file->path, .size_bytes = now->size_bytes};
    (void)pthread_mutex_init(&file->mutex, NULL);
    file->now = now;
    file->repository = repository;
    (void)snprintf(file->commit, sizeof file->commit, "%s", commit);
    file->has_expected = expected != NULL;
    if (expected)
        file->expected = *expected;
    file->expected.path = NULL;
    file->reopen = reopen;
    *ret_source = &file->source;
    return 0;
}
