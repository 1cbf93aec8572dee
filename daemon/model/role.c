#include "daemon/model/role.h"

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"

#include <string.h>

/* Where each family keeps its embeddings; of several names, the first that is there. */
static const struct family {
    const char *model_type;
    const char *unembedding[2];
    const char *embedding[2];
} families[] = {
    {"gpt_neox", {"embed_out.weight", NULL}, {"gpt_neox.embed_in.weight", "embed_in.weight"}},
    {"llama", {"lm_head.weight", NULL}, {"model.embed_tokens.weight", "embed_tokens.weight"}},
    {"gpt2", {"lm_head.weight", NULL}, {"transformer.wte.weight", "wte.weight"}},
    {"bloom", {"lm_head.weight", NULL}, {"transformer.word_embeddings.weight", "word_embeddings.weight"}},
    {"opt", {"lm_head.weight", NULL}, {"model.decoder.embed_tokens.weight", "decoder.embed_tokens.weight"}},
    {"hf_olmo", {"model.transformer.ff_out.weight", NULL}, {"model.transformer.wte.weight", NULL}},
};

#define FAMILY_COUNT (sizeof families / sizeof families[0])

/* What trainers put around a state dict. */
static const char *const wrappers[] = {"", "state_dict.", "model.", "module.", "model_state_dict."};

#define WRAPPER_COUNT (sizeof wrappers / sizeof wrappers[0])

/* The checkpoint's own copy of a name that stands in it, behind a wrapper or not; else NULL. */
static const char *find_name(const struct checkpoint *checkpoint, const char *name)
{
    for (size_t i = 0; i < WRAPPER_COUNT; i++) {
        struct buf whole;
        const char *found = NULL;
        buf_init(&whole, LIMIT_TENSOR_NAME_BYTES);
        (void)buf_appendf(&whole, "%s%s", wrappers[i], name);
        size_t low = 0, high = checkpoint_name_count(checkpoint);
        while (low < high && !found) {
            size_t middle = low + (high - low) / 2;
            int order = strcmp(checkpoint_name(checkpoint, middle), buf_text(&whole));
            if (order == 0)
                found = checkpoint_name(checkpoint, middle);
            else if (order < 0)
                low = middle + 1;
            else
                high = middle;
        }
        buf_free(&whole);
        if (found)
            return found;
    }
    return NULL;
}

/* Looks through the family of this model_type (only_own) or through all of them. */
static const char *find_in_families(const struct model_config *config, const struct checkpoint *checkpoint,
                                    enum model_role role, int only_own)
{
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        const char *const *names =
            role == MODEL_ROLE_UNEMBEDDING ? families[i].unembedding : families[i].embedding;
        if (only_own && strcmp(families[i].model_type, config->model_type) != 0)
            continue;
        for (size_t j = 0; j < 2 && names[j]; j++) {
            const char *found = find_name(checkpoint, names[j]);
            if (found)
                return found;
        }
    }
    return NULL;
}

static const char *find(const struct model_config *config, const struct checkpoint *checkpoint,
                        enum model_role role)
{
    const char *found = find_in_families(config, checkpoint, role, 1);
    return found ? found : find_in_families(config, checkpoint, role, 0);
}

int model_role_find(const struct model_config *config, const struct checkpoint *checkpoint,
                    enum model_role role, const char **ret_name, struct err *err)
{
    const char *found = find(config, checkpoint, role);
    if (!found && role == MODEL_ROLE_UNEMBEDDING && config->is_tied)
        found = find(config, checkpoint, MODEL_ROLE_EMBEDDING);
    if (found) {
        *ret_name = found;
        return 0;
    }
    if (role == MODEL_ROLE_UNEMBEDDING)
        return err_set(
            err, ERR_NOT_FOUND,
            "no unembedding: neither embed_out.weight nor lm_head.weight is among the %zu tensors%s; "
            "name the tensor that should be measured",
            checkpoint_name_count(checkpoint),
            config->is_tied ? ", and no input embedding to which it could be tied" : "");
    return err_set(err, ERR_NOT_FOUND, "no input embedding is among the %zu tensors",
                   checkpoint_name_count(checkpoint));
}
