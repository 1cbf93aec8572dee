#include "daemon/measure/scoring.h"

#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/checkpoint.h"
#include "daemon/measure/scoring_identity.h"
#include "daemon/measure/scoring_passages.h"
#include "daemon/model/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scoring {
    struct scoring_request request;
    struct scoring_identity identity;
    struct score_config config;
    int64_t prefix_id;
    struct buf tokenizer_json;
    struct checkpoint *checkpoint;
    size_t tensor_count;
    struct score_tensor *tensors;      /* [tensor_count], names owned; data after scoring_fetch */
    struct checkpoint_tensor *located; /* [tensor_count] where they lie */
    void **owned;                      /* [tensor_count] bytes that are not mapped */
    uint64_t weight_bytes;
    const struct passages *passages; /* of the request's cache; NULL before scoring_fetch */
    struct score_result result;
    int is_fetched;
};

static int check_cancel(const struct scoring *scoring, struct err *err)
{
    if (scoring->request.cancel && atomic_load(scoring->request.cancel))
        return err_set(err, ERR_CANCELLED, "scoring was cancelled");
    return 0;
}

/* -- The revision's files -------------------------------------------------------------------------- */

static int has_file(void *context, const char *name)
{
    const struct scoring *scoring = context;
    return repository_tree_find(scoring->request.tree, name) != NULL;
}

static int open_file(void *context, const char *name, struct source **ret_source, struct err *err)
{
    const struct scoring *scoring = context;
    const struct repository_tree *tree = scoring->request.tree;
    return repository_open_file(scoring->request.repository, tree->commit, name,
                                repository_tree_find(tree, name), ret_source, err);
}

static int fetch_text(const struct scoring *scoring, const char *path, struct buf *buf, struct err *err)
{
    const struct repository_tree *tree = scoring->request.tree;
    const struct repository_file *file = repository_tree_find(tree, path);
    if (!file)
        return err_set(err, ERR_NOT_FOUND, "the revision has no %s, which scoring needs", path);
    return repository_fetch_file(scoring->request.repository, tree->commit, path, file, buf, err);
}

static int score_config_of(const struct model_config *model, struct score_config *ret_config, struct err *err)
{
    struct score_config config = {
        .vocabulary_rows = model->vocab_size,
        .hidden_size = model->hidden_size,
        .layer_count = model->layer_count,
        .head_count = model->head_count,
        .intermediate_size = model->intermediate_size,
        .max_positions = model->max_positions,
        .rotary_base = model->rotary_base,
        .norm_epsilon = model->norm_epsilon,
        .has_parallel_residual = model->has_parallel_residual,
        .has_attention_bias = model->has_attention_bias,
        .is_tied = model->is_tied,
    };
    static const enum score_activation activations[] = {
        [MODEL_ACTIVATION_GELU] = SCORE_ACTIVATION_GELU,
        [MODEL_ACTIVATION_GELU_TANH] = SCORE_ACTIVATION_GELU_TANH,
        [MODEL_ACTIVATION_RELU] = SCORE_ACTIVATION_RELU,
        [MODEL_ACTIVATION_SILU] = SCORE_ACTIVATION_SILU,
    };
    int code = model_config_check_scoring(model, err);
    if (code)
        return code;
    if ((unsigned)model->activation >= sizeof activations / sizeof activations[0])
        return err_set(err, ERR_UNSUPPORTED, "unknown activation function %s", model->activation_name);
    (void)snprintf(config.architecture, sizeof config.architecture, "%s", model->model_type);
    config.activation = activations[model->activation];
    /* int(head size * fraction), as transformers counts them */
    uint64_t head_size = config.hidden_size / config.head_count;
    config.rotary_dimensions = (uint64_t)((double)head_size * model->rotary_fraction);
    if ((code = score_config_check(&config, err)))
        return code;
    *ret_config = config;
    return 0;
}

static int read_config(struct scoring *scoring, struct err *err)
{
    struct model_config model;
    struct buf json;
    buf_init(&json, LIMIT_CONFIG_JSON_BYTES);
    int code = fetch_text(scoring, "config.json", &json, err);
    if (!code && ((code = model_config_parse(json.data, json.size, &model, err)) ||
                  (code = score_config_of(&model, &scoring->config, err))))
        (void)err_wrap(err, "config.json");
    if (!code)
        scoring->prefix_id = model.bos_token_id >= 0 ? model.bos_token_id : model.eos_token_id;
    buf_free(&json);
    return code;
}

static int read_tokenizer(struct scoring *scoring, struct err *err)
{
    struct buf *json = &scoring->tokenizer_json;
    int code = fetch_text(scoring, "tokenizer.json", json, err);
    return code ? code : digest_sha256_hex(json->data, json->size, scoring->identity.tokenizer_digest, err);
}

/* -- The tensors ----------------------------------------------------------------------------------- */

static int locate_tensor(struct scoring *scoring, enum score_role role, uint64_t layer, struct err *err)
{
    char name[SCORE_NAME_BYTES];
    struct checkpoint_tensor *located = &scoring->located[scoring->tensor_count];
    struct score_tensor *tensor = &scoring->tensors[scoring->tensor_count];
    score_tensor_name(&scoring->config, role, layer, name);
    if (!name[0])
        return 0;
    int code = checkpoint_find(scoring->checkpoint, name, located, err);
    if (code)
        return code;
    if (!(tensor->name = strdup(name)))
        return err_set(err, ERR_NO_MEMORY, "no memory for a tensor's name");
    tensor->view.dtype = located->dtype;
    tensor->view.shape = located->shape;
    scoring->weight_bytes += located->size_bytes;
    scoring->tensor_count++;
    return 0;
}

/* Layers that config.json leaves out would go unused, and the perplexity would be another model's. (Of layers
 * that it has too many, the tensors are missed by name.) */
static int check_layers(const struct scoring *scoring, struct err *err)
{
    uint64_t found = 0, wanted = scoring->config.layer_count;
    for (size_t i = 0; i < checkpoint_name_count(scoring->checkpoint); i++) {
        uint64_t layers = score_name_layers(&scoring->config, checkpoint_name(scoring->checkpoint, i));
        found = layers > found ? layers : found;
    }
    if (found <= wanted)
        return 0;
    return err_set(
        err, ERR_FORMAT,
        "num_hidden_layers of config.json is %llu, but the weights have %llu layers: one of them is not "
        "this model's",
        (unsigned long long)wanted, (unsigned long long)found);
}

static int locate_tensors(struct scoring *scoring, struct err *err)
{
    struct checkpoint_files files = {.has = has_file, .open = open_file, .context = scoring};
    size_t max = SCORE_ROLE_COUNT * ((size_t)scoring->config.layer_count + 1);
    int code = checkpoint_open(&files, CHECKPOINT_PREFER_SAFETENSORS, &scoring->checkpoint, err);
    if (code || (code = check_layers(scoring, err)))
        return code;
    scoring->tensors = calloc(max, sizeof *scoring->tensors);
    scoring->located = calloc(max, sizeof *scoring->located);
    scoring->owned = calloc(max, sizeof *scoring->owned);
    if (!scoring->tensors || !scoring->located || !scoring->owned)
        return err_set(err, ERR_NO_MEMORY, "no memory for a table of tensors");
    for (int role = 0; role < SCORE_ROLE_COUNT && !code; role++) {
        uint64_t layers = role < SCORE_ROLE_LAYER_FIRST ? 1 : scoring->config.layer_count;
        for (uint64_t layer = 0; layer < layers && !code; layer++)
            code = locate_tensor(scoring, (enum score_role)role, layer, err);
    }
    return code;
}

static int read_tensor(struct scoring *scoring, size_t i, struct err *err)
{
    const struct checkpoint_tensor *located = &scoring->located[i];
    void *bytes = malloc((size_t)located->size_bytes + 1);
    if (!bytes)
        return err_set(err, ERR_NO_MEMORY, "no memory for the %llu bytes of tensor %s",
                       (unsigned long long)located->size_bytes, scoring->tensors[i].name);
    int code = checkpoint_read(scoring->checkpoint, located, bytes, (size_t)located->size_bytes, err);
    if (code) {
        free(bytes);
        return code;
    }
    scoring->tensors[i].view.data = scoring->owned[i] = bytes;
    return 0;
}

/* Brings all into memory; `digests`, or NULL, gets each as soon as it is there. */
static int fetch_tensors(struct scoring *scoring, struct tensor_digests *digests, struct err *err)
{
    for (size_t i = 0; i < scoring->tensor_count; i++)
        if (!scoring->tensors[i].view.data)
            checkpoint_will_need(scoring->checkpoint, &scoring->located[i]);
    for (size_t i = 0; i < scoring->tensor_count; i++) {
        const struct checkpoint_tensor *located = &scoring->located[i];
        struct score_tensor *tensor = &scoring->tensors[i];
        int code = check_cancel(scoring, err);
        if (code)
            return code;
        if (!tensor->view.data && !(tensor->view.data = checkpoint_map(scoring->checkpoint, located)) &&
            (code = read_tensor(scoring, i, err)))
            return code;
        if (digests)
            tensor_digests_add(digests, tensor->view.data, (size_t)located->size_bytes);
    }
    return 0;
}

/* Reads all weights, and hashes what is there while the rest comes. */
static int fetch_and_digest(struct scoring *scoring, struct tensor_digests **ret_digests, struct err *err)
{
    struct tensor_digests *digests = NULL;
    int code = tensor_digests_new(scoring->tensor_count, scoring->weight_bytes,
                                  scoring->request.digest_threads, scoring->request.cancel, &digests, err);
    if (!code)
        code = fetch_tensors(scoring, digests, err);
    if (!code)
        code = tensor_digests_finish(digests, err);
    if (code) {
        tensor_digests_free(digests);
        return code;
    }
    *ret_digests = digests;
    return 0;
}

static int digest_weights(struct scoring *scoring, struct err *err)
{
    const struct repository_tree *tree = scoring->request.tree;
    struct tensor_digests *digests = NULL;
    int code = 0;
    if (!scoring_identity_knows_files(tree, scoring->located, scoring->tensor_count))
        code = fetch_and_digest(scoring, &digests, err);
    if (!code)
        code = scoring_identity_digest_weights(&scoring->config, tree, scoring->tensors, scoring->located,
                                               scoring->tensor_count, digests,
                                               scoring->identity.weights_digest, err);
    tensor_digests_free(digests);
    return code;
}

static enum score_mode score_mode_of(enum passages_mode mode)
{
    switch (mode) {
    case PASSAGES_MODE_TOKENS:
        return SCORE_MODE_TOKENS;
    case PASSAGES_MODE_TEXT_MEAN:
        return SCORE_MODE_TEXT_MEAN;
    case PASSAGES_MODE_LAST_WORD:
        break;
    }
    return SCORE_MODE_LAST_WORD;
}

/* -- The verbs ------------------------------------------------------------------------------------- */

int scoring_open(const struct scoring_request *request, struct scoring **ret_scoring, struct err *err)
{
    struct scoring *scoring = calloc(1, sizeof *scoring);
    if (!scoring)
        return err_set(err, ERR_NO_MEMORY, "no memory to score a revision");
    scoring->request = *request;
    buf_init(&scoring->tokenizer_json, LIMIT_TOKENIZER_JSON_BYTES);
    scoring->identity.mode = score_mode_of(request->mode);
    scoring->identity.definition = SCORE_DEFINITION;
    int code = read_config(scoring, err);
    if (code || (code = read_tokenizer(scoring, err)) || (code = locate_tensors(scoring, err)) ||
        (code = digest_weights(scoring, err)) ||
        (code = scoring_identity_digest_source(request->data, scoring->identity.dataset_digest, err)) ||
        (code = scoring_identity_write_parameters(request, &scoring->config, scoring->prefix_id,
                                                  scoring->identity.parameters,
                                                  sizeof scoring->identity.parameters, err))) {
        scoring_close(scoring);
        return code;
    }
    *ret_scoring = scoring;
    return 0;
}

const struct scoring_identity *scoring_identity(const struct scoring *scoring)
{
    return &scoring->identity;
}

static int acquire_passages(struct scoring *scoring, struct err *err)
{
    struct scoring_texts texts = {.request = &scoring->request,
                                  .identity = &scoring->identity,
                                  .tokenizer_json = &scoring->tokenizer_json,
                                  .context_tokens = (uint32_t)scoring->config.max_positions,
                                  .prefix_id =
                                      scoring->prefix_id >= 0 ? scoring->prefix_id : PASSAGES_NO_PREFIX};
    return scoring_passages_acquire(&texts, &scoring->passages, err);
}

static struct score_request request_of(const struct passages *passages)
{
    return (struct score_request){
        .tokens = passages->tokens,
        .token_count = passages->token_count,
        .document_count = passages->count,
        .begin = passages->begin,
        .length = passages->length,
        .target_first = passages->target_first,
        .target_count = passages->target_count,
    };
}

int scoring_fetch(struct scoring *scoring, struct err *err)
{
    int code;
    size_t target_total = 0;
    if (scoring->is_fetched)
        return 0;
    if ((code = acquire_passages(scoring, err)))
        return code;
    struct score_request request = request_of(scoring->passages);
    if ((code = score_request_check(&scoring->config, &request, &target_total, err)) ||
        (code = score_result_init(&scoring->result, target_total, err)) ||
        (code = fetch_tensors(scoring, NULL, err)))
        return code;
    scoring->is_fetched = 1;
    return 0;
}

int scoring_run(struct scoring *scoring, struct device_turns *turns, struct scoring_outcome *ret_outcome,
                struct err *err)
{
    struct scoring_outcome outcome = {.weight_bytes = scoring->weight_bytes};
    struct score_model_source source = {.config = scoring->config,
                                        .tensors = scoring->tensors,
                                        .tensor_count = scoring->tensor_count,
                                        .precision = scoring->request.precision,
                                        .memory_budget_bytes = scoring->request.memory_budget_bytes,
                                        .cancel = scoring->request.cancel};
    struct device_turn turn;
    if (!scoring->is_fetched)
        return err_set(err, ERR_INTERNAL, "scoring without scoring_fetch");
    struct score_request request = request_of(scoring->passages);
    int code = device_turns_load(turns, &source, &turn, err);
    if (code)
        return code;
    double begin_s = clock_monotonic_s();
    code = device_turns_score(turns, &turn, &request, &scoring->result, err);
    outcome.score_seconds = clock_monotonic_s() - begin_s;
    outcome.load_seconds = turn.load_seconds;
    device_turns_unload(turns, &turn);
    if (code)
        return code;
    score_summarize(scoring->identity.mode, &request, &scoring->result, &outcome.summary);
    outcome.text_count = scoring->passages->text_count;
    outcome.skipped_count = scoring->passages->skipped_count;
    outcome.truncated_count = scoring->passages->truncated_count;
    outcome.input_count = scoring->result.input_count;
    outcome.flops = scoring->result.flops;
    outcome.memory_bytes = scoring->result.memory_bytes;
    *ret_outcome = outcome;
    return 0;
}

const struct passages *scoring_passages(const struct scoring *scoring)
{
    return scoring->passages;
}

const struct score_result *scoring_result(const struct scoring *scoring)
{
    return &scoring->result;
}

void scoring_close(struct scoring *scoring)
{
    if (!scoring)
        return;
    for (size_t i = 0; scoring->owned && i < scoring->tensor_count; i++)
        free(scoring->owned[i]);
    for (size_t i = 0; scoring->tensors && i < scoring->tensor_count; i++)
        free((void *)(uintptr_t)scoring->tensors[i].name);
    free(scoring->owned);
    free(scoring->tensors);
    free(scoring->located);
    score_result_free(&scoring->result);
    if (scoring->passages)
        passages_cache_give_back(scoring->request.passages, scoring->passages);
    checkpoint_close(scoring->checkpoint);
    buf_free(&scoring->tokenizer_json);
    free(scoring);
}
