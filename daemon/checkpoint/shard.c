#include "daemon/checkpoint/shard.h"

#include "daemon/base/checked.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/gather.h"
#include "daemon/checkpoint/safetensors.h"
#include "daemon/checkpoint/torch_zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct shard {
    struct source *source;
    struct safetensors *safetensors; /* one of these two ... */
    struct torch_zip *torch_zip;     /* ... is set */
    unsigned char *gathered;         /* the contiguous bytes of one strided tensor, or NULL */
    size_t gathered_index;
};

static enum state_dict_form form_of(enum shard_format format)
{
    switch (format) {
    case SHARD_FORMAT_TORCH_TENSOR:
        return STATE_DICT_FORM_TENSOR;
    case SHARD_FORMAT_TORCH_TRAINER:
        return STATE_DICT_FORM_TRAINER;
    case SHARD_FORMAT_TORCH_ZIP:
    case SHARD_FORMAT_SAFETENSORS:
        break;
    }
    return STATE_DICT_FORM_PLAIN;
}

int shard_open(struct source *source, enum shard_format format, struct shard **ret_shard, struct err *err)
{
    int code;
    struct shard *shard = calloc(1, sizeof *shard);
    if (!shard) {
        code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", source->name);
        source_close(source);
        return code;
    }
    shard->source = source;
    if (format == SHARD_FORMAT_SAFETENSORS)
        code = safetensors_open(source, &shard->safetensors, err);
    else
        code = torch_zip_open(source, form_of(format), &shard->torch_zip, err);
    if (code) {
        shard_close(shard);
        return code;
    }
    *ret_shard = shard;
    return 0;
}

void shard_close(struct shard *shard)
{
    if (!shard)
        return;
    safetensors_free(shard->safetensors);
    torch_zip_close(shard->torch_zip);
    source_close(shard->source);
    free(shard->gathered);
    free(shard);
}

static const struct state_dict_tensor *torch_tensor(const struct shard *shard, size_t index)
{
    return &torch_zip_state_dict(shard->torch_zip)->tensors[index];
}

size_t shard_count(const struct shard *shard)
{
    return shard->safetensors ? shard->safetensors->count : torch_zip_state_dict(shard->torch_zip)->count;
}

const char *shard_name(const struct shard *shard, size_t index)
{
    return shard->safetensors ? shard->safetensors->tensors[index].name : torch_tensor(shard, index)->name;
}

int shard_find(const struct shard *shard, const char *name, size_t *ret_index)
{
    size_t low = 0, high = shard_count(shard);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(shard_name(shard, middle), name);
        if (order == 0) {
            *ret_index = middle;
            return 1;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

const struct state_dict_told *shard_told(const struct shard *shard)
{
    return shard->torch_zip ? &torch_zip_state_dict(shard->torch_zip)->told : NULL;
}

static uint64_t torch_size_bytes(const struct state_dict_tensor *tensor)
{
    uint64_t size_bytes = 0;
    struct err ignored = ERR_INIT;
    (void)tensor_size_bytes(tensor->dtype, &tensor->shape, &size_bytes,
                            &ignored); /* the pickle's is checked */
    return size_bytes;
}

void shard_describe(const struct shard *shard, size_t index, struct shard_tensor *ret_tensor)
{
    if (shard->safetensors) {
        const struct safetensors_tensor *tensor = &shard->safetensors->tensors[index];
        *ret_tensor = (struct shard_tensor){
            .name = tensor->name,
            .foreign = tensor->foreign_dtype,
            .dtype = tensor->dtype,
            .shape = tensor->shape,
            .size_bytes = tensor->size_bytes,
            .is_contiguous = 1,
        };
        return;
    }
    const struct state_dict_tensor *tensor = torch_tensor(shard, index);
    *ret_tensor = (struct shard_tensor){
        .name = tensor->name,
        .foreign = tensor->foreign,
        .same_as = tensor->first == index ? NULL : torch_tensor(shard, tensor->first)->name,
        .dtype = tensor->dtype,
        .shape = tensor->shape,
        .size_bytes = torch_size_bytes(tensor),
        .is_contiguous = gather_is_contiguous(&tensor->shape, tensor->stride),
    };
    ret_tensor->is_repeating = ret_tensor->size_bytes > tensor->storage_bytes;
}

/* Where the tensor's bytes lie in the source: contiguous ones, or the span from a strided tensor's first
 * element to its last. */
static int locate(struct shard *shard, size_t index, uint64_t *ret_offset, uint64_t *ret_size,
                  struct err *err)
{
    if (shard->safetensors) {
        *ret_offset = shard->safetensors->tensors[index].offset;
        *ret_size = shard->safetensors->tensors[index].size_bytes;
        return 0;
    }
    const struct state_dict_tensor *tensor = torch_tensor(shard, index);
    uint64_t span = gather_span(&tensor->shape, tensor->stride) * (tensor_dtype_bits(tensor->dtype) / 8);
    if (span != 0) {
        int code = torch_zip_locate(shard->torch_zip, tensor, ret_offset, err);
        if (code)
            return code;
    } else {
        *ret_offset = 0;
    }
    *ret_size = span;
    return 0;
}

/* Makes shard->gathered hold the tensor. */
static int gather(struct shard *shard, size_t index, uint64_t offset, uint64_t span_bytes, struct err *err)
{
    const struct state_dict_tensor *tensor = torch_tensor(shard, index);
    const unsigned char *map = source_map(shard->source);
    size_t element_bytes = tensor_dtype_bits(tensor->dtype) / 8;
    unsigned char *fetched = NULL, *gathered = NULL;
    int code = 0;
    if (shard->gathered && shard->gathered_index == index)
        return 0;
    free(shard->gathered);
    shard->gathered = NULL;
    gathered = malloc((size_t)torch_size_bytes(tensor));
    if (!map)
        fetched = malloc((size_t)span_bytes);
    if (!gathered || (!map && !fetched)) {
        code = err_set(err, ERR_NO_MEMORY, "%s: tensor %.200s: %" PRIu64 " bytes cannot be had",
                       shard->source->name, tensor->name, span_bytes + torch_size_bytes(tensor));
        goto out;
    }
    if (fetched)
        code = torch_zip_read(shard->torch_zip, offset, fetched, (size_t)span_bytes, err);
    if (code)
        goto out;
    gather_copy(map ? map + offset : fetched, &tensor->shape, tensor->stride, element_bytes, gathered);
    shard->gathered = gathered;
    shard->gathered_index = index;
    gathered = NULL;
out:
    free(fetched);
    free(gathered);
    return code;
}

int shard_read(struct shard *shard, size_t index, uint64_t offset, void *data, size_t size, struct err *err)
{
    struct shard_tensor tensor;
    uint64_t place = 0, stored = 0;
    shard_describe(shard, index, &tensor);
    if (!checked_range_within(offset, size, tensor.size_bytes))
        return err_set(err, ERR_INVALID,
                       "%s: tensor %.200s has %" PRIu64 " bytes; %zu at %" PRIu64 " were asked",
                       shard->source->name, tensor.name, tensor.size_bytes, size, offset);
    if (tensor.is_repeating)
        return err_set(err, ERR_UNSUPPORTED, "%s: tensor %.200s: its elements repeat in memory",
                       shard->source->name, tensor.name);
    if (size == 0)
        return 0;
    int code = locate(shard, index, &place, &stored, err);
    if (code)
        return code;
    if (shard->safetensors)
        return source_read(shard->source, place + offset, data, size, err);
    if (tensor.is_contiguous)
        return torch_zip_read(shard->torch_zip, place + offset, data, size, err);
    code = gather(shard, index, place, stored, err);
    if (!code)
        memcpy(data, shard->gathered + offset, size);
    return code;
}

void shard_will_need(struct shard *shard, size_t index)
{
    uint64_t offset = 0, size = 0;
    struct err ignored = ERR_INIT; /* the reading itself will report it */
    if (!locate(shard, index, &offset, &size, &ignored) && size)
        source_will_need(shard->source, offset, size);
}

/* Whether the tensor lies in the source as it is handed out. */
static int locate_contiguous(struct shard *shard, size_t index, uint64_t *ret_offset)
{
    struct shard_tensor tensor;
    uint64_t size = 0;
    struct err ignored = ERR_INIT;
    shard_describe(shard, index, &tensor);
    return tensor.is_contiguous && !tensor.is_repeating && !locate(shard, index, ret_offset, &size, &ignored);
}

int shard_locate(struct shard *shard, size_t index, struct source **ret_source, uint64_t *ret_offset)
{
    *ret_source = shard->source;
    return source_reads_at_once(shard->source) && locate_contiguous(shard, index, ret_offset);
}

const void *shard_map(struct shard *shard, size_t index)
{
    uint64_t offset = 0;
    const unsigned char *map = source_map(shard->source);
    return map && locate_contiguous(shard, index, &offset) ? map + offset : NULL;
}
