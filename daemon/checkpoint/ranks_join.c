#include "daemon/checkpoint/ranks_join.h"

#include "daemon/base/checked.h"
#include "daemon/base/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENSORS_MAX 100 /* a few are there; each is looked for among those before, and in all ranks */

/* What Megatron and GPT-NeoX cut by rows of the vocabulary, by the end of its name. lm_head is that of
 * Megatron-DeepSpeed's layers alone: DeepSpeed's own tensor parallelism cuts one otherwise, and so it does
 * what models of transformers with these names (BLOOM, Falcon, ChatGLM) have in "transformer". */
static int is_of_vocabulary(const char *name, int is_of_layer)
{
    static const char *const names[] = {"word_embeddings.weight", "word_embeddings_for_head.weight",
                                        "output_layer.weight", "final_linear.weight", "lm_head.weight"};
    const size_t size = strlen(name), count = sizeof names / sizeof names[0] - (is_of_layer ? 0 : 1);
    if (strncmp(name, "optim", strlen("optim")) == 0 || (!is_of_layer && strstr(name, "transformer.")))
        return 0;
    for (size_t i = 0; i < count; i++) {
        const size_t end = strlen(names[i]);
        if (size >= end && strcmp(name + size - end, names[i]) == 0 &&
            (size == end || name[size - end - 1] == '.'))
            return 1;
    }
    return 0;
}

static int is_alike(const struct shard_tensor *a, const struct shard_tensor *b)
{
    return a->dtype == b->dtype && a->shape.ndim == b->shape.ndim &&
           memcmp(a->shape.dim, b->shape.dim, (size_t)a->shape.ndim * sizeof a->shape.dim[0]) == 0;
}

static const char *foreign_of(const struct shard_tensor *tensor)
{
    return tensor->foreign ? tensor->foreign : tensor->is_repeating ? "its elements repeat in memory" : NULL;
}

/* Finds the tensor with all ranks, whose parts are of one form. */
static int find_parts(const struct ranks_end *end, int rank_count, const struct shard_tensor *first,
                      struct ranks_tensor *tensor, struct err *err)
{
    for (int rank = 0; rank < rank_count; rank++) {
        struct shard_tensor part;
        if (!shard_find(end->shards[rank], first->name, &tensor->indexes[rank]))
            return err_set(err, ERR_MISMATCH, "%.200s: it has no %.200s, which %.200s has", end->paths[rank],
                           first->name, end->paths[0]);
        shard_describe(end->shards[rank], tensor->indexes[rank], &part);
        if (!tensor->foreign)
            tensor->foreign = foreign_of(&part);
        if (!tensor->foreign && !is_alike(&part, first))
            return err_set(err, ERR_MISMATCH,
                           "%.200s: its %.200s is of another shape or dtype than that of %.200s, as ranks' "
                           "parts never are",
                           end->paths[rank], first->name, end->paths[0]);
    }
    return 0;
}

/* The whole of all parts. */
static int size_up(int rank_count, int64_t padded_rows, struct ranks_tensor *tensor, struct err *err)
{
    uint64_t *rows = &tensor->shape.dim[0];
    if (tensor->shape.ndim != 2)
        return err_set(err, ERR_FORMAT, "%.200s has %d dimensions, and not rows of the vocabulary",
                       tensor->name, tensor->shape.ndim);
    if (checked_mul_u64(*rows, (uint64_t)rank_count, rows) ||
        checked_mul_u64(tensor->part_bytes, (uint64_t)rank_count, &tensor->size_bytes))
        return err_set(err, ERR_LIMIT, "%.200s: its size overflows", tensor->name);
    if (padded_rows && *rows != (uint64_t)padded_rows)
        return err_set(err, ERR_MISMATCH,
                       "%.200s has %" PRIu64 " rows in %d files, and padded_vocab_size is %" PRId64,
                       tensor->name, *rows, rank_count, padded_rows);
    return 0;
}

static int add(const struct ranks_end *end, int rank_count, int64_t padded_rows, size_t index,
               struct ranks_join *join, struct err *err)
{
    struct shard_tensor first;
    struct ranks_tensor *tensor = &join->tensors[join->count];
    shard_describe(end->shards[0], index, &first);
    *tensor = (struct ranks_tensor){.dtype = first.dtype,
                                    .shape = first.shape,
                                    .part_bytes = first.size_bytes,
                                    .end = end,
                                    .indexes = calloc((size_t)rank_count, sizeof *tensor->indexes)};
    const size_t size = strlen(end->prefix) + strlen(first.name) + 1;
    tensor->name = malloc(size);
    join->count++; /* so that what there is of it is freed */
    if (!tensor->name || !tensor->indexes)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    (void)snprintf(tensor->name, size, "%s%s", end->prefix, first.name);
    int code = find_parts(end, rank_count, &first, tensor, err);
    return code || tensor->foreign ? code : size_up(rank_count, padded_rows, tensor, err);
}

static int is_known(const struct ranks_join *join, const struct ranks_end *end, const char *name)
{
    const size_t size = strlen(end->prefix);
    for (size_t i = 0; i < join->count; i++) {
        const char *known = join->tensors[i].name;
        if (known && strncmp(known, end->prefix, size) == 0 && strcmp(known + size, name) == 0)
            return 1;
    }
    return 0;
}

/* The output layer of GPT-NeoX was once cut along its columns, too. */
static int check_columns(const struct ranks_join *join, struct err *err)
{
    const struct ranks_tensor *first = NULL;
    for (size_t i = 0; i < join->count; i++) {
        const struct ranks_tensor *tensor = &join->tensors[i];
        if (tensor->foreign)
            continue;
        first = first ? first : tensor;
        if (tensor->shape.dim[1] != first->shape.dim[1])
            return err_set(err, ERR_MISMATCH,
                           "%.200s has %" PRIu64 " columns and %.200s %" PRIu64
                           ": they are not both cut by rows",
                           first->name, first->shape.dim[1], tensor->name, tensor->shape.dim[1]);
    }
    return 0;
}

static int compare_tensors(const void *a, const void *b)
{
    const struct ranks_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static size_t count_wanted(const struct ranks_end *end)
{
    size_t found = 0;
    for (size_t i = 0; i < shard_count(end->shards[0]); i++)
        found += (size_t)is_of_vocabulary(shard_name(end->shards[0], i), end->prefix[0] != 0);
    return found;
}

static int add_end(const struct ranks_end *end, int rank_count, int64_t padded_rows, struct ranks_join *join,
                   struct err *err)
{
    int code = 0;
    for (size_t i = 0; i < shard_count(end->shards[0]) && !code; i++) {
        const char *name = shard_name(end->shards[0], i);
        if (is_of_vocabulary(name, end->prefix[0] != 0) && !is_known(join, end, name))
            code = add(end, rank_count, padded_rows, i, join, err);
    }
    return code;
}

int ranks_join_find(const struct ranks_end *ends, int end_count, int rank_count, int64_t padded_rows,
                    struct ranks_join *ret_join, struct err *err)
{
    size_t found = 0;
    int code = 0;
    for (int e = 0; e < end_count; e++)
        found += count_wanted(&ends[e]);
    if (found > TENSORS_MAX) {
        *ret_join = (struct ranks_join){.tensors = NULL};
        return err_set(err, ERR_LIMIT, "%.200s: %zu embeddings and output layers, more than the limit of %d",
                       ends[0].paths[0], found, TENSORS_MAX);
    }
    *ret_join = (struct ranks_join){.tensors = calloc(found + 1, sizeof *ret_join->tensors)};
    if (!ret_join->tensors)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (int e = 0; e < end_count && !code; e++)
        code = add_end(&ends[e], rank_count, padded_rows, ret_join, err);
    if (code)
        return code;
    if (ret_join->count == 0)
        return err_set(
            err, ERR_NOT_FOUND,
            "neither an embedding nor an output layer of Megatron or GPT-NeoX is in %.200s, nor "
            "in the last layer's or stage's file; of several ranks' files no other tensors are read",
            ends[0].paths[0]);
    qsort(ret_join->tensors, ret_join->count, sizeof *ret_join->tensors, compare_tensors);
    return check_columns(ret_join, err);
}

void ranks_join_done(struct ranks_join *join)
{
    for (size_t i = 0; i < join->count; i++) {
        free(join->tensors[i].name);
        free(join->tensors[i].indexes);
    }
    free(join->tensors);
    *join = (struct ranks_join){.tensors = NULL};
}
