#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"
#include "daemon/model/role.h"
#include "tests/tools/one_file.h"

#include <string.h>

/* A checkpoint of empty tensors of these names (separated by spaces). */
static struct checkpoint *checkpoint_of(const char *names, struct buf *file)
{
    struct buf header;
    struct source *source = NULL;
    struct checkpoint *checkpoint = NULL;
    struct err err = ERR_INIT;
    buf_init(&header, MIB);
    buf_init(file, MIB);
    (void)buf_append_text(&header, "{\"other\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}");
    while (*names) {
        size_t length = strcspn(names, " ");
        (void)buf_appendf(&header, ",\"%.*s\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                          (int)length, names);
        names += length + (names[length] == ' ');
    }
    (void)buf_append_text(&header, "}");
    for (int i = 0; i < 8; i++)
        (void)buf_append_char(file, (char)(header.size >> (8 * i)));
    (void)buf_append(file, header.data, header.size);
    buf_free(&header);
    assert_int_equal(source_open_memory("x", file->data, file->size, &source, &err), 0);
    if (one_file_open("model.safetensors", source, &checkpoint, &err))
        fail_msg("%s", err.message);
    return checkpoint;
}

static const struct {
    const char *model_type;
    int is_tied;
    const char *names;
    enum model_role role;
    const char *expected; /* NULL: not found */
} cases[] = {
    {"gpt_neox", 0, "gpt_neox.embed_in.weight embed_out.weight", MODEL_ROLE_UNEMBEDDING, "embed_out.weight"},
    {"gpt_neox", 0, "gpt_neox.embed_in.weight embed_out.weight", MODEL_ROLE_EMBEDDING,
     "gpt_neox.embed_in.weight"},
    {"gpt_neox", 0, "gpt_neox.embed_in.weight", MODEL_ROLE_UNEMBEDDING, NULL},
    {"gpt_neox", 1, "gpt_neox.embed_in.weight", MODEL_ROLE_UNEMBEDDING, "gpt_neox.embed_in.weight"},
    {"gpt_neox", 1, "gpt_neox.embed_in.weight embed_out.weight", MODEL_ROLE_UNEMBEDDING, "embed_out.weight"},
    {"llama", 0, "lm_head.weight model.embed_tokens.weight", MODEL_ROLE_UNEMBEDDING, "lm_head.weight"},
    {"llama", 1, "model.embed_tokens.weight", MODEL_ROLE_UNEMBEDDING, "model.embed_tokens.weight"},
    {"gpt2", 1, "wte.weight", MODEL_ROLE_UNEMBEDDING, "wte.weight"},
    {"gpt2", 1, "transformer.wte.weight", MODEL_ROLE_EMBEDDING, "transformer.wte.weight"},
    {"bloom", 1, "word_embeddings.weight", MODEL_ROLE_UNEMBEDDING, "word_embeddings.weight"},
    {"unheard_of", 0, "lm_head.weight", MODEL_ROLE_UNEMBEDDING, "lm_head.weight"},
    {"gpt_neox", 0, "state_dict.embed_out.weight", MODEL_ROLE_UNEMBEDDING, "state_dict.embed_out.weight"},
    {"gpt_neox", 0, "module.embed_out.weight", MODEL_ROLE_UNEMBEDDING, "module.embed_out.weight"},
    {"gpt_neox", 0, "xembed_out.weight", MODEL_ROLE_UNEMBEDDING, NULL},
    {"gpt2", 1, "ema._orig_mod.lm_head.weight model._orig_mod.lm_head.weight", MODEL_ROLE_UNEMBEDDING,
     "model._orig_mod.lm_head.weight"},
    {"llama", 0, "_orig_mod.lm_head.weight _orig_mod.model.embed_tokens.weight", MODEL_ROLE_EMBEDDING,
     "_orig_mod.model.embed_tokens.weight"},
    {"llama", 0, "state_dict.model.lm_head.weight state_dict.model.model.embed_tokens.weight",
     MODEL_ROLE_UNEMBEDDING, "state_dict.model.lm_head.weight"},
    {"llama", 0, "model.module.lm_head.weight module.lm_head.weight", MODEL_ROLE_UNEMBEDDING,
     "module.lm_head.weight"},
    {"llama", 0, "lm_head.weight.module.lm_head.weight optimizer.lm_head.weight", MODEL_ROLE_UNEMBEDDING,
     NULL},
    {"gemma3", 1, "language_model.model.embed_tokens.weight", MODEL_ROLE_UNEMBEDDING,
     "language_model.model.embed_tokens.weight"},
    {"mamba", 1, "backbone.embeddings.weight", MODEL_ROLE_UNEMBEDDING, "backbone.embeddings.weight"},
    {"modernbert-decoder", 1, "decoder.bias model.embeddings.tok_embeddings.weight", MODEL_ROLE_UNEMBEDDING,
     "model.embeddings.tok_embeddings.weight"},
    {"rwkv", 0, "head.weight rwkv.embeddings.weight", MODEL_ROLE_UNEMBEDDING, "head.weight"},
    {"openlm", 0, "model.output.weight model.tok_embeddings.weight", MODEL_ROLE_UNEMBEDDING,
     "model.output.weight"},
    {"apertus", 0, "lm_head.weight model.embed_tokens.weight", MODEL_ROLE_EMBEDDING,
     "model.embed_tokens.weight"},
    {"electra", 1, "electra.embeddings.word_embeddings.weight generator_lm_head.bias", MODEL_ROLE_UNEMBEDDING,
     "electra.embeddings.word_embeddings.weight"},
    /* both in one file, as it is trained */
    {"electra", 1,
     "electra.embeddings.word_embeddings.weight generator_lm_head.bias "
     "discriminator_predictions.dense.weight",
     MODEL_ROLE_UNEMBEDDING, "electra.embeddings.word_embeddings.weight"},
    {"biogpt", 1, "biogpt.embed_tokens.weight biogpt.embed_positions.weight", MODEL_ROLE_UNEMBEDDING,
     "biogpt.embed_tokens.weight"},
    {"gpt_neox_japanese", 1, "gpt_neox_japanese.embed_in.weight", MODEL_ROLE_UNEMBEDDING,
     "gpt_neox_japanese.embed_in.weight"},
    {"openai-gpt", 1, "tokens_embed.weight positions_embed.weight", MODEL_ROLE_UNEMBEDDING,
     "tokens_embed.weight"},
    {"nemotron_h", 0, "backbone.embeddings.weight lm_head.weight", MODEL_ROLE_EMBEDDING,
     "backbone.embeddings.weight"},
    {"baichuan", 0, "lm_head.weight model.embed_tokens.weight", MODEL_ROLE_UNEMBEDDING, "lm_head.weight"},
    {"crystalcoder", 0, "lm_head.weight transformer.wte.weight", MODEL_ROLE_UNEMBEDDING, "lm_head.weight"},
    {"pico_decoder", 0, "pico_decoder.embedding_proj.weight pico_decoder.de_embedding_proj.weight",
     MODEL_ROLE_UNEMBEDDING, "pico_decoder.de_embedding_proj.weight"},
    {"pico_decoder", 0, "pico_decoder.embedding_proj.weight pico_decoder.de_embedding_proj.weight",
     MODEL_ROLE_EMBEDDING, "pico_decoder.embedding_proj.weight"},
    /* MultiBERTs, and a BERT without its head */
    {"bert", 1, "bert.embeddings.word_embeddings.weight cls.predictions.decoder.weight",
     MODEL_ROLE_UNEMBEDDING, "cls.predictions.decoder.weight"},
    {"bert", 1, "bert.embeddings.word_embeddings.weight cls.predictions.bias", MODEL_ROLE_UNEMBEDDING,
     "bert.embeddings.word_embeddings.weight"},
    {"bert", 1, "embeddings.word_embeddings.weight", MODEL_ROLE_UNEMBEDDING,
     "embeddings.word_embeddings.weight"},
    {"roberta", 1, "roberta.embeddings.word_embeddings.weight lm_head.decoder.weight lm_head.dense.weight",
     MODEL_ROLE_UNEMBEDDING, "lm_head.decoder.weight"},
    {"xlm-roberta", 1, "roberta.embeddings.word_embeddings.weight lm_head.dense.weight",
     MODEL_ROLE_UNEMBEDDING, "roberta.embeddings.word_embeddings.weight"},
    {"albert", 1, "albert.embeddings.word_embeddings.weight predictions.decoder.weight",
     MODEL_ROLE_UNEMBEDDING, "predictions.decoder.weight"},
    {"albert", 1, "albert.embeddings.word_embeddings.weight predictions.dense.weight", MODEL_ROLE_UNEMBEDDING,
     "albert.embeddings.word_embeddings.weight"},
    {"deberta-v2", 1, "deberta.embeddings.word_embeddings.weight cls.predictions.bias",
     MODEL_ROLE_UNEMBEDDING, "deberta.embeddings.word_embeddings.weight"},
    {"deberta", 1, "deberta.embeddings.word_embeddings.weight cls.predictions.decoder.weight",
     MODEL_ROLE_UNEMBEDDING, "cls.predictions.decoder.weight"},
    {"distilbert", 1, "distilbert.embeddings.word_embeddings.weight vocab_projector.weight",
     MODEL_ROLE_UNEMBEDDING, "vocab_projector.weight"},
    {"distilbert", 1, "distilbert.embeddings.word_embeddings.weight vocab_transform.weight",
     MODEL_ROLE_UNEMBEDDING, "distilbert.embeddings.word_embeddings.weight"},
    {"modernbert", 1, "decoder.bias head.dense.weight model.embeddings.tok_embeddings.weight",
     MODEL_ROLE_UNEMBEDDING, "model.embeddings.tok_embeddings.weight"},
    {"bart", 1, "model.shared.weight model.encoder.embed_tokens.weight", MODEL_ROLE_UNEMBEDDING,
     "model.shared.weight"},
    /* HPLT's and NorBERT's, and BabyLM's GPT-BERT */
    {"ltgbert", 0, "embedding.word_embedding.weight classifier.nonlinearity.5.weight", MODEL_ROLE_UNEMBEDDING,
     "classifier.nonlinearity.5.weight"},
    {"gpt_bert", 0,
     "embedding.word_embedding.weight classifier.emb2vocab.weight classifier.projection.weight",
     MODEL_ROLE_UNEMBEDDING, "classifier.emb2vocab.weight"},
    {"gpt_bert", 1, "embedding.word_embedding.weight classifier.projection.weight", MODEL_ROLE_UNEMBEDDING,
     "embedding.word_embedding.weight"},
    {"", 0, "model.embedding.word_embedding.weight model.classifier.nonlinearity.5.weight",
     MODEL_ROLE_EMBEDDING, "model.embedding.word_embedding.weight"},
    {"gpt_neox", 1, "", MODEL_ROLE_EMBEDDING, NULL},
    /* trainers' own names: torchtitan, OLMo-core, Megatron, torch's tutorials, Composer */
    {"", 0, "tok_embeddings.weight output.weight optimizer.state.output.weight.exp_avg",
     MODEL_ROLE_UNEMBEDDING, "output.weight"},
    {"", 0, "model.embeddings.weight model.lm_head.w_out.weight model.lm_head.norm.weight",
     MODEL_ROLE_UNEMBEDDING, "model.lm_head.w_out.weight"},
    {"", 0, "model.language_model.output_layer.weight", MODEL_ROLE_UNEMBEDDING,
     "model.language_model.output_layer.weight"},
    {"", 0, "module.embedding.word_embeddings.weight", MODEL_ROLE_EMBEDDING,
     "module.embedding.word_embeddings.weight"},
    {"", 0, "module.embedding.word_embeddings.weight", MODEL_ROLE_UNEMBEDDING, NULL},
    {"", 0, "app.model.lm_head.weight app.optim.lm_head.weight", MODEL_ROLE_UNEMBEDDING,
     "app.model.lm_head.weight"},
    {"", 0, "state.model.model.lm_head.weight", MODEL_ROLE_UNEMBEDDING, "state.model.model.lm_head.weight"},
    /* layers by their number, as DeepSpeed's pipelines have them, and interleaved stages */
    {"", 0, "sequential.0.word_embeddings.weight sequential.16.final_linear.weight", MODEL_ROLE_UNEMBEDDING,
     "sequential.16.final_linear.weight"},
    {"", 0, "module.sequential.0.word_embeddings.weight", MODEL_ROLE_EMBEDDING,
     "module.sequential.0.word_embeddings.weight"},
    {"", 0, "model1.output_layer.weight model0.embedding.word_embeddings.weight", MODEL_ROLE_UNEMBEDDING,
     "model1.output_layer.weight"},
    {"", 0, "embedding.word_embeddings.weight model.word_embeddings_for_head.weight", MODEL_ROLE_UNEMBEDDING,
     "model.word_embeddings_for_head.weight"},
    {"", 0, "sequential.final_linear.weight sequential..final_linear.weight sequential.1",
     MODEL_ROLE_UNEMBEDDING, NULL},
};

/* Who finds no unembedding is told what there is. */
static void test_what_is_told_instead(void **state)
{
    static const struct {
        const char *model_type;
        int is_tied;
        const char *names, *says;
    } told[] = {
        {"", 0, "module.embedding.word_embeddings.weight",
         "there is no config.json to say that it is tied to module.embedding.word_embeddings.weight"},
        {"llama", 0, "model.embed_tokens.weight",
         "config.json does not say that it is tied to model.embed_tokens.weight"},
        {"", 0, "vocab.table optimizer.head layers.0", "that should be measured, such as vocab.table"},
        {"electra", 1,
         "electra.embeddings.word_embeddings.weight discriminator_predictions.dense.weight "
         "discriminator_predictions.dense_prediction.weight",
         "Electra's discriminator"},
        {"", 1, "layers.0",
         "no input embedding to which it could be tied; name the tensor that should be measured"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        struct model_config config = {.is_tied = told[i].is_tied};
        struct buf file;
        struct err err = ERR_INIT;
        const char *name = NULL;
        struct checkpoint *checkpoint = checkpoint_of(told[i].names, &file);
        memcpy(config.model_type, told[i].model_type, strlen(told[i].model_type) + 1);
        assert_int_equal(model_role_find(&config, checkpoint, MODEL_ROLE_UNEMBEDDING, &name, &err),
                         ERR_NOT_FOUND);
        if (!strstr(err.message, told[i].says) || strstr(err.message, "optimizer.head"))
            fail_msg("%s", err.message);
        checkpoint_close(checkpoint);
        buf_free(&file);
    }
}

static void test_roles(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_config config = {.is_tied = cases[i].is_tied};
        struct buf file;
        struct err err = ERR_INIT;
        const char *name = NULL;
        struct checkpoint *checkpoint = checkpoint_of(cases[i].names, &file);
        memcpy(config.model_type, cases[i].model_type, strlen(cases[i].model_type) + 1);
        int code = model_role_find(&config, checkpoint, cases[i].role, &name, &err);
        assert_int_equal(code, cases[i].expected ? 0 : ERR_NOT_FOUND);
        if (cases[i].expected)
            assert_string_equal(name, cases[i].expected);
        else
            assert_null(name);
        checkpoint_close(checkpoint);
        buf_free(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_roles),
                                       cmocka_unit_test(test_what_is_told_instead)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
