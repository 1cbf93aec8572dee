#include "daemon/model/role.h"

#include <stdio.h>
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
    {"mamba", {"lm_head.weight", NULL}, {"backbone.embeddings.weight", "backbone.embedding.weight"}},
    {"rwkv", {"head.weight", NULL}, {"rwkv.embeddings.weight", "emb.weight"}},
    {"openlm", {"output.weight", NULL}, {"tok_embeddings.weight", NULL}},
    {"openelm", {"lm_head.weight", NULL}, {"transformer.token_embeddings.weight", NULL}},
    {"modernbert-decoder", {"decoder.weight", NULL}, {"model.embeddings.tok_embeddings.weight", NULL}},
    {"pico_decoder",
     {"pico_decoder.de_embedding_proj.weight", "de_embedding_proj.weight"},
     {"pico_decoder.embedding_proj.weight", "embedding_proj.weight"}},
    {"bert",
     {"cls.predictions.decoder.weight", NULL},
     {"bert.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight"}},
    {"roberta", {"lm_head.decoder.weight", NULL}, {"roberta.embeddings.word_embeddings.weight", NULL}},
    {"albert", {"predictions.decoder.weight", NULL}, {"albert.embeddings.word_embeddings.weight", NULL}},
    {"deberta", {"lm_head.decoder.weight", NULL}, {"deberta.embeddings.word_embeddings.weight", NULL}},
    {"distilbert", {"vocab_projector.weight", NULL}, {"distilbert.embeddings.word_embeddings.weight", NULL}},
    {"ltgbert",
     {"classifier.nonlinearity.5.weight", "classifier.emb2vocab.weight"},
     {"embedding.word_embedding.weight", NULL}},
    {"electra", {"generator_lm_head.weight", NULL}, {"electra.embeddings.word_embeddings.weight", NULL}},
    {"biogpt", {"output_projection.weight", NULL}, {"biogpt.embed_tokens.weight", NULL}},
    {"gpt_neox_japanese", {"embed_out.weight", NULL}, {"gpt_neox_japanese.embed_in.weight", NULL}},
    {"openai-gpt", {"lm_head.weight", NULL}, {"transformer.tokens_embed.weight", "tokens_embed.weight"}},
    {"nemotron_h", {"lm_head.weight", NULL}, {"backbone.embeddings.weight", "model.embeddings.weight"}},
    {"t5", {"lm_head.weight", NULL}, {"shared.weight", "decoder.embed_tokens.weight"}}, /* and BART */
    /* Trainers' own names; of torchtitan, and Meta's, see openlm. */
    {"olmo_core", {"lm_head.w_out.weight", NULL}, {"embeddings.weight", NULL}},
    {"megatron",
     {"output_layer.weight", "word_embeddings_for_head.weight"},
     {"embedding.word_embeddings.weight", NULL}},
    {"neox",
     {"final_linear.weight", NULL},
     {"word_embeddings.weight", NULL}}, /* GPT-NeoX, which trained Pythia */
};

#define FAMILY_COUNT (sizeof families / sizeof families[0])

/* What trainers, compilers and models of several parts put around a state dict; '#' is any number. */
static const char *const wrappers[] = {
    "state_dict.",
    "model_state_dict.",
    "model.",
    "module.",
    "language_model.",
    "_orig_mod.",
    "_forward_module.",
    "_fsdp_wrapped_module.",
    "app.",
    "state.", /* of torch's tutorials, of Composer */
    "sequential.#.",
    "model#.", /* layers of DeepSpeed's pipelines, Megatron's interleaved stages */
};

#define WRAPPER_COUNT (sizeof wrappers / sizeof wrappers[0])

/* How many of the bytes this wrapper takes; 0: they do not begin with it. */
static size_t wrapper_size(const char *wrapper, const char *bytes, size_t size)
{
    size_t at = 0;
    for (; *wrapper; wrapper++) {
        const size_t digits = strspn(bytes + at, "0123456789");
        if (*wrapper == '#' ? !digits : at >= size || bytes[at] != *wrapper)
            return 0;
        at += *wrapper == '#' ? digits : 1;
    }
    return at <= size ? at : 0;
}

/* Whether these bytes are wrappers, one inside of the other, and nothing else. */
static int are_wrappers(const char *bytes, size_t size)
{
    size_t i = 0;
    while (size && i < WRAPPER_COUNT) {
        const size_t length = wrapper_size(wrappers[i], bytes, size);
        bytes += length;
        size -= length;
        i = length ? 0 : i + 1;
    }
    return size == 0;
}

const char *model_role_find_name(const struct checkpoint *checkpoint, const char *name)
{
    const char *found = NULL;
    size_t size = strlen(name), count = checkpoint_name_count(checkpoint);
    for (size_t i = 0; i < count; i++) {
        const char *whole = checkpoint_name(checkpoint, i);
        size_t whole_size = strlen(whole);
        if (whole_size >= size && memcmp(whole + whole_size - size, name, size) == 0 &&
            are_wrappers(whole, whole_size - size) && (!found || whole_size < strlen(found)))
            found = whole;
    }
    return found;
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
            const char *found = model_role_find_name(checkpoint, names[j]);
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

/* Names the input embedding, which may be what the user wants, else names that sound like one or the other.
 */
static int refuse_unembedding(const struct model_config *config, const struct checkpoint *checkpoint,
                              struct err *err)
{
    static const char *const sounds[] = {"embed", "head", "output", "vocab", "wte"};
    const size_t count = checkpoint_name_count(checkpoint);
    const char *embedding = config->is_tied ? NULL : find(config, checkpoint, MODEL_ROLE_EMBEDDING);
    char others[300] = "";
    size_t told = 0;
    for (size_t i = 0; i < count && told < 3 && !embedding; i++) {
        const char *name = checkpoint_name(checkpoint, i);
        const size_t used = strlen(others);
        int is_like = 0;
        for (size_t j = 0; j < sizeof sounds / sizeof sounds[0]; j++)
            is_like |= strstr(name, sounds[j]) != NULL;
        if (is_like && strncmp(name, "optim", 5) != 0)
            (void)snprintf(others + used, sizeof others - used, "%s%.80s", told++ ? ", " : "", name);
    }
    if (embedding)
        return err_set(
            err, ERR_NOT_FOUND,
            "no unembedding: neither embed_out.weight nor lm_head.weight nor another known name is among the "
            "%zu "
            "tensors, and %s that it is tied to %.200s; if it is, name that as the tensor to measure",
            count, config->model_type[0] ? "config.json does not say" : "there is no config.json to say",
            embedding);
    return err_set(err, ERR_NOT_FOUND,
                   "no unembedding: neither embed_out.weight nor lm_head.weight is among the %zu tensors%s; "
                   "name the tensor that should be measured%s%s",
                   count, config->is_tied ? ", and no input embedding to which it could be tied" : "",
                   told ? ", such as " : "", others);
}

/* Its embeddings are those of a model that says of each token whether it was replaced. */
static int is_discriminator(const struct checkpoint *checkpoint)
{
    return model_role_find_name(checkpoint, "discriminator_predictions.dense.weight") &&
           !model_role_find_name(checkpoint, "generator_lm_head.bias");
}

int model_role_find(const struct model_config *config, const struct checkpoint *checkpoint,
                    enum model_role role, const char **ret_name, struct err *err)
{
    const char *found = find(config, checkpoint, role);
    if (!found && role == MODEL_ROLE_UNEMBEDDING && is_discriminator(checkpoint))
        return err_set(err, ERR_NOT_FOUND,
                       "no unembedding: this is Electra's discriminator, which says of each token whether it "
                       "was replaced, and predicts none; name the tensor that should be measured, such as "
                       "electra.embeddings.word_embeddings.weight");
    if (!found && role == MODEL_ROLE_UNEMBEDDING && config->is_tied)
        found = find(config, checkpoint, MODEL_ROLE_EMBEDDING);
    if (found) {
        *ret_name = found;
        return 0;
    }
    if (role == MODEL_ROLE_UNEMBEDDING)
        return refuse_unembedding(config, checkpoint, err);
    return err_set(err, ERR_NOT_FOUND, "no input embedding is among the %zu tensors",
                   checkpoint_name_count(checkpoint));
}
