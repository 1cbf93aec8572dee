#include "daemon/checkpoint/ranks.h"

#include "daemon/base/file.h"
#include "daemon/base/weight_layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINTER_BYTES_MAX 256

/* The name of a file in the folder of another one, or NULL without memory. */
static char *beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    const size_t folder = slash ? (size_t)(slash - path) + 1 : 0, size = folder + strlen(name) + 1;
    char *other = malloc(size);
    if (other)
        (void)snprintf(other, size, "%.*s%s", (int)folder, path, name);
    return other;
}

int ranks_refuse(const struct checkpoint_files *files, const char *path, struct err *err)
{
    static const struct {
        const char *beside, *name, *why;
    } ranks[] = {
        {"mp_rank_00_model_states.pt", "mp_rank_01_model_states.pt",
         "the model is divided among ranks of tensor parallelism, of which one alone is read; convert it "
         "with DeepSpeed's or Megatron's tools"},
        {"mp_rank_00_model_states.pt", "layer_00-model_00-model_states.pt",
         "the model is divided into layers for pipeline parallelism; convert it with DeepSpeed's or "
         "Megatron's tools"},
        {"mp_rank_00_model_states.pt", "layer_01-model_00-model_states.pt",
         "the model is divided into layers for pipeline parallelism; convert it with DeepSpeed's or "
         "Megatron's tools"},
        {"mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_model_states.pt",
         "ZeRO's stage 3 divides the weights among the ranks; its zero_to_fp32.py makes files of it that are "
         "read, and so does stage3_gather_16bit_weights_on_model_save"},
        {"model_optim_rng.pt", "../mp_rank_01/model_optim_rng.pt",
         "the model is divided among ranks of tensor parallelism, of which one alone is read; its converter "
         "to Hugging Face's format makes files of it that are read"},
    };
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        const char *other_name = ranks[i].name;
        if (strcmp(name, ranks[i].beside) != 0)
            continue;
        char *other = strncmp(other_name, "../", 3) == 0 ? strdup(other_name + 3) : beside(path, other_name);
        if (!other)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        const int is_there = files->has(files->context, other);
        if (is_there)
            (void)err_set(err, ERR_UNSUPPORTED, "%.200s is there: %s", other, ranks[i].why);
        free(other);
        if (is_there)
            return err->code;
    }
    return 0;
}

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
    code = ranks_refuse(files, path, err);
    if (!code && !files->has(files->context, path))
        code = err_set(err, ERR_NOT_FOUND,
                       "no weights: latest is there, but %.200s is not, which it stands for", path);
    if (code)
        return code;
    *ret_path = strdup(path);
    return *ret_path ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
}
