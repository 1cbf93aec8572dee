#include "daemon/checkpoint/ranks_grid.h"

#include <stdio.h>
#include <string.h>

static const char *name_in(enum ranks_style style, const char *folder, int stage, int rank, char *path)
{
    const size_t size = RANKS_GRID_PATH_SIZE;
    switch (style) {
    case RANKS_STYLE_DEEPSPEED:
        (void)snprintf(path, size, "%smp_rank_%02d_model_states.pt", folder, rank);
        break;
    case RANKS_STYLE_LAYERS:
        (void)snprintf(path, size, "%slayer_%02d-model_%02d-model_states.pt", folder, stage, rank);
        break;
    case RANKS_STYLE_PLAIN_LAYERS:
        (void)snprintf(path, size, "%slayer_%02d-model_states.pt", folder, stage);
        break;
    case RANKS_STYLE_MEGATRON:
        (void)snprintf(path, size, "%smp_rank_%02d/model_optim_rng.pt", folder, rank);
        break;
    case RANKS_STYLE_STAGES:
        (void)snprintf(path, size, "%smp_rank_%02d_%03d/model_optim_rng.pt", folder, rank, stage);
        break;
    }
    return path;
}

const char *ranks_grid_name(const struct ranks_grid *grid, int stage, int rank, char *path)
{
    return name_in(grid->style, grid->folder, stage, rank, path);
}

const char *ranks_grid_name_state(const struct ranks_grid *grid, int rank, char *path)
{
    return name_in(RANKS_STYLE_DEEPSPEED, grid->folder, 0, rank, path);
}

static int has(const struct checkpoint_files *files, const struct ranks_grid *grid, enum ranks_style style,
               int stage, int rank)
{
    char path[RANKS_GRID_PATH_SIZE];
    return files->has(files->context, name_in(style, grid->folder, stage, rank, path));
}

int ranks_grid_has(const struct checkpoint_files *files, const struct ranks_grid *grid, int stage)
{
    return has(files, grid, grid->style, stage, 0);
}

static int refuse_gap(const struct ranks_grid *grid, enum ranks_style style, const int missing[2],
                      const int present[2], struct err *err)
{
    char one[RANKS_GRID_PATH_SIZE], other[RANKS_GRID_PATH_SIZE];
    return err_set(err, ERR_NOT_FOUND,
                   "%.200s is not there, and %.200s is: the checkpoint is not whole, or files of two of them "
                   "lie together",
                   name_in(style, grid->folder, missing[0], missing[1], one),
                   name_in(style, grid->folder, present[0], present[1], other));
}

/* How many ranks of a stage there are, none of which may be missing among others. */
static int count_ranks(const struct checkpoint_files *files, const struct ranks_grid *grid,
                       enum ranks_style style, int stage, int *ret_count, struct err *err)
{
    int count = 0;
    while (count < RANKS_GRID_MAX && has(files, grid, style, stage, count))
        count++;
    *ret_count = count;
    for (int rank = count + 1; rank < RANKS_GRID_MAX && style != RANKS_STYLE_PLAIN_LAYERS; rank++) {
        if (has(files, grid, style, stage, rank))
            return refuse_gap(grid, style, (const int[]){stage, count}, (const int[]){stage, rank}, err);
    }
    return 0;
}

/* The first and the last layer or stage that has a file of the first rank; 0: none has. */
static int find_ends(const struct checkpoint_files *files, struct ranks_grid *grid, enum ranks_style style)
{
    int found = 0;
    for (int stage = 0; stage < RANKS_GRID_MAX; stage++) {
        if (!has(files, grid, style, stage, 0))
            continue;
        grid->first = found ? grid->first : stage;
        grid->last = stage;
        found = 1;
    }
    if (found)
        grid->style = style;
    return found;
}

/* Whether a layer or stage has as many ranks as the first one, or is a layer without files. */
static int check_stage(const struct checkpoint_files *files, const struct ranks_grid *grid, int stage,
                       struct err *err)
{
    int count = 0, missing = -1;
    for (int rank = 0; rank < grid->ranks; rank++) {
        const int is_there = has(files, grid, grid->style, stage, rank);
        count += is_there;
        missing = is_there || missing >= 0 ? missing : rank;
    }
    const int may_lack = grid->style == RANKS_STYLE_LAYERS || stage < grid->first || stage > grid->last;
    if (missing >= 0 && (count || !may_lack))
        return refuse_gap(grid, grid->style, (const int[]){stage, missing},
                          (const int[]){grid->first, missing}, err);
    if (count && has(files, grid, grid->style, stage, grid->ranks))
        return refuse_gap(grid, grid->style, (const int[]){grid->first, grid->ranks},
                          (const int[]){stage, grid->ranks}, err);
    return 0;
}

/* Also beyond the first and the last one: of these, only the first rank's file may be missing. */
static int check_stages(const struct checkpoint_files *files, const struct ranks_grid *grid, struct err *err)
{
    int code = 0;
    for (int stage = 0; stage < RANKS_GRID_MAX && !code; stage++)
        code = check_stage(files, grid, stage, err);
    return code;
}

static int ends_with(const char *path, const char *ending)
{
    const size_t size = strlen(path), end_size = strlen(ending);
    return size >= end_size && strcmp(path + size - end_size, ending) == 0;
}

/* The folder that the first rank's file, or folder, lies in. */
static int take_folder(const char *path, int levels, struct ranks_grid *grid, struct err *err)
{
    size_t size = strlen(path);
    for (; levels > 0; levels--) {
        while (size && path[size - 1] != '/')
            size--;
        size -= levels > 1 && size;
    }
    if (size >= sizeof grid->folder)
        return err_set(err, ERR_LIMIT, "%.200s: its path is too long", path);
    (void)snprintf(grid->folder, sizeof grid->folder, "%.*s", (int)size, path);
    return 0;
}

static int find_deepspeed(const struct checkpoint_files *files, struct ranks_grid *grid, struct err *err)
{
    char path[RANKS_GRID_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%szero_pp_rank_0_mp_rank_00_model_states.pt", grid->folder);
    if (files->has(files->context, path))
        return err_set(err, ERR_UNSUPPORTED,
                       "%.200s is there: ZeRO's stage 3 divides the weights among the ranks; its "
                       "zero_to_fp32.py makes files of it that are read, and so does "
                       "stage3_gather_16bit_weights_on_model_save",
                       path);
    int code = count_ranks(files, grid, RANKS_STYLE_DEEPSPEED, 0, &grid->rank_files, err);
    grid->ranks = grid->rank_files;
    if (code ||
        (!find_ends(files, grid, RANKS_STYLE_LAYERS) && !find_ends(files, grid, RANKS_STYLE_PLAIN_LAYERS)))
        return code;
    grid->ranks = 1;
    if (grid->style == RANKS_STYLE_LAYERS)
        code = count_ranks(files, grid, grid->style, grid->first, &grid->ranks, err);
    return code;
}

int ranks_grid_find(const struct checkpoint_files *files, const char *path, struct ranks_grid *ret_grid,
                    struct err *err)
{
    const int is_megatron = ends_with(path, "/model_optim_rng.pt");
    *ret_grid = (struct ranks_grid){.style = is_megatron ? RANKS_STYLE_MEGATRON : RANKS_STYLE_DEEPSPEED};
    int code = take_folder(path, is_megatron ? 2 : 1, ret_grid, err);
    if (code)
        return code;
    if (!is_megatron)
        code = find_deepspeed(files, ret_grid, err);
    else if (ends_with(path, "mp_rank_00/model_optim_rng.pt") ||
             !find_ends(files, ret_grid, RANKS_STYLE_STAGES))
        code = count_ranks(files, ret_grid, RANKS_STYLE_MEGATRON, 0, &ret_grid->ranks, err);
    else
        code = count_ranks(files, ret_grid, RANKS_STYLE_STAGES, 0, &ret_grid->ranks, err);
    if (!code && (ret_grid->style == RANKS_STYLE_LAYERS || ret_grid->style == RANKS_STYLE_STAGES))
        code = check_stages(files, ret_grid, err);
    return code;
}
