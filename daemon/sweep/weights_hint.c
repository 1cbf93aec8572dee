#include "daemon/sweep/weights_hint.h"

#include "daemon/base/local_name.h"
#include "daemon/base/name_rule.h"
#include "daemon/base/revision_place.h"
#include "daemon/base/weight_layout.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

/* What a file of this name means, the surest first. */
static const struct {
    const char *path; /* of a file anywhere in the tree, as fnmatch has it: '*' goes over '/' */
    const char *meaning;
} forms[] = {
    {"*.distcp",
     "a checkpoint of torch.distributed.checkpoint without its .metadata, which is written last, or with it "
     "in "
     "a folder whose name is not known; it is read where .metadata lies at the top, or in model_and_optim, "
     "pytorch_model_fsdp_0 or weights"},
    {"*zero_pp_rank_*_model_states.pt",
     "a checkpoint of DeepSpeed whose stage 3 divides the weights among the ranks; its "
     "zero_to_fp32.py makes files of it that are read"},
    {"*model_states.pt",
     "a checkpoint of DeepSpeed, which is read where mp_rank_00_model_states.pt is there, at the top or in "
     "the folder that \"latest\" names"},
    {"*mp_rank_*",
     "a checkpoint of Megatron, which is read where mp_rank_00 or mp_rank_00_000 is there; its converter to "
     "Hugging Face's format makes files of others that are read"},
    {"*consolidated*.pth", "a checkpoint in Meta's own format; transformers' convert_llama_weights_to_hf.py "
                           "makes files of it that are read"},
    {"*consolidated*.safetensors", "a checkpoint in Mistral's own format; transformers' "
                                   "convert_mistral_weights_to_hf.py makes files of it that are read"},
    {"*adapter_model.*", "an adapter without its model; merge it into that (merge_and_unload of PEFT), save "
                         "it, and sweep the result"},
    {"*-of-[0-9]*.safetensors", "shards without their index; save_pretrained of transformers writes both"},
    {"*-of-[0-9]*.bin", "shards without their index; save_pretrained of transformers writes both"},
    {"*.gguf", "weights in a format that is not read; save them with save_pretrained of transformers"},
    {"*.msgpack", "weights in a format that is not read; save them with save_pretrained of transformers"},
    {"*.h5", "weights in a format that is not read; save them with save_pretrained of transformers"},
    {"*.safetensors", "weights under another name; call the file model.safetensors"},
    {"*.pt", "weights of torch under another name; save the state dict as pytorch_model.bin"},
    {"*.pth", "weights of torch under another name; save the state dict as pytorch_model.bin"},
    {"*.ckpt", "weights of torch under another name; save the state dict as pytorch_model.bin"},
};

/* Whether this file would be read first if it did not lie in a folder; *ret_size is of the folder's path. */
static int is_in_subfolder(const char *path, size_t *ret_size)
{
    return weight_layout_is_first(path, ret_size) && *ret_size > 0;
}

/* The rule that sweeps folders beside this one: its last number is where the step stands. Returns 0 where a
 * rule cannot say the place. */
static int write_rule(const char *revision, const char *folder, size_t size, char rule[NAME_RULE_SIZE])
{
    static const char digits[] = "0123456789";
    struct revision_place place;
    struct err ignored = ERR_INIT;
    size_t end = size, begin;
    if (revision_place_read(NULL, revision, &place, &ignored) ||
        (place.kind != REVISION_PLACE_REF && place.kind != REVISION_PLACE_FOLDER))
        return 0;
    while (end && folder[end - 1] != '/' && !strchr(digits, folder[end - 1]))
        end--;
    begin = end;
    while (begin && strchr(digits, folder[begin - 1]))
        begin--;
    if (begin == end)
        begin = end = size;
    int written = snprintf(rule, NAME_RULE_SIZE, "%s%c%.*s%s%.*s", revision,
                           place.kind == REVISION_PLACE_REF ? ':' : '/', (int)begin, folder,
                           begin == size ? "-{step}" : "{step}", (int)(size - end), folder + end);
    return written > 0 && written <= LIMIT_REVISION_NAME_BYTES;
}

static void say_rule(const char *revision, const char *folder, size_t size, const char *others,
                     struct err *err)
{
    char rule[NAME_RULE_SIZE];
    const int shown = (int)(size > 100 ? 100 : size);
    if (write_rule(revision, folder, size, rule))
        (void)err_set(
            err, err->code,
            "its checkpoints are in subfolders (%.*s%s): a rule says where the step stands in their "
            "names, such as --rule '%s'",
            shown, folder, others, rule);
    else
        (void)err_set(err, err->code, "its checkpoints are in subfolders (%.*s%s)", shown, folder, others);
}

/* Checkpoints in subfolders of one revision. The tree is in order of paths, so that files of a folder are
 * neighbours, but for its own subfolders. */
int weights_hint_name_subfolders(const char *model, const char *revision, const struct repository_tree *tree,
                                 struct err *err)
{
    const char *first = NULL, *last = NULL;
    size_t first_size = 0, last_size = 0, count = 0;
    for (size_t i = 0; i < tree->count; i++) {
        const char *path = tree->files[i].path;
        size_t size = 0;
        if (!is_in_subfolder(path, &size) || (last && size == last_size && memcmp(last, path, size) == 0))
            continue;
        if (!first) {
            first = path;
            first_size = size;
        }
        last = path;
        last_size = size;
        count++;
    }
    if (!first)
        return 0;
    char others[64] = "";
    if (count > 1)
        (void)snprintf(others, sizeof others, " and %zu more", count - 1);
    if (local_name_is(model))
        (void)err_set(err, err->code,
                      "its checkpoints are in subfolders (%.*s%s); sweep the folder that holds these",
                      (int)(first_size > 100 ? 100 : first_size), first, others);
    else
        say_rule(revision, first, first_size, others, err);
    return 1;
}

void weights_hint_add(const char *model, const char *revision, const struct repository_tree *tree,
                      struct err *err)
{
    if (weights_hint_name_subfolders(model, revision, tree, err))
        return;
    for (size_t form = 0; form < sizeof forms / sizeof forms[0]; form++) {
        for (size_t i = 0; i < tree->count; i++) {
            if (fnmatch(forms[form].path, tree->files[i].path, 0) != 0)
                continue;
            (void)err_set(err, err->code, "no weights: %.100s is %s%s", tree->files[i].path,
                          strncmp(forms[form].meaning, "a", 1) == 0 ? "of " : "", forms[form].meaning);
            return;
        }
    }
    if (tree->count == 0)
        (void)err_set(err, err->code, "no weights: it has no files");
}
