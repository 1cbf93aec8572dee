#include "daemon/sweep/checkpoint_folders.h"

#include "daemon/base/weight_layout.h"

#include <stdlib.h>
#include <string.h>

static int compare_parts(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order ? order : (a_size > b_size) - (a_size < b_size);
}

static int compare_folders(const void *left, const void *right)
{
    const struct checkpoint_folder *a = left, *b = right;
    int order = compare_parts(a->path, a->parent_size, b->path, b->parent_size);
    return order ? order : compare_parts(a->path, a->size, b->path, b->size);
}

static struct checkpoint_folder folder_of(const char *path, size_t size)
{
    size_t parent_size = size;
    while (parent_size && path[parent_size - 1] != '/')
        parent_size--;
    return (struct checkpoint_folder){.path = path, .size = size, .parent_size = parent_size};
}

int checkpoint_folders_list(const struct repository_tree *tree, struct checkpoint_folders *folders,
                            struct err *err)
{
    size_t kept = 0;
    folders->rows = calloc(tree->count ? tree->count : 1, sizeof *folders->rows);
    if (!folders->rows)
        return err_set(err, ERR_NO_MEMORY, "folders: out of memory");
    for (size_t i = 0; i < tree->count; i++) {
        const char *path = tree->files[i].path, *slash = strrchr(path, '/');
        size_t size = slash ? (size_t)(slash - path) : 0;
        if ((weight_layout_is_first(path, &size) || (slash && weight_layout_is_of_checkpoint(slash + 1))) &&
            size)
            folders->rows[folders->count++] = folder_of(path, size);
    }
    if (folders->count)
        qsort(folders->rows, folders->count, sizeof *folders->rows, compare_folders);
    for (size_t i = 0; i < folders->count; i++) {
        if (!kept || compare_folders(&folders->rows[kept - 1], &folders->rows[i]) != 0)
            folders->rows[kept++] = folders->rows[i];
    }
    folders->count = kept;
    return 0;
}

static int are_beside(const struct checkpoint_folder *a, const struct checkpoint_folder *b)
{
    return compare_parts(a->path, a->parent_size, b->path, b->parent_size) == 0;
}

void checkpoint_folders_keep_one_run(struct checkpoint_folders *folders)
{
    const struct checkpoint_folder *best = NULL;
    size_t best_count = 0, count = 0;
    for (size_t i = 0; i < folders->count; i += count) {
        size_t taken = 0;
        for (count = 0;
             i + count < folders->count && are_beside(&folders->rows[i], &folders->rows[i + count]); count++)
            taken += folders->rows[i + count].is_taken != 0;
        if (taken > best_count) {
            best = &folders->rows[i];
            best_count = taken;
        }
    }
    for (size_t i = 0; best && i < folders->count; i++)
        folders->rows[i].is_taken &= are_beside(best, &folders->rows[i]);
}

void checkpoint_folders_free(struct checkpoint_folders *folders)
{
    free(folders->rows);
    *folders = (struct checkpoint_folders){0};
}
