#include "daemon/checkpoint/checkpoint.h"

#include "daemon/base/guess.h"
#include "daemon/base/limits.h"
#include "daemon/base/weight_layout.h"
#include "daemon/checkpoint/ranks.h"
#include "daemon/checkpoint/shard.h"
#include "daemon/checkpoint/shard_index.h"
#include "daemon/checkpoint/spread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_TOLD 3 /* in the error of a name that is none */
#define PARTS_TOLD 8 /* ... that is a part of names */

struct checkpoint {
    struct checkpoint_files files; /* unused without an index */
    enum shard_format format;
    struct shard_index *index; /* NULL for a single file */
    struct shard **shards;     /* one per file; NULL until it is opened */
    struct spread *spread;     /* of chunks, in place of shards */
    struct ranks *ranks;       /* of several ranks, in place of shards */
    char *first_name;          /* of the file that is read first, which is the only one without an index */
};

static size_t file_count(const struct checkpoint *checkpoint)
{
    return checkpoint->index ? checkpoint->index->file_count : 1;
}

static const char *file_name(const struct checkpoint *checkpoint, size_t file)
{
    return checkpoint->index ? checkpoint->index->files[file] : checkpoint->first_name;
}

static int read_index(struct checkpoint *checkpoint, const char *name, struct err *err)
{
    struct source *source = NULL;
    char *text = NULL;
    int code = checkpoint->files.open(checkpoint->files.context, name, &source, err);
    if (code)
        return code;
    if (source->size_bytes > LIMIT_INDEX_JSON_BYTES) {
        code = err_set(err, ERR_LIMIT, "%s: %" PRIu64 " bytes exceed the limit of %zu", name,
                       source->size_bytes, LIMIT_INDEX_JSON_BYTES);
        goto out;
    }
    text = malloc((size_t)source->size_bytes + 1);
    if (!text) {
        code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", name);
        goto out;
    }
    code = source_read(source, 0, text, (size_t)source->size_bytes, err);
    if (!code && shard_index_parse(text, (size_t)source->size_bytes, &checkpoint->index, err))
        code = err_wrap(err, "%s", name);
out:
    free(text);
    source_close(source);
    return code;
}

/* Allocates the shards and, where there is no index, opens the one file over `source`. */
static int open_shards(struct checkpoint *checkpoint, struct source *source, struct err *err)
{
    checkpoint->shards = calloc(file_count(checkpoint), sizeof(struct shard *));
    if (!checkpoint->shards) {
        source_close(source);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    return source ? shard_open(source, checkpoint->format, &checkpoint->shards[0], err) : 0;
}

static int open_ranks(struct checkpoint *checkpoint, struct err *err)
{
    const struct checkpoint_files *files = &checkpoint->files;
    struct source *source = NULL;
    int code = ranks_open(files, checkpoint->first_name, &checkpoint->ranks, err);
    if (code || checkpoint->ranks)
        return code;
    code = files->open(files->context, checkpoint->first_name, &source, err);
    if (!code)
        code = open_shards(checkpoint, source, err);
    return code ? code : ranks_check_alone(files, checkpoint->first_name, checkpoint->shards[0], err);
}

static int open_layout(struct checkpoint *checkpoint, const struct weight_layout *layout, struct err *err)
{
    struct source *source = NULL;
    int code = 0;
    switch (layout->form) {
    case WEIGHT_FORM_CHUNKS:
        return spread_open(&checkpoint->files, layout->file, &checkpoint->spread, err);
    case WEIGHT_FORM_INDEX:
        code = read_index(checkpoint, layout->file, err);
        break;
    case WEIGHT_FORM_POINTER:
        free(checkpoint->first_name);
        checkpoint->first_name = NULL;
        code = ranks_follow(&checkpoint->files, layout->file, &checkpoint->first_name, err);
        return code ? code : open_ranks(checkpoint, err);
    case WEIGHT_FORM_RANKS:
        return open_ranks(checkpoint, err);
    case WEIGHT_FORM_FILE:
        code = checkpoint->files.open(checkpoint->files.context, checkpoint->first_name, &source, err);
        break;
    }
    return code ? code : open_shards(checkpoint, source, err);
}

int checkpoint_open(const struct checkpoint_files *files, struct checkpoint **ret_checkpoint, struct err *err)
{
    const struct weight_layout *layout = weight_layout_choose(files->has, files->context);
    if (!layout)
        return err_set(err, ERR_NOT_FOUND, "no weights: none of " WEIGHT_LAYOUT_FILES " is there");
    struct checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    if (!checkpoint)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    checkpoint->files = *files;
    checkpoint->format = !layout->is_torch                           ? SHARD_FORMAT_SAFETENSORS
                         : weight_layout_is_of_trainer(layout->file) ? SHARD_FORMAT_TORCH_TRAINER
                                                                     : SHARD_FORMAT_TORCH_ZIP;
    checkpoint->first_name = strdup(layout->file);
    int code = checkpoint->first_name ? open_layout(checkpoint, layout, err)
                                      : err_set(err, ERR_NO_MEMORY, "out of memory");
    if (code) {
        checkpoint_close(checkpoint);
        return code;
    }
    *ret_checkpoint = checkpoint;
    return 0;
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    if (!checkpoint)
        return;
    for (size_t i = 0; checkpoint->shards && i < file_count(checkpoint); i++)
        shard_close(checkpoint->shards[i]);
    free(checkpoint->shards);
    shard_index_free(checkpoint->index);
    spread_close(checkpoint->spread);
    ranks_close(checkpoint->ranks);
    free(checkpoint->first_name);
    free(checkpoint);
}

size_t checkpoint_name_count(const struct checkpoint *checkpoint)
{
    if (checkpoint->spread)
        return spread_index(checkpoint->spread)->count;
    if (checkpoint->ranks)
        return ranks_count(checkpoint->ranks);
    return checkpoint->index ? checkpoint->index->entry_count : shard_count(checkpoint->shards[0]);
}

const char *checkpoint_name(const struct checkpoint *checkpoint, size_t index)
{
    if (checkpoint->spread)
        return spread_index(checkpoint->spread)->tensors[index].name;
    if (checkpoint->ranks)
        return ranks_name(checkpoint->ranks, index);
    return checkpoint->index ? checkpoint->index->entries[index].tensor
                             : shard_name(checkpoint->shards[0], index);
}

/* Opens the shard that an index names, once. */
static int open_shard(struct checkpoint *checkpoint, size_t file, struct err *err)
{
    const char *name = file_name(checkpoint, file);
    struct source *source = NULL;
    if (checkpoint->shards[file])
        return 0;
    if (!checkpoint->files.has(checkpoint->files.context, name))
        return err_set(err, ERR_NOT_FOUND, "%s: named by the index, but not there", name);
    int code = checkpoint->files.open(checkpoint->files.context, name, &source, err);
    return code ? code : shard_open(source, checkpoint->format, &checkpoint->shards[file], err);
}

/* Whether two names are the same tensor's of different layers. */
static int is_alike(const char *one, const char *other)
{
    for (; *one && *other; one++, other++) {
        one += strspn(one, "0123456789");
        other += strspn(other, "0123456789");
        if (*one != *other)
            return 0;
    }
    return *one == *other;
}

/* Names that the asked one is a part of, those of the first layer for all. */
static size_t tell_parts(const struct checkpoint *checkpoint, const char *part, char *text, size_t size)
{
    const char *told[PARTS_TOLD];
    size_t count = 0;
    for (size_t i = 0; i < checkpoint_name_count(checkpoint) && count < PARTS_TOLD; i++) {
        const char *name = checkpoint_name(checkpoint, i);
        size_t length = strlen(text), k = 0;
        while (k < count && !is_alike(told[k], name))
            k++;
        if (k < count || !strstr(name, part))
            continue;
        told[count++] = name;
        (void)snprintf(text + length, size - length, "%s%.100s", length ? ", " : "", name);
    }
    return count;
}

/* Whoever names a tensor wants to know what there is: the nearest name, else those that it is a part of, else
 * embeddings and heads; not how many there are, since revisions that fail alike are to say so in equal words
 * (store/hopeless.h), and buffers are in some files alone. */
static int refuse_name(const struct checkpoint *checkpoint, const char *name, struct err *err)
{
    char question[GUESS_QUESTION_SIZE], others[200] = "", parts[PARTS_TOLD * 104] = "";
    struct guess guess;
    size_t count = checkpoint_name_count(checkpoint), told = 0;
    guess_init(&guess, name);
    for (size_t i = 0; i < count; i++)
        guess_offer(&guess, checkpoint_name(checkpoint, i));
    for (size_t i = 0; i < count && told < NAMES_TOLD && !guess.name; i++) {
        const char *other = checkpoint_name(checkpoint, i);
        size_t length = strlen(others);
        if (!strstr(other, "embed") && !strstr(other, "head"))
            continue;
        (void)snprintf(others + length, sizeof others - length, "%s%.60s", told++ ? ", " : "", other);
    }
    if (guess.name)
        return err_set(err, ERR_NOT_FOUND, "no tensor is named %.200s%s", name,
                       guess_ask(&guess, "", question));
    if (name[0] && tell_parts(checkpoint, name, parts, sizeof parts))
        return err_set(err, ERR_NOT_FOUND, "no tensor is named %.200s; names with that in them include %s",
                       name, parts);
    if (told)
        return err_set(err, ERR_NOT_FOUND, "no tensor is named %.200s; those that are there include %s", name,
                       others);
    return err_set(err, ERR_NOT_FOUND, "no tensor is named %.200s; there are %zu", name, count);
}

static int refuse_foreign(const char *name, const char *foreign, struct err *err)
{
    return err_set(
        err, ERR_UNSUPPORTED,
        "tensor %.200s: its dtype or form (%s) is not read here; the other tensors of the file can be", name,
        foreign);
}

static int find_spread(struct checkpoint *checkpoint, const char *name, struct checkpoint_tensor *ret_tensor,
                       struct err *err)
{
    const struct chunk_index *index = spread_index(checkpoint->spread);
    size_t number = 0;
    if (!chunk_index_find(index, name, &number))
        return refuse_name(checkpoint, name, err);
    const struct chunk_index_tensor *tensor = &index->tensors[number];
    ret_tensor->name = tensor->name;
    if (tensor->foreign)
        return refuse_foreign(name, tensor->foreign, err);
    int code = chunk_index_check(tensor, err);
    if (code)
        return code;
    *ret_tensor = (struct checkpoint_tensor){
        .name = tensor->name,
        .dtype = tensor->dtype,
        .shape = tensor->shape,
        .size_bytes = tensor->size_bytes,
        .file = checkpoint->first_name,
        .is_spread = 1,
        .index = number,
    };
    return 0;
}

static int find_in_ranks(const struct checkpoint *checkpoint, const char *name,
                         struct checkpoint_tensor *ret_tensor, struct err *err)
{
    const char *foreign = NULL;
    size_t number = 0;
    if (!ranks_find(checkpoint->ranks, name, &number)) {
        (void)refuse_name(checkpoint, name, err);
        return err_wrap(err, "of several ranks' files the embeddings and the output layer alone are read");
    }
    ranks_describe(checkpoint->ranks, number, ret_tensor, &foreign);
    return foreign ? refuse_foreign(name, foreign, err) : 0;
}

int checkpoint_find(struct checkpoint *checkpoint, const char *name, struct checkpoint_tensor *ret_tensor,
                    struct err *err)
{
    size_t file = 0, index = 0;
    struct shard_tensor tensor;
    if (checkpoint->spread)
        return find_spread(checkpoint, name, ret_tensor, err);
    if (checkpoint->ranks)
        return find_in_ranks(checkpoint, name, ret_tensor, err);
    if (checkpoint->index) {
        const struct shard_index_entry *entry = shard_index_find(checkpoint->index, name);
        if (!entry)
            return refuse_name(checkpoint, name, err);
        file = entry->file;
        int code = open_shard(checkpoint, file, err);
        if (code)
            return code;
    }
    const struct shard *shard = checkpoint->shards[file];
    if (!shard_find(shard, name, &index)) {
        if (checkpoint->index)
            return err_set(err, ERR_MISMATCH,
                           "%.200s: the index says that tensor %.120s is here, but it is not",
                           file_name(checkpoint, file), name);
        return refuse_name(checkpoint, name, err);
    }
    shard_describe(shard, index, &tensor);
    ret_tensor->name = tensor.name;
    if (tensor.foreign)
        return refuse_foreign(name, tensor.foreign, err);
    if (tensor.is_repeating)
        return err_set(
            err, ERR_UNSUPPORTED,
            "tensor %.200s: its elements repeat in memory, so that it claims more bytes than the file holds",
            name);
    *ret_tensor = (struct checkpoint_tensor){
        .name = tensor.name,
        .dtype = tensor.dtype,
        .shape = tensor.shape,
        .size_bytes = tensor.size_bytes,
        .same_as = tensor.same_as,
        .file = file_name(checkpoint, file),
        .is_contiguous = tensor.is_contiguous,
        .shard = file,
        .index = index,
    };
    return 0;
}

int checkpoint_check_files(struct checkpoint *checkpoint, struct err *err)
{
    if (checkpoint->ranks)
        return ranks_check_files(checkpoint->ranks, err);
    return checkpoint->spread ? spread_check_files(checkpoint->spread, err) : 0;
}

int checkpoint_is_part(const struct checkpoint *checkpoint)
{
    return checkpoint->ranks != NULL;
}

void checkpoint_will_need(struct checkpoint *checkpoint, const struct checkpoint_tensor *tensor)
{
    if (checkpoint->ranks)
        ranks_will_need(checkpoint->ranks, tensor->index);
    else if (!checkpoint->spread) /* chunks are read whole, most with one request */
        shard_will_need(checkpoint->shards[tensor->shard], tensor->index);
}

int checkpoint_read(struct checkpoint *checkpoint, const struct checkpoint_tensor *tensor, void *data,
                    size_t size, struct err *err)
{
    if (size != tensor->size_bytes)
        return err_set(err, ERR_INVALID, "tensor %.200s has %" PRIu64 " bytes, not %zu", tensor->name,
                       tensor->size_bytes, size);
    return checkpoint_read_range(checkpoint, tensor, 0, data, size, err);
}

int checkpoint_read_range(struct checkpoint *checkpoint, const struct checkpoint_tensor *tensor,
                          uint64_t offset, void *data, size_t size, struct err *err)
{
    if (checkpoint->spread)
        return spread_read(checkpoint->spread, tensor->index, offset, data, size, err);
    if (checkpoint->ranks)
        return ranks_read(checkpoint->ranks, tensor->index, offset, data, size, err);
    return shard_read(checkpoint->shards[tensor->shard], tensor->index, offset, data, size, err);
}

int checkpoint_locate(struct checkpoint *checkpoint, const struct checkpoint_tensor *tensor,
                      struct source **ret_source, uint64_t *ret_offset)
{
    if (checkpoint->spread || checkpoint->ranks)
        return 0;
    return shard_locate(checkpoint->shards[tensor->shard], tensor->index, ret_source, ret_offset);
}

const void *checkpoint_map(struct checkpoint *checkpoint, const struct checkpoint_tensor *tensor)
{
    if (checkpoint->spread || checkpoint->ranks)
        return NULL;
    return shard_map(checkpoint->shards[tensor->shard], tensor->index);
}
