#include "daemon/hub/small_files.h"

#include <stdlib.h>
#include <string.h>

struct small_file {
    struct small_file *older;
    size_t size_bytes;
    char id[65]; /* SHA-256, or git's blob id */
    unsigned char data[];
};

void small_files_init(struct small_files *files)
{
    *files = (struct small_files){0};
    (void)pthread_mutex_init(&files->lock, NULL);
    keyed_locks_init(&files->fetching);
}

static void drop_after(struct small_files *files, struct small_file **at)
{
    while (*at) {
        struct small_file *file = *at;
        *at = file->older;
        files->count--;
        files->size_bytes -= file->size_bytes;
        free(file);
    }
}

void small_files_free(struct small_files *files)
{
    drop_after(files, &files->newest);
    keyed_locks_destroy(&files->fetching);
    (void)pthread_mutex_destroy(&files->lock);
}

int small_files_takes(const char *path, uint64_t size_bytes)
{
    static const char model[] = "tokenizer.model"; /* SentencePiece's */
    const char *slash = strrchr(path, '/');
    size_t length = strlen(path);
    if (size_bytes > SMALL_FILES_BYTES / 2)
        return 0;
    return (length > 5 && strcmp(path + length - 5, ".json") == 0) ||
           strcmp(slash ? slash + 1 : path, model) == 0;
}

int small_files_begin(struct small_files *files, struct keyed_lock *own, const char *id,
                      const atomic_bool *cancel, struct err *err)
{
    *own = (struct keyed_lock){.name = id};
    return keyed_locks_take(&files->fetching, own, cancel, err);
}

void small_files_end(struct small_files *files, struct keyed_lock *own)
{
    keyed_locks_give(&files->fetching, own);
}

/* Makes it the newest; the lock is held. NULL: there is none. */
static struct small_file *find(struct small_files *files, const char *id, size_t size_bytes)
{
    for (struct small_file **at = &files->newest; *at; at = &(*at)->older) {
        struct small_file *file = *at;
        if (file->size_bytes != size_bytes || strcmp(file->id, id) != 0)
            continue;
        *at = file->older;
        file->older = files->newest;
        files->newest = file;
        return file;
    }
    return NULL;
}

int small_files_read(struct small_files *files, const char *id, void *data, size_t size_bytes)
{
    (void)pthread_mutex_lock(&files->lock);
    const struct small_file *file = find(files, id, size_bytes);
    if (file && size_bytes)
        memcpy(data, file->data, size_bytes);
    (void)pthread_mutex_unlock(&files->lock);
    return file != NULL;
}

/* The oldest go until there is room; the lock is held. */
static void make_room(struct small_files *files)
{
    struct small_file **at = &files->newest;
    size_t count = 0, size_bytes = 0;
    while (*at && count < SMALL_FILES_MAX && size_bytes + (*at)->size_bytes <= SMALL_FILES_BYTES) {
        count++;
        size_bytes += (*at)->size_bytes;
        at = &(*at)->older;
    }
    drop_after(files, at);
}

void small_files_keep(struct small_files *files, const char *id, const void *data, size_t size_bytes)
{
    struct small_file *file = NULL;
    if (size_bytes <= SMALL_FILES_BYTES / 2 && strlen(id) < sizeof file->id)
        file = malloc(sizeof *file + size_bytes);
    if (!file)
        return;
    file->size_bytes = size_bytes;
    memcpy(file->id, id, strlen(id) + 1);
    if (size_bytes)
        memcpy(file->data, data, size_bytes);
    (void)pthread_mutex_lock(&files->lock);
    if (find(files, id, size_bytes)) {
        free(file);
    } else {
        file->older = files->newest;
        files->newest = file;
        files->count++;
        files->size_bytes += size_bytes;
        make_room(files);
    }
    (void)pthread_mutex_unlock(&files->lock);
}
