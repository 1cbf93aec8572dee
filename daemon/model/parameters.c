#include "daemon/model/parameters.h"

#include "daemon/base/checked.h"
#include "daemon/model/role.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Buffers by the end of their name; of a mask also the number of dimensions, since "attn.bias" could be a
 * layer's bias in a family that is not known here. -1: any. */
static const struct {
    const char *end;
    int ndim;
} buffers[] = {
    {".attention.bias", 4},        {".attn.bias", 4},
    {".masked_bias", -1},          {"rotary_emb.inv_freq", -1},
    {"rope.inv_freq", -1},         {"rotary_emb.cos_cached", -1},
    {"rotary_emb.sin_cached", -1}, {"position_ids", -1},
    {".act_fn.beta", 0},           {".act_fn.eps", 0},
};

/* What trainers put before the names of the model's tensors, where they keep more than the model. */
static const char *const wrappers[] = {"state_dict.", "module.", "model_state_dict.", "state.model.",
                                       "app.model."};

/* What stands beside it where nothing is put before them: the optimizer's (of several in a chain, too), and
 * where the trainer, its data and its random numbers stand. */
static const char *const beside[] = {"optim",        "chained_",   "train_state.",
                                     "lr_scheduler", "dataloader", "rng_state"};

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), end_length = strlen(end);
    return length >= end_length && strcmp(name + length - end_length, end) == 0;
}

static bool is_buffer(const struct checkpoint_tensor *tensor)
{
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        if (ends_with(tensor->name, buffers[i].end) &&
            (buffers[i].ndim < 0 || (size_t)buffers[i].ndim == (size_t)tensor->shape.ndim))
            return true;
    }
    return false;
}

static bool holds_parameters(enum tensor_dtype dtype)
{
    switch (dtype) {
    case TENSOR_DTYPE_F16:
    case TENSOR_DTYPE_BF16:
    case TENSOR_DTYPE_F32:
    case TENSOR_DTYPE_F64:
    case TENSOR_DTYPE_F8_E4M3:
    case TENSOR_DTYPE_F8_E5M2:
    case TENSOR_DTYPE_F8_E4M3FNUZ:
    case TENSOR_DTYPE_F8_E5M2FNUZ:
        return true;
    default:
        return false;
    }
}

/* The wrapper that the model's tensors have in common, or "". */
static const char *wrapper_of(const char *name)
{
    for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++) {
        if (strncmp(name, wrappers[i], strlen(wrappers[i])) == 0)
            return wrappers[i];
    }
    return "";
}

static int add(const struct checkpoint_tensor *tensor, uint64_t *count, struct err *err)
{
    uint64_t elements = 0;
    if (is_buffer(tensor))
        return 0;
    if (!holds_parameters(tensor->dtype))
        return err_set(err, ERR_UNSUPPORTED,
                       "tensor %s is %s, so the number of parameters does not follow from its shape",
                       tensor->name, tensor_dtype_name(tensor->dtype));
    int code = tensor_shape_elements(&tensor->shape, &elements, err);
    if (!code && checked_add_u64(*count, elements, count))
        code = err_set(err, ERR_LIMIT, "the number of parameters overflows");
    return code;
}

/* Which names of a checkpoint are those of the model's tensors, each counted once. */
struct names {
    const char *wrapper;
    const char *copy; /* the unembedding where it is the embedding once more; NULL: it is not */
};

static bool is_of_model(const struct names *names, const char *name)
{
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        if (strncmp(name, beside[i], strlen(beside[i])) == 0)
            return false;
    }
    return strncmp(name, names->wrapper, strlen(names->wrapper)) == 0 &&
           !(names->copy && strcmp(name, names->copy) == 0);
}

int model_parameters_count(const struct model_config *config, struct checkpoint *checkpoint,
                           const char *unembedding, uint64_t *ret_count, struct err *err)
{
    const char *files[PARAMETERS_FILES_MAX], *embedding = "";
    struct names names = {.wrapper = wrapper_of(unembedding)};
    struct err ignored = ERR_INIT;
    uint64_t count = 0;
    size_t file_count = 0;
    bool has_layers = false;
    if (checkpoint_is_part(checkpoint))
        return err_set(err, ERR_UNSUPPORTED, "of several ranks' files not all tensors are known");
    (void)model_role_find(config, checkpoint, MODEL_ROLE_EMBEDDING, &embedding, &ignored);
    if (config->is_tied && embedding[0] && strcmp(embedding, unembedding) != 0)
        names.copy = unembedding;
    for (size_t i = 0; i < checkpoint_name_count(checkpoint); i++) {
        const char *name = checkpoint_name(checkpoint, i);
        struct checkpoint_tensor tensor;
        if (!is_of_model(&names, name))
            continue;
        int code = checkpoint_find(checkpoint, name, &tensor, err);
        size_t known = 0;
        while (!code && known < file_count && strcmp(files[known], tensor.file) != 0)
            known++;
        if (!code && known == PARAMETERS_FILES_MAX)
            code = err_set(err, ERR_LIMIT, "its parameters are in more than %d files, which are not counted",
                           PARAMETERS_FILES_MAX);
        if (!code && known == file_count)
            files[file_count++] = tensor.file;
        if (!code && !(tensor.same_as && is_of_model(&names, tensor.same_as)))
            code = add(&tensor, &count, err);
        if (code)
            return code;
        has_layers |= strcmp(name, unembedding) != 0 && strcmp(name, embedding) != 0;
    }
    if (!has_layers)
        return err_set(
            err, ERR_UNSUPPORTED,
            "the checkpoint holds nothing but embeddings, so the number of parameters is not known");
    *ret_count = count;
    return 0;
}
