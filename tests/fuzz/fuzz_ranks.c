/*
 * A folder of ranks' files: which of DeepSpeed's, GPT-NeoX's and Megatron's there are, and what each holds.
 * The archives are right (fuzz_zip.c has others), and so is what they say of their records: so what is read
 * of a tensor must be what the files with its parts hold, in order of rank, found here by other means.
 *
 * Input: how many files; of each its style, stage, rank and which pickle it has; then the pickles, each after
 * two bytes of its length.
 */
#include "daemon/checkpoint/checkpoint.h"
#include "daemon/checkpoint/ranks_grid.h"
#include "daemon/checkpoint/shard.h"
#include "daemon/checkpoint/state_dict.h"
#include "tests/unit/checkpoint/bytes.h"

#include <stdio.h>

#define FILES_MAX 24
#define PICKLES_MAX 8
#define RECORDS_MAX 8
#define RECORD_BYTES_MAX (64 * KIB) /* of a storage that a pickle tells of */
#define TENSOR_BYTES_MAX (1 << 20)
#define TENSORS_MAX 64

enum style {
    STYLE_STATES, /* the first are as those of ranks_grid.h */
    STYLE_LAYERS,
    STYLE_PLAIN_LAYERS,
    STYLE_MEGATRON,
    STYLE_STAGES,
    STYLE_ZERO,    /* the mark of ZeRO's stage 3 */
    STYLE_POINTER, /* "latest": the pickle's bytes as they are */
    STYLE_RAW,     /* a rank's file that is no archive: the same */
    STYLE_COUNT
};

#define IN_FOLDER 0x80 /* of a style: below the folder that "latest" may name */

struct file {
    enum style style;
    int stage, rank, is_in_folder;
    char path[64];
    struct buf content;
};

struct folder {
    struct file files[FILES_MAX];
    int count;
};

static void require(int condition)
{
    if (!condition)
        abort();
}

/* -- Making the files ------------------------------------------------------------------------------------ */

static void name_file(struct file *file)
{
    const char *folder = file->is_in_folder ? "step7/" : "";
    char *path = file->path;
    const size_t size = sizeof file->path;
    if (file->style == STYLE_LAYERS)
        (void)snprintf(path, size, "%slayer_%02d-model_%02d-model_states.pt", folder, file->stage,
                       file->rank);
    else if (file->style == STYLE_PLAIN_LAYERS)
        (void)snprintf(path, size, "%slayer_%02d-model_states.pt", folder, file->stage);
    else if (file->style == STYLE_MEGATRON)
        (void)snprintf(path, size, "%smp_rank_%02d/model_optim_rng.pt", folder, file->rank);
    else if (file->style == STYLE_STAGES)
        (void)snprintf(path, size, "%smp_rank_%02d_%03d/model_optim_rng.pt", folder, file->rank, file->stage);
    else if (file->style == STYLE_ZERO)
        (void)snprintf(path, size, "%szero_pp_rank_0_mp_rank_00_model_states.pt", folder);
    else if (file->style == STYLE_POINTER)
        (void)snprintf(path, size, "%slatest", folder);
    else
        (void)snprintf(path, size, "%smp_rank_%02d_model_states.pt", folder, file->rank);
}

/* A record for each storage that the pickle tells of; the bytes are those of this file alone. */
static void put_archive(struct buf *content, const uint8_t *pickle, size_t size, int salt)
{
    static unsigned char bytes[RECORDS_MAX][RECORD_BYTES_MAX];
    char names[RECORDS_MAX][STATE_DICT_KEY_SIZE + 16];
    struct bytes_record records[RECORDS_MAX + 2] = {{.name = "m/data.pkl", .data = pickle, .size = size},
                                                    {.name = "m/version", .data = "3\n", .size = 2}};
    struct state_dict *state_dict = NULL;
    struct err err = ERR_INIT;
    size_t count = 0;
    if (state_dict_parse(pickle, size, STATE_DICT_FORM_TRAINER, &state_dict, &err))
        state_dict = NULL; /* an archive all the same */
    for (size_t i = 0; state_dict && i < state_dict->count && count < RECORDS_MAX; i++) {
        const struct state_dict_tensor *tensor = &state_dict->tensors[i];
        int is_known = tensor->foreign || tensor->storage_bytes > RECORD_BYTES_MAX;
        (void)snprintf(names[count], sizeof names[count], "m/data/%s", tensor->storage_key);
        for (size_t j = 0; j < count; j++)
            is_known |= strcmp(names[j], names[count]) == 0;
        if (is_known)
            continue;
        for (size_t j = 0; j < tensor->storage_bytes; j++)
            bytes[count][j] = (unsigned char)((j + 1) * 37 + (count + 1) * 11 + (size_t)salt * 101 + j / 251);
        records[count + 2] = (struct bytes_record){
            .name = names[count], .data = bytes[count], .size = (size_t)tensor->storage_bytes};
        count++;
    }
    bytes_zip_build(content, records, count + 2, NULL);
    state_dict_free(state_dict);
}

/* The files of an input; none where it is too short. */
static void read_folder(const uint8_t *data, size_t size, struct folder *folder)
{
    const uint8_t *pickles[PICKLES_MAX] = {NULL};
    size_t sizes[PICKLES_MAX], pickle_count = 0;
    const size_t count = size ? data[0] % (FILES_MAX + 1) : 0;
    size_t at = 1 + 4 * count;
    while (pickle_count < PICKLES_MAX && at + 2 <= size) {
        size_t length = (size_t)(data[at] | data[at + 1] << 8);
        at += 2;
        length = length < size - at ? length : size - at;
        pickles[pickle_count] = data + at;
        sizes[pickle_count++] = length;
        at += length;
    }
    folder->count = pickle_count ? (int)count : 0;
    for (int i = 0; i < folder->count; i++) {
        const uint8_t *told = data + 1 + 4 * (size_t)i;
        const size_t pickle = told[3] % pickle_count;
        struct file *file = &folder->files[i];
        *file = (struct file){.style = (enum style)((told[0] & ~IN_FOLDER) % STYLE_COUNT),
                              .stage = told[1],
                              .rank = told[2],
                              .is_in_folder = told[0] & IN_FOLDER};
        name_file(file);
        buf_init(&file->content, 64 * MIB);
        if (file->style == STYLE_POINTER || file->style == STYLE_RAW)
            (void)buf_append(&file->content, pickles[pickle], sizes[pickle]);
        else
            put_archive(&file->content, pickles[pickle], sizes[pickle], i);
    }
}

/* -- The folder as a checkpoint reads it ----------------------------------------------------------------- */

static const struct file *find_file(const struct folder *folder, const char *name)
{
    for (int i = 0; i < folder->count; i++) {
        if (strcmp(folder->files[i].path, name) == 0)
            return &folder->files[i];
    }
    return NULL;
}

static int has(void *context, const char *name)
{
    return find_file(context, name) != NULL;
}

static int open_one(void *context, const char *name, struct source **ret_source, struct err *err)
{
    const struct file *file = find_file(context, name);
    require(file != NULL); /* only what is there is opened */
    return source_open_memory(name, file->content.data, file->content.size, ret_source, err);
}

/* -- What is read ---------------------------------------------------------------------------------------- */

/* A part as its file alone has it, into `data`, if it has `size` bytes; 0: there is none such. */
static int read_part(const struct file *file, const char *name, void *data, size_t size)
{
    struct source *source = NULL;
    struct shard *shard = NULL;
    struct shard_tensor part = {.name = NULL};
    struct err err = ERR_INIT;
    size_t index = 0;
    int is_read = !source_open_memory("part", file->content.data, file->content.size, &source, &err) &&
                  !shard_open(source, SHARD_FORMAT_TORCH_TRAINER, &shard, &err) &&
                  shard_find(shard, name, &index);
    if (is_read)
        shard_describe(shard, index, &part);
    is_read = is_read && part.size_bytes == size && !shard_read(shard, index, 0, data, size, &err);
    shard_close(shard);
    return is_read;
}

/* The file of a rank of the same layer or stage; NULL: there is none. */
static const struct file *find_rank(const struct folder *folder, const struct file *first, int rank)
{
    struct file wanted = *first;
    wanted.rank = rank;
    if (rank > 0 && wanted.style == STYLE_PLAIN_LAYERS)
        return NULL;
    name_file(&wanted);
    return find_file(folder, wanted.path);
}

static int count_ranks(const struct folder *folder, const struct file *first)
{
    int count = 0;
    while (find_rank(folder, first, count))
        count++;
    for (int i = 0; i < folder->count && first->style != STYLE_PLAIN_LAYERS; i++) {
        const struct file *file = &folder->files[i];
        require(file->style != first->style || file->stage != first->stage ||
                file->is_in_folder != first->is_in_folder || file->rank < count ||
                file->rank >= RANKS_GRID_MAX); /* none is missing among others */
    }
    return count;
}

/* The same bytes by other means: each rank's alone, one after the other. */
static int read_parts(const struct folder *folder, const struct checkpoint_tensor *tensor,
                      unsigned char *data)
{
    const struct file *first = find_file(folder, tensor->file);
    require(first != NULL && (first->rank == 0 || first->style == STYLE_PLAIN_LAYERS));
    const size_t count = (size_t)count_ranks(folder, first), size = (size_t)tensor->size_bytes / count;
    const char *name = tensor->name;
    char prefix[32];
    require(tensor->size_bytes % count == 0 && (tensor->is_spread == (count > 1)));
    if (first->style == STYLE_LAYERS || first->style == STYLE_PLAIN_LAYERS) {
        (void)snprintf(prefix, sizeof prefix, "sequential.%d.", first->stage);
        require(strncmp(name, prefix, strlen(prefix)) == 0);
        name += strlen(prefix);
    }
    for (size_t rank = 0; rank < count; rank++) {
        if (!read_part(find_rank(folder, first, (int)rank), name, data + rank * size, size))
            return 0;
    }
    return 1;
}

static void check_size(const struct checkpoint_tensor *tensor)
{
    struct err err = ERR_INIT;
    uint64_t size_bytes = 0;
    require(!tensor_size_bytes(tensor->dtype, &tensor->shape, &size_bytes, &err));
    require(size_bytes == tensor->size_bytes);
}

static void read_tensor(const struct folder *folder, struct checkpoint *checkpoint, const char *name)
{
    struct checkpoint_tensor tensor;
    struct err err = ERR_INIT;
    if (checkpoint_find(checkpoint, name, &tensor, &err))
        return;
    require(strcmp(tensor.name, name) == 0);
    check_size(&tensor);
    const size_t size = (size_t)tensor.size_bytes, from = size / 3;
    if (tensor.size_bytes > TENSOR_BYTES_MAX)
        return;
    unsigned char *data = malloc(size + 1), *parts = malloc(size + 1), *some = malloc(size + 1);
    require(data && parts && some);
    checkpoint_will_need(checkpoint, &tensor);
    const int is_read = !checkpoint_read(checkpoint, &tensor, data, size, &err);
    if (checkpoint_is_part(checkpoint))
        require(tensor.shape.ndim == 2 && is_read == read_parts(folder, &tensor, parts) &&
                (!is_read || memcmp(data, parts, size) == 0));
    if (is_read && size) /* across the parts' borders */
        require(!checkpoint_read_range(checkpoint, &tensor, from, some, size - from - 1, &err) &&
                memcmp(some, data + from, size - from - 1) == 0);
    free(data);
    free(parts);
    free(some);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct folder folder;
    const struct checkpoint_files files = {.has = has, .open = open_one, .context = &folder};
    struct checkpoint *checkpoint = NULL;
    struct err err = ERR_INIT;
    read_folder(data, size, &folder);
    if (checkpoint_open(&files, &checkpoint, &err) == 0) {
        const size_t count = checkpoint_name_count(checkpoint);
        for (size_t i = 1; i < count; i++)
            require(strcmp(checkpoint_name(checkpoint, i - 1), checkpoint_name(checkpoint, i)) < 0);
        for (size_t i = 0; i < count && i < TENSORS_MAX; i++)
            read_tensor(&folder, checkpoint, checkpoint_name(checkpoint, i));
        (void)checkpoint_check_files(checkpoint, &err);
    }
    checkpoint_close(checkpoint);
    for (int i = 0; i < folder.count; i++)
        buf_free(&folder.files[i].content);
    return 0;
}
