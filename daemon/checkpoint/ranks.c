#include "daemon/checkpoint/ranks.h"

#include "daemon/base/checked.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/base/weight_layout.h"
#include "daemon/checkpoint/ranks_grid.h"
#include "daemon/checkpoint/ranks_join.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINTER_BYTES_MAX 256
#define TENSORS_MAX (10 * LIMIT_TENSORS) /* in all files that are open, each some 300 bytes of memory */

/* -- What the files tell of their number -- */

static int refuse_count(const struct ranks_grid *grid, int stage, int rank, int64_t told, const char *teller,
                        int is_missing, struct err *err)
{
    char path[RANKS_GRID_PATH_SIZE];
    (void)ranks_grid_name(grid, stage, rank, path);
    if (is_missing)
        return err_set(err, ERR_NOT_FOUND,
                       "%.200s is not there, and %.200s tells of %" PRId64
                       " ranks: the checkpoint is not whole",
                       path, teller, told);
    return err_set(err, ERR_MISMATCH,
                   "%.200s is there, and %.200s tells of %" PRId64
                   " ranks: files of two checkpoints lie together",
                   path, teller, told);
}

/* Nothing told is nothing wrong. Ranks of experts are as many as they are. */
static int check_told(const struct ranks_grid *grid, const struct state_dict_told *told, const char *teller,
                      struct err *err)
{
    const int64_t stages = grid->last - grid->first + 1;
    struct ranks_grid states = *grid;
    states.style = RANKS_STYLE_DEEPSPEED;
    const int is_deepspeed = grid->style != RANKS_STYLE_MEGATRON && grid->style != RANKS_STYLE_STAGES;
    if (is_deepspeed && told->rank_count && told->rank_count != grid->rank_files)
        return refuse_count(&states, 0,
                            told->rank_count > grid->rank_files ? grid->rank_files : (int)told->rank_count,
                            told->rank_count, teller, told->rank_count > grid->rank_files, err);
    if (told->tensor_ranks && told->tensor_ranks != grid->ranks)
        return refuse_count(grid, grid->first,
                            told->tensor_ranks > grid->ranks ? grid->ranks : (int)told->tensor_ranks,
                            told->tensor_ranks, teller, told->tensor_ranks > grid->ranks, err);
    if (grid->style == RANKS_STYLE_STAGES && told->pipeline_ranks > 1 && told->pipeline_ranks != stages)
        return refuse_count(grid, told->pipeline_ranks > stages ? (int)stages : (int)told->pipeline_ranks, 0,
                            told->pipeline_ranks, teller, told->pipeline_ranks > stages, err);
    return 0;
}

int ranks_check_alone(const struct checkpoint_files *files, const char *path, const struct shard *shard,
                      struct err *err)
{
    struct ranks_grid grid;
    int code = ranks_grid_find(files, path, &grid, err);
    return code ? code : check_told(&grid, shard_told(shard), path, err);
}

/* -- Opening and closing -- */

struct ranks {
    struct checkpoint_files files;
    struct ranks_grid grid;
    struct ranks_end ends[RANKS_JOIN_ENDS];
    int end_count;
    size_t tensor_count; /* in their files */
    struct ranks_join join;
};

static int open_shard(const struct checkpoint_files *files, const char *path, struct shard **ret_shard,
                      struct err *err)
{
    struct source *source = NULL;
    if (!files->has(files->context, path))
        return err_set(err, ERR_NOT_FOUND, "%.200s is not there: the checkpoint is not whole", path);
    int code = files->open(files->context, path, &source, err);
    return code ? code : shard_open(source, SHARD_FORMAT_TORCH_TRAINER, ret_shard, err);
}

static int open_end(struct ranks *ranks, int stage, struct err *err)
{
    const struct ranks_grid *grid = &ranks->grid;
    struct ranks_end *end = &ranks->ends[ranks->end_count++];
    char path[RANKS_GRID_PATH_SIZE], prefix[32] = "";
    const int is_layer = grid->style == RANKS_STYLE_LAYERS || grid->style == RANKS_STYLE_PLAIN_LAYERS;
    if (is_layer)
        (void)snprintf(prefix, sizeof prefix, "sequential.%d.", stage);
    end->prefix = strdup(prefix);
    end->paths = calloc((size_t)grid->ranks, sizeof *end->paths);
    end->shards = calloc((size_t)grid->ranks, sizeof(struct shard *));
    if (!end->prefix || !end->paths || !end->shards)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (int rank = 0; rank < grid->ranks; rank++) {
        end->paths[rank] = strdup(ranks_grid_name(grid, stage, rank, path));
        if (!end->paths[rank])
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        int code = open_shard(&ranks->files, path, &end->shards[rank], err);
        if (code)
            return code;
        ranks->tensor_count += shard_count(end->shards[rank]);
        if (ranks->tensor_count > TENSORS_MAX)
            return err_set(err, ERR_LIMIT, "%.200s: with it there are more than the limit of %d tensors",
                           path, TENSORS_MAX);
    }
    return 0;
}

/* What the first rank's file tells, which beside layers is one that has no weights. */
static int read_told(const struct ranks *ranks, const char *path, struct state_dict_told *ret_told,
                     struct err *err)
{
    struct shard *state = NULL;
    if (strcmp(ranks->ends[0].paths[0], path) == 0) {
        *ret_told = *shard_told(ranks->ends[0].shards[0]);
        return 0;
    }
    int code = open_shard(&ranks->files, path, &state, err);
    if (!code)
        *ret_told = *shard_told(state);
    shard_close(state);
    return code;
}

static int open_all(struct ranks *ranks, const char *path, struct err *err)
{
    const struct ranks_grid *grid = &ranks->grid;
    struct state_dict_told told = {0};
    int code = open_end(ranks, grid->first, err);
    if (!code && grid->last != grid->first)
        code = open_end(ranks, grid->last, err);
    if (!code)
        code = read_told(ranks, path, &told, err);
    if (!code)
        code = check_told(grid, &told, path, err);
    return code ? code
                : ranks_join_find(ranks->ends, ranks->end_count, grid->ranks, told.padded_rows, &ranks->join,
                                  err);
}

int ranks_open(const struct checkpoint_files *files, const char *path, struct ranks **ret_ranks,
               struct err *err)
{
    struct ranks_grid grid;
    *ret_ranks = NULL;
    int code = ranks_grid_find(files, path, &grid, err);
    const int is_layer = grid.style == RANKS_STYLE_LAYERS || grid.style == RANKS_STYLE_PLAIN_LAYERS;
    if (code || (!is_layer && grid.ranks == 1 && grid.first == grid.last))
        return code;
    struct ranks *ranks = calloc(1, sizeof *ranks);
    if (!ranks)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    ranks->files = *files;
    ranks->grid = grid;
    code = open_all(ranks, path, err);
    if (code)
        ranks_close(ranks);
    else
        *ret_ranks = ranks;
    return code;
}

void ranks_close(struct ranks *ranks)
{
    if (!ranks)
        return;
    for (int e = 0; e < ranks->end_count; e++) {
        struct ranks_end *end = &ranks->ends[e];
        for (int rank = 0; rank < ranks->grid.ranks; rank++) {
            if (end->shards)
                shard_close(end->shards[rank]);
            if (end->paths)
                free(end->paths[rank]);
        }
        free(end->shards);
        free(end->paths);
        free(end->prefix);
    }
    ranks_join_done(&ranks->join);
    free(ranks);
}

/* -- Tensors -- */

size_t ranks_count(const struct ranks *ranks)
{
    return ranks->join.count;
}

const char *ranks_name(const struct ranks *ranks, size_t number)
{
    return ranks->join.tensors[number].name;
}

int ranks_find(const struct ranks *ranks, const char *name, size_t *ret_number)
{
    for (size_t i = 0; i < ranks->join.count; i++) {
        if (strcmp(ranks->join.tensors[i].name, name) == 0) {
            *ret_number = i;
            return 1;
        }
    }
    return 0;
}

void ranks_describe(const struct ranks *ranks, size_t number, struct checkpoint_tensor *ret_tensor,
                    const char **ret_foreign)
{
    const struct ranks_tensor *tensor = &ranks->join.tensors[number];
    *ret_foreign = tensor->foreign;
    *ret_tensor = (struct checkpoint_tensor){
        .name = tensor->name,
        .dtype = tensor->dtype,
        .shape = tensor->shape,
        .size_bytes = tensor->size_bytes,
        .file = tensor->end->paths[0],
        .is_spread = ranks->grid.ranks > 1,
        .index = number,
    };
}

int ranks_read(struct ranks *ranks, size_t number, uint64_t offset, void *data, size_t size, struct err *err)
{
    const struct ranks_tensor *tensor = &ranks->join.tensors[number];
    unsigned char *at = data;
    if (!checked_range_within(offset, size, tensor->size_bytes))
        return err_set(err, ERR_INVALID, "tensor %.200s has %" PRIu64 " bytes; %zu at %" PRIu64 " were asked",
                       tensor->name, tensor->size_bytes, size, offset);
    while (size) {
        const size_t rank = (size_t)(offset / tensor->part_bytes);
        const uint64_t within = offset % tensor->part_bytes, left = tensor->part_bytes - within;
        const size_t some = left < size ? (size_t)left : size;
        int code = shard_read(tensor->end->shards[rank], tensor->indexes[rank], within, at, some, err);
        if (code)
            return code;
        at += some;
        offset += some;
        size -= some;
    }
    return 0;
}

void ranks_will_need(struct ranks *ranks, size_t number)
{
    const struct ranks_tensor *tensor = &ranks->join.tensors[number];
    for (int rank = 0; rank < ranks->grid.ranks; rank++)
        shard_will_need(tensor->end->shards[rank], tensor->indexes[rank]);
}

static int check_file(const struct ranks *ranks, const char *path, struct err *err)
{
    struct shard *shard = NULL;
    int code = open_shard(&ranks->files, path, &shard, err);
    shard_close(shard);
    return code;
}

int ranks_check_files(struct ranks *ranks, struct err *err)
{
    const struct ranks_grid *grid = &ranks->grid;
    char path[RANKS_GRID_PATH_SIZE];
    int code = 0;
    for (int stage = grid->first; stage <= grid->last; stage++) {
        for (int rank = 0; rank < grid->ranks && !code && ranks_grid_has(&ranks->files, grid, stage); rank++)
            code = check_file(ranks, ranks_grid_name(grid, stage, rank, path), err);
    }
    for (int rank = 0; rank < grid->rank_files && !code; rank++)
        code = check_file(ranks, ranks_grid_name_state(grid, rank, path), err);
    return code;
}

/* -- DeepSpeed's pointer -- */

int ranks_follow(const struct checkpoint_files *files, const char *pointer, char **ret_path, struct err *err)
{
    char folder[POINTER_BYTES_MAX + 1] = "";
    struct source *source = NULL;
    int code = files->open(files->context, pointer, &source, err);
    if (code)
        return code;
    size_t size = source->size_bytes > POINTER_BYTES_MAX ? 0 : (size_t)source->size_bytes;
    code = source_read(source, 0, folder, size, err);
    source_close(source);
    if (code)
        return code;
    folder[strcspn(folder, " \r\n")] = 0;
    if (!file_is_safe_relative(folder) || strchr(folder, '/'))
        return err_set(err, ERR_NOT_FOUND,
                       "no weights: none of " WEIGHT_LAYOUT_FILES
                       " is there, and latest does not name a folder, as DeepSpeed's does");
    char path[POINTER_BYTES_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/mp_rank_00_model_states.pt", folder);
    if (!files->has(files->context, path))
        code = err_set(err, ERR_NOT_FOUND,
                       "no weights: latest is there, but %.200s is not, which it stands for", path);
    if (code)
        return code;
    *ret_path = strdup(path);
    return *ret_path ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
}
