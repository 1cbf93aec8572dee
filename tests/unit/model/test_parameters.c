/*
 * The number of parameters by the shapes in a checkpoint: against what is published of models of other
 * families, from headers of their true shapes, and against config.json's formula for GPT-NeoX.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/base/buf.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/model/config_scoring.h"
#include "daemon/model/parameters.h"
#include "daemon/model/role.h"
#include "tests/tools/one_file.h"
#include "tests/unit/checkpoint/bytes.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH "parameters.safetensors"

/* "h.%d.attn.c_attn.weight F32 768 2304; ..." with %d for each layer: a file with that header, and as long as
 * it says, of which nothing is written. */
static void append_tensors(struct buf *header, const char *tensors, int layers, uint64_t *offset)
{
    for (const char *at = tensors; *at;) {
        size_t length = strcspn(at, ";");
        char line[200], name[160], dtype[16], shape[64] = "";
        (void)snprintf(line, sizeof line, "%.*s", (int)length, at);
        at += length + (at[length] == ';');
        int used = 0;
        assert_int_equal(sscanf(line, " %159s %15s%n", name, dtype, &used), 2);
        uint64_t size = strcmp(dtype, "F32") == 0 || strcmp(dtype, "I32") == 0   ? 4
                        : strcmp(dtype, "I64") == 0                              ? 8
                        : strcmp(dtype, "U8") == 0 || strcmp(dtype, "BOOL") == 0 ? 1
                                                                                 : 2;
        size_t filled = 0;
        for (const char *word = line + used; word += strspn(word, " "), *word; word += strcspn(word, " ")) {
            filled += (size_t)snprintf(shape + filled, sizeof shape - filled, "%s%.*s", filled ? "," : "",
                                       (int)strcspn(word, " "), word);
            size *= strtoull(word, NULL, 10);
        }
        const char *number = strstr(name, "%d");
        for (int layer = 0; layer < (number ? layers : 1); layer++) {
            (void)buf_appendf(header, "%s\"%.*s", header->size > 1 ? "," : "",
                              (int)(number ? number - name : (ptrdiff_t)strlen(name)), name);
            if (number)
                (void)buf_appendf(header, "%d%s", layer, number + 2);
            (void)buf_appendf(
                header, "\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
                dtype, shape, *offset, *offset + size);
            *offset += size;
        }
    }
}

static struct checkpoint *open_checkpoint(const char *tensors, int layers)
{
    struct buf header;
    struct source *source = NULL;
    struct checkpoint *checkpoint = NULL;
    struct err err = ERR_INIT;
    unsigned char prefix[8];
    uint64_t size = 0;
    buf_init(&header, 16 * MIB);
    (void)buf_append_char(&header, '{');
    append_tensors(&header, tensors, layers, &size);
    (void)buf_append_char(&header, '}');
    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)(header.size >> (8 * i));
    int fd = open(PATH, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, prefix, sizeof prefix), sizeof prefix);
    assert_int_equal(write(fd, header.data, header.size), header.size);
    assert_int_equal(ftruncate(fd, (off_t)(sizeof prefix + header.size + size)), 0);
    assert_int_equal(close(fd), 0);
    buf_free(&header);
    assert_int_equal(source_open_file(PATH, &source, &err), 0);
    assert_int_equal(unlink(PATH), 0);
    if (one_file_open("model.safetensors", source, &checkpoint, &err))
        fail_msg("%s", err.message);
    return checkpoint;
}

static int count(const char *config_json, const char *tensors, int layers, uint64_t *ret_count,
                 struct err *err)
{
    struct model_config config;
    const char *unembedding = NULL;
    struct checkpoint *checkpoint = open_checkpoint(tensors, layers);
    assert_int_equal(model_config_parse(config_json, strlen(config_json), &config, err), 0);
    if (model_role_find(&config, checkpoint, MODEL_ROLE_UNEMBEDDING, &unembedding, err))
        fail_msg("%s", err->message);
    int code = model_parameters_count(&config, checkpoint, unembedding, ret_count, err);
    checkpoint_close(checkpoint);
    return code;
}

static void check(const char *config_json, const char *tensors, int layers, uint64_t expected)
{
    struct err err = ERR_INIT;
    uint64_t found = 0;
    if (count(config_json, tensors, layers, &found, &err))
        fail_msg("%s: %s", config_json, err.message);
    if (found != expected)
        fail_msg("%s: %" PRIu64 " instead of %" PRIu64, config_json, found, expected);
}

#define GPT2_LAYER                                                                                           \
    "h.%d.ln_1.weight F32 768;h.%d.ln_1.bias F32 768;h.%d.attn.c_attn.weight F32 768 2304;"                  \
    "h.%d.attn.c_attn.bias F32 2304;h.%d.attn.c_proj.weight F32 768 768;h.%d.attn.c_proj.bias F32 768;"      \
    "h.%d.ln_2.weight F32 768;h.%d.ln_2.bias F32 768;h.%d.mlp.c_fc.weight F32 768 3072;"                     \
    "h.%d.mlp.c_fc.bias F32 3072;h.%d.mlp.c_proj.weight F32 3072 768;h.%d.mlp.c_proj.bias F32 768;"
#define GPT2_REST "wte.weight F32 50257 768;wpe.weight F32 1024 768;ln_f.weight F32 768;ln_f.bias F32 768"

/* As their papers, model cards and transformers' num_parameters() have it. */
static void test_published(void **state)
{
    (void)state;
    /* GPT-2 small, 124 M, whose file has its causal masks */
    check("{\"model_type\":\"gpt2\"}",
          GPT2_LAYER GPT2_REST ";h.%d.attn.bias F32 1 1 1024 1024;h.%d.attn.masked_bias F32", 12, 124439808);
    check("{\"model_type\":\"gpt2\"}", GPT2_LAYER GPT2_REST ";h.%d.attn.bias BOOL 1 1 1024 1024", 12,
          124439808);
    /* the same with its unembedding stored once more */
    check("{\"model_type\":\"gpt2\"}", GPT2_LAYER GPT2_REST ";lm_head.weight F32 50257 768", 12, 124439808);
    check("{\"model_type\":\"gpt2\",\"tie_word_embeddings\":false}",
          GPT2_LAYER GPT2_REST ";lm_head.weight F32 50257 768", 12, 124439808 + 50257 * 768);
    /* OLMo-1B: tied, no biases, norms without parameters */
    check("{\"model_type\":\"hf_olmo\",\"tie_word_embeddings\":true}",
          "model.transformer.wte.weight F32 50304 2048;model.transformer.blocks.%d.att_proj.weight F32 6144 "
          "2048;"
          "model.transformer.blocks.%d.attn_out.weight F32 2048 2048;"
          "model.transformer.blocks.%d.ff_proj.weight F32 16384 2048;"
          "model.transformer.blocks.%d.ff_out.weight F32 2048 8192",
          16, 1176764416);
    /* Llama-2-7B, with the rotary frequencies of old files */
    check(
        "{\"model_type\":\"llama\"}",
        "model.embed_tokens.weight F16 32000 4096;lm_head.weight F16 32000 4096;model.norm.weight F16 4096;"
        "model.layers.%d.self_attn.q_proj.weight F16 4096 4096;model.layers.%d.self_attn.k_proj.weight F16 "
        "4096 4096;"
        "model.layers.%d.self_attn.v_proj.weight F16 4096 4096;model.layers.%d.self_attn.o_proj.weight F16 "
        "4096 4096;"
        "model.layers.%d.mlp.gate_proj.weight F16 11008 4096;model.layers.%d.mlp.up_proj.weight F16 11008 "
        "4096;"
        "model.layers.%d.mlp.down_proj.weight F16 4096 11008;model.layers.%d.input_layernorm.weight F16 4096;"
        "model.layers.%d.post_attention_layernorm.weight F16 "
        "4096;model.layers.%d.self_attn.rotary_emb.inv_freq F32 64",
        32, 6738415616);
}

/* Pythia-70m's file, with its buffers, has the number that config.json's formula gives: 70,426,624. */
static void test_neox(void **state)
{
    static const char config_json[] =
        "{\"model_type\":\"gpt_neox\",\"vocab_size\":50304,\"hidden_size\":512,\"num_hidden_layers\":6,"
        "\"num_attention_heads\":8,\"intermediate_size\":2048,\"tie_word_embeddings\":false}";
    struct model_config config;
    struct err err = ERR_INIT;
    uint64_t formula = 0;
    (void)state;
    assert_int_equal(model_config_parse(config_json, strlen(config_json), &config, &err), 0);
    assert_int_equal(model_config_parameter_count(&config, &formula, &err), 0);
    assert_int_equal(formula, 70426624);
    check(config_json,
          "gpt_neox.embed_in.weight F16 50304 512;embed_out.weight F16 50304 512;"
          "gpt_neox.final_layer_norm.weight F16 512;gpt_neox.final_layer_norm.bias F16 512;"
          "gpt_neox.layers.%d.input_layernorm.weight F16 512;gpt_neox.layers.%d.input_layernorm.bias F16 512;"
          "gpt_neox.layers.%d.post_attention_layernorm.weight F16 512;"
          "gpt_neox.layers.%d.post_attention_layernorm.bias F16 512;"
          "gpt_neox.layers.%d.attention.query_key_value.weight F16 1536 512;"
          "gpt_neox.layers.%d.attention.query_key_value.bias F16 1536;"
          "gpt_neox.layers.%d.attention.dense.weight F16 512 512;gpt_neox.layers.%d.attention.dense.bias F16 "
          "512;"
          "gpt_neox.layers.%d.mlp.dense_h_to_4h.weight F16 2048 "
          "512;gpt_neox.layers.%d.mlp.dense_h_to_4h.bias F16 2048;"
          "gpt_neox.layers.%d.mlp.dense_4h_to_h.weight F16 512 "
          "2048;gpt_neox.layers.%d.mlp.dense_4h_to_h.bias F16 512;"
          "gpt_neox.layers.%d.attention.bias U8 1 1 2048 2048;gpt_neox.layers.%d.attention.masked_bias F16;"
          "gpt_neox.layers.%d.attention.rotary_emb.inv_freq F16 8",
          6, formula);
}

static void test_what_counts(void **state)
{
    struct err err = ERR_INIT;
    uint64_t found = 0;
    (void)state;
    /* a bias of another family that is called as a mask is */
    check("{}", "lm_head.weight F32 10 4;block.attn.bias F32 12;block.attention.bias F32 3 4", 1,
          40 + 12 + 12);
    /* a trainer's file: the model behind its wrapper, an optimizer beside it */
    check("{}",
          "model_state_dict.lm_head.weight F32 10 4;model_state_dict.norm.weight F32 4;ema.norm.weight F32 4;"
          "optimizer_state_dict.state.0.exp_avg F32 10 4",
          1, 44);
    check("{}", "lm_head.weight F32 10 4;norm.weight F32 4;optimizer.state.0.exp_avg F32 10 4;optim.step I64",
          1, 44);
    /* of torchtitan, Megatron Core and Composer */
    check("{}",
          "output.weight F32 10 4;norm.weight F32 4;optimizer.state.norm.weight.exp_avg F32 "
          "4;train_state.step I32",
          1, 44);
    check(
        "{}",
        "output_layer.weight F32 10 4;norm.weight F32 4;chained_0.optimizer.state.exp_avg.norm.weight F32 4;"
        "rng_state.0.torch_rng_state U8 16",
        1, 44);
    check("{}",
          "state.model.model.lm_head.weight F32 10 4;state.model.model.norm.weight F32 4;"
          "state.optimizers.AdamW.state.model.norm.weight.exp_avg F32 4;state.timestamp I64",
          1, 44);
    /* positions are buffers; packed weights have no shapes of their own */
    check("{}", "lm_head.weight F32 10 4;norm.weight F32 4;embeddings.position_ids I64 1 512", 1, 44);
    assert_int_equal(count("{}", "lm_head.weight F32 10 4;layer.qweight I32 10 4", 1, &found, &err),
                     ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "layer.qweight"));
    /* a part of a model says nothing of the whole */
    assert_int_equal(
        count("{}", "lm_head.weight F32 10 4;model.embed_tokens.weight F32 10 4", 1, &found, &err),
        ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "nothing but embeddings"));
}

/* A torch file of halves in one storage of 88, whose tensors may be views of the same. */
static uint64_t count_torch(const char *config_json, const struct bytes_tensor *tensors, size_t tensor_count)
{
    static const char storage[176];
    struct buf pickle, file;
    struct model_config config;
    struct source *source = NULL;
    struct checkpoint *checkpoint = NULL;
    const char *unembedding = NULL;
    struct err err = ERR_INIT;
    uint64_t found = 0;
    buf_init(&pickle, MIB);
    buf_init(&file, MIB);
    pickle_begin(&pickle);
    for (size_t i = 0; i < tensor_count; i++)
        pickle_tensor(&pickle, &tensors[i]);
    pickle_end(&pickle);
    const struct bytes_record records[] = {
        {.name = "m/data.pkl", .data = pickle.data, .size = pickle.size},
        {.name = "m/data/0", .data = storage, .size = sizeof storage},
        {.name = "m/version", .data = "3\n", .size = 2},
    };
    bytes_zip_build(&file, records, 3, NULL);
    assert_int_equal(model_config_parse(config_json, strlen(config_json), &config, &err), 0);
    if (source_open_memory("x.bin", file.data, file.size, &source, &err) ||
        one_file_open("pytorch_model.bin", source, &checkpoint, &err) ||
        model_role_find(&config, checkpoint, MODEL_ROLE_UNEMBEDDING, &unembedding, &err) ||
        model_parameters_count(&config, checkpoint, unembedding, &found, &err))
        fail_msg("%s", err.message);
    checkpoint_close(checkpoint);
    buf_free(&file);
    buf_free(&pickle);
    return found;
}

/* A torch file tells tied weights by itself: two names, one storage. */
static void test_tied_in_a_torch_file(void **state)
{
    static const char *const configs[] = {"{\"model_type\":\"llama\"}",
                                          "{\"model_type\":\"llama\",\"tie_word_embeddings\":true}"};
    static const struct bytes_tensor tensors[] = {
        {"lm_head.weight", "HalfStorage", "0", 88, 0, 2, {10, 4}, {4, 1}},
        {"model.embed_tokens.weight", "HalfStorage", "0", 88, 0, 2, {10, 4}, {4, 1}},
        {"model.norm.weight", "HalfStorage", "0", 88, 80, 1, {4}, {1}},
        {"norm.again", "HalfStorage", "0", 88, 80, 1, {4}, {1}},
        {"other", "HalfStorage", "0", 88, 40, 2, {10, 4}, {4, 1}},     /* of the same form, elsewhere */
        {"reshaped", "HalfStorage", "0", 88, 40, 2, {4, 10}, {10, 1}}, /* not the same tensor */
        {"norm.third", "HalfStorage", "0", 88, 80, 1, {4}, {1}},
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(count_torch(configs[i], tensors, 3), 44);
        assert_int_equal(count_torch(configs[i], tensors, 7), 44 + 40 + 40);
    }
    /* behind a wrapper: what lies outside of it is not counted, though it comes first */
    static const struct bytes_tensor wrapped[] = {
        {"ema.norm.weight", "HalfStorage", "0", 88, 80, 1, {4}, {1}},
        {"state_dict.lm_head.weight", "HalfStorage", "0", 88, 0, 2, {10, 4}, {4, 1}},
        {"state_dict.norm.weight", "HalfStorage", "0", 88, 80, 1, {4}, {1}},
    };
    assert_int_equal(count_torch("{}", wrapped, 3), 44);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),
        cmocka_unit_test(test_neox),
        cmocka_unit_test(test_what_counts),
        cmocka_unit_test(test_tied_in_a_torch_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
