#include "daemon/measure/scoring_identity.h"

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"
#include "daemon/measure/scoring_weights.h"

#include <stdio.h>
#include <string.h>

#define STANDARD_CONTEXT 2048 /* of GPT-NeoX, as published */
#define STANDARD_PREFIX 0

static int add_line(struct digest *digest, const struct score_tensor *tensor, const char *where,
                    struct err *err)
{
    char line[SCORE_NAME_BYTES + LIMIT_FILE_NAME_BYTES + 256], shape[96];
    int length =
        snprintf(line, sizeof line, "%s %s %s %s\n", tensor->name, tensor_dtype_name(tensor->view.dtype),
                 tensor_shape_format(&tensor->view.shape, shape, sizeof shape), where);
    return digest_update(digest, line, (size_t)length, err);
}

/* What GPT-NeoX does not have: its digests stay as they were before other families were scored. */
static int add_llama_config(struct digest *digest, const struct score_config *config, struct err *err)
{
    char line[512];
    const struct score_rotary_scaling *scaling = &config->rotary_scaling;
    int length = snprintf(line, sizeof line, "%llu %llu %d %.17g %.17g %.17g %llu %d\n",
                          (unsigned long long)score_key_value_heads(config),
                          (unsigned long long)score_head_size(config), (int)scaling->kind, scaling->factor,
                          scaling->low_frequency_factor, scaling->high_frequency_factor,
                          (unsigned long long)scaling->original_positions, config->has_mlp_bias);
    int code = digest_update(digest, line, (size_t)length, err);
    if (!code)
        code = digest_update(digest, config->unrotated_layers, sizeof config->unrotated_layers, err);
    if (!code && scaling->kind == SCORE_ROTARY_YARN) {
        length = snprintf(line, sizeof line, "yarn %.17g\n", scaling->attention_factor);
        code = digest_update(digest, line, (size_t)length, err);
    }
    if (code || !score_has_unscaled_layer(config))
        return code;
    return digest_update(digest, config->unscaled_layers, sizeof config->unscaled_layers, err);
}

static int add_experts(struct digest *digest, const struct score_config *config, struct err *err)
{
    char line[256];
    if (!config->expert_count)
        return 0;
    int length =
        snprintf(line, sizeof line, "experts %llu %llu %d\n", (unsigned long long)config->expert_count,
                 (unsigned long long)config->experts_per_input, config->has_normalised_router);
    int code = digest_update(digest, line, (size_t)length, err);
    if (code || config->router == SCORE_ROUTER_SOFTMAX)
        return code;
    length = snprintf(line, sizeof line, "sigmoid %.17g beside %llu %llu %llu\n", config->router_scale,
                      (unsigned long long)config->dense_layer_count, (unsigned long long)config->dense_size,
                      (unsigned long long)config->shared_size);
    return digest_update(digest, line, (size_t)length, err);
}

/* Only where it is not the usual one, for the same reason; so is the limit. */
static int add_attention(struct digest *digest, const struct score_config *config, struct err *err)
{
    char line[64];
    int code = 0;
    if (config->has_unscaled_attention || config->has_attention_scale_by_layer) {
        int length = snprintf(line, sizeof line, "scale %d %d\n", config->has_unscaled_attention,
                              config->has_attention_scale_by_layer);
        code = digest_update(digest, line, (size_t)length, err);
    }
    if (!code && (config->lacks_norm_weight || config->lacks_norm_bias)) {
        int length =
            snprintf(line, sizeof line, "norms %d %d\n", config->lacks_norm_weight, config->lacks_norm_bias);
        code = digest_update(digest, line, (size_t)length, err);
    }
    if (code || !(config->qkv_limit > 0))
        return code;
    int length = snprintf(line, sizeof line, "limit %.17g\n", config->qkv_limit);
    return digest_update(digest, line, (size_t)length, err);
}

/* Whether each layer has the window, and its length; nothing where no text is long enough to meet it. */
static int add_windows(struct digest *digest, const struct score_config *config, struct err *err)
{
    char line[64];
    uint64_t window = 0;
    for (uint64_t layer = 0; layer < config->layer_count && !window; layer++)
        window = score_layer_window(config, layer);
    if (!window)
        return 0;
    int length = snprintf(line, sizeof line, "window %llu\n", (unsigned long long)window);
    int code = digest_update(digest, line, (size_t)length, err);
    return code ? code : digest_update(digest, config->sliding_layers, sizeof config->sliding_layers, err);
}

/* Of ModernBERT alone. */
static int add_head(struct digest *digest, const struct score_config *config, struct err *err)
{
    char line[96];
    if (strcmp(config->architecture, "modernbert-decoder") != 0)
        return 0;
    int length = snprintf(line, sizeof line, "head %d %d %d %.17g\n", (int)config->head_activation,
                          config->has_head_bias, config->has_unembedding_bias, config->unscaled_rotary_base);
    return digest_update(digest, line, (size_t)length, err);
}

static int add_multipliers(struct digest *digest, const struct score_config *config, struct err *err)
{
    char line[160];
    const struct score_multipliers *multipliers = &config->multipliers;
    if (!(multipliers->embedding > 0 || multipliers->attention > 0 || multipliers->residual > 0 ||
          multipliers->logits > 0))
        return 0;
    int length = snprintf(line, sizeof line, "multipliers %.17g %.17g %.17g %.17g\n", multipliers->embedding,
                          multipliers->attention, multipliers->residual, multipliers->logits);
    return digest_update(digest, line, (size_t)length, err);
}

static int add_config(struct digest *digest, const struct score_config *config, struct err *err)
{
    char line[512];
    int length = snprintf(
        line, sizeof line, "%s %llu %llu %llu %llu %llu %llu %.17g %.17g %d %d %d %d\n", config->architecture,
        (unsigned long long)config->vocabulary_rows, (unsigned long long)config->hidden_size,
        (unsigned long long)config->layer_count, (unsigned long long)config->head_count,
        (unsigned long long)config->intermediate_size, (unsigned long long)config->rotary_dimensions,
        config->rotary_base, config->norm_epsilon, (int)config->activation, config->has_parallel_residual,
        config->has_attention_bias, config->is_tied);
    int code = digest_update(digest, line, (size_t)length, err);
    if (!code && strcmp(config->architecture, "gpt_neox") != 0)
        code = add_llama_config(digest, config, err);
    if (code || (code = add_experts(digest, config, err)) || (code = add_attention(digest, config, err)) ||
        (code = add_windows(digest, config, err)) || (code = add_head(digest, config, err)))
        return code;
    return add_multipliers(digest, config, err);
}

/* The digest of the file that holds a tensor, or "": also where several hold it. */
static const char *file_digest(const struct scoring_weights *weights, size_t tensor)
{
    const struct checkpoint_tensor *located = &weights->located[tensor];
    const struct repository_file *file = repository_tree_find(weights->request->tree, located->file);
    return file && !located->is_spread ? file->sha256 : "";
}

int scoring_identity_knows_files(const struct scoring_weights *weights)
{
    for (size_t i = 0; i < weights->count; i++)
        if (!file_digest(weights, i)[0])
            return 0;
    return 1;
}

int scoring_identity_digest_weights(const struct scoring_weights *weights,
                                    const struct tensor_digests *digests, char *hex, struct err *err)
{
    struct digest *digest = NULL;
    int code = digest_new(DIGEST_KIND_SHA256, &digest, err);
    if (!code)
        code = add_config(digest, weights->config, err);
    for (size_t i = 0; i < weights->count && !code; i++)
        code = add_line(digest, &weights->tensors[i],
                        digests ? tensor_digests_hex(digests, i) : file_digest(weights, i), err);
    if (!code)
        code = digest_finish_hex(digest, hex, DIGEST_SHA256_HEX_SIZE, err);
    digest_free(digest);
    return code;
}

int scoring_identity_write_parameters(const struct scoring_request *request,
                                      const struct score_config *config, const struct tokenizer_use *use,
                                      char *text, size_t size, struct err *err)
{
    struct buf json;
    buf_init(&json, size - 1);
    const char *comma = "";
    const int64_t prefix_id = use->prefix_id;
    const struct dataset_options *dataset = &request->dataset;
    const int has_windows =
        request->mode == PASSAGES_MODE_TOKENS; /* which have no prefix, and their own length */
    (void)buf_append_char(&json, '{');
    if (!has_windows && config->max_positions != STANDARD_CONTEXT) {
        (void)buf_appendf(&json, "\"context\":%llu", (unsigned long long)config->max_positions);
        comma = ",";
    }
    if (dataset->field && strcmp(dataset->field, "text") != 0) {
        (void)buf_appendf(&json, "%s\"field\":\"", comma);
        for (const char *at = dataset->field; *at; at++)
            (void)((unsigned char)*at < 0x20 || *at == '"' || *at == '\\'
                       ? buf_appendf(&json, "\\u%04x", (unsigned)(unsigned char)*at)
                       : buf_append_char(&json, *at));
        (void)buf_append_char(&json, '"');
        comma = ",";
    }
    /* The same bytes under another name may be other texts. */
    enum dataset_kind kind = dataset_kind_resolve(dataset->kind, request->data->name);
    if (kind != DATASET_KIND_JSONL) {
        (void)buf_appendf(&json, "%s\"kind\":\"%s\"", comma, dataset_kind_name(kind));
        comma = ",";
    }
    if (dataset->limit) {
        (void)buf_appendf(&json, "%s\"limit\":%llu", comma, (unsigned long long)dataset->limit);
        comma = ",";
    }
    if (!has_windows && prefix_id < 0) {
        (void)buf_appendf(&json, "%s\"prefix\":null", comma);
        comma = ",";
    } else if (!has_windows && prefix_id != STANDARD_PREFIX) {
        (void)buf_appendf(&json, "%s\"prefix\":%lld", comma, (long long)prefix_id);
        comma = ",";
    }
    if (!has_windows && use->start_id >= 0)
        (void)buf_appendf(&json, "%s\"start\":true", comma);
    if (has_windows) {
        uint32_t window = request->window_tokens ? request->window_tokens : (uint32_t)config->max_positions;
        uint32_t stride = request->stride_tokens ? request->stride_tokens : window / 2;
        (void)buf_appendf(&json, "%s\"stride\":%u,\"window\":%u", comma, stride, window);
    }
    (void)buf_append_char(&json, '}');
    int code = buf_check(&json, "the parameters of a perplexity", err);
    if (!code)
        (void)snprintf(text, size, "%s", buf_text(&json));
    buf_free(&json);
    return code;
}
