/*
 * The forward pass in float64, written down as plainly as possible, for all families: what the CPU backend is
 * compared with.
 */
#ifndef BIFURCATED_TESTS_UNIT_SCORE_REFERENCE_H
#define BIFURCATED_TESTS_UNIT_SCORE_REFERENCE_H

#include "tests/unit/score/reference_parts.h"

static inline void cut(const struct score_config *config, double *x, size_t count)
{
    for (size_t i = 0; config->qkv_limit > 0 && i < count; i++)
        x[i] = fmin(fmax(x[i], -config->qkv_limit), config->qkv_limit);
}

/* Queries, keys and values of one input: head by head, each of `size` numbers. */
static inline void project(const struct score_config *config, const struct tensor_view *w, const double *x,
                           size_t size, double *q, double *k, double *v)
{
    size_t width = config->head_count * size;
    size_t key_width =
        (config->key_value_head_count ? config->key_value_head_count : config->head_count) * size;
    if (is_fused(config)) { /* q, k, v per head; of GPT-2 and Crystal q of all heads, k, v */
        const int is_together = is_gpt2(config) || is_crystal(config);
        double *fused = calloc(3 * width, 8);
        transform(config, &w[SCORE_ROLE_QKV_WEIGHT], &w[SCORE_ROLE_QKV_BIAS], x, fused);
        for (size_t i = 0; i < width; i++) {
            const double *of_head = fused + (is_together ? i : i / size * 3 * size + i % size);
            size_t step = is_together ? width : size;
            q[i] = of_head[0], k[i] = of_head[step], v[i] = of_head[2 * step];
        }
        free(fused);
    } else {
        linear(&w[SCORE_ROLE_QUERY_WEIGHT], &w[SCORE_ROLE_QUERY_BIAS], x, q);
        linear(&w[SCORE_ROLE_KEY_WEIGHT], &w[SCORE_ROLE_KEY_BIAS], x, k);
        linear(&w[SCORE_ROLE_VALUE_WEIGHT], &w[SCORE_ROLE_VALUE_BIAS], x, v);
    }
    if (!is_olmoe(config))
        cut(config, q, width), cut(config, k, key_width), cut(config, v, key_width);
    if (is_olmo2(config) || is_olmoe(config)) {
        norm(config, &w[SCORE_ROLE_QUERY_NORM_WEIGHT], &no_view, q, width, q);
        norm(config, &w[SCORE_ROLE_KEY_NORM_WEIGHT], &no_view, k, key_width, k);
    }
    for (size_t i = 0; i < width && has_norms_of_heads(config); i += size)
        norm(config, &w[SCORE_ROLE_QUERY_NORM_WEIGHT], &no_view, q + i, size, q + i);
    for (size_t i = 0; i < key_width && has_norms_of_heads(config); i += size)
        norm(config, &w[SCORE_ROLE_KEY_NORM_WEIGHT], &no_view, k + i, size, k + i);
    if (is_olmoe(config))
        cut(config, q, width), cut(config, k, key_width), cut(config, v, key_width);
}

/* q [n, heads, size], k and v [n, key heads, size]; out like q. */
REFERENCE_SUM static inline void attend(const struct score_config *config, uint64_t layer, size_t n,
                                        size_t size, double *q, double *k, double *v, double *out)
{
    const int is_rotated = !(config->unrotated_layers[layer / 8] & 1 << layer % 8);
    const int is_sliding = config->sliding_layers[layer / 8] >> layer % 8 & 1;
    double divisor = config->multipliers.attention > 0 ? 1 / config->multipliers.attention
                     : config->has_unscaled_attention  ? 1
                                                       : sqrt((double)size);
    divisor *= config->has_attention_scale_by_layer ? (double)layer + 1 : 1;
    size_t heads = config->head_count;
    size_t key_heads = config->key_value_head_count ? config->key_value_head_count : heads;
    for (size_t i = 0; i < n * heads && is_rotated; i++)
        rotate(config, layer, i / heads, q + i * size);
    for (size_t i = 0; i < n * key_heads && is_rotated; i++)
        rotate(config, layer, i / key_heads, k + i * size);
    for (size_t head = 0; head < heads; head++)
        for (size_t i = 0; i < n; i++) {
            double weight[256], sum = 0, *to = out + (i * heads + head) * size;
            const size_t first = is_sliding && i >= config->window_tokens ? i + 1 - config->window_tokens : 0;
            size_t shared = head * key_heads / heads;
            for (size_t j = first; j <= i; j++) {
                double dot = 0;
                for (size_t e = 0; e < size; e++)
                    dot += q[(i * heads + head) * size + e] * k[(j * key_heads + shared) * size + e];
                sum += weight[j] = exp(dot / divisor - slope(config, head) * (double)(i - j));
            }
            for (size_t e = 0; e < size; e++) {
                to[e] = 0;
                for (size_t j = first; j <= i; j++)
                    to[e] += weight[j] / sum * v[(j * key_heads + shared) * size + e];
            }
        }
}

static inline void reference_mlp(const struct score_config *config, const struct tensor_view *w, size_t width,
                                 const double *x, double *y)
{
    double *wide = calloc(width, 8), *gate = calloc(width, 8);
    const int has_gate =
        is_crystal(config) || (!is_fused(config) && !is_apertus(config) && !is_nemotron(config));
    transform(config, &w[SCORE_ROLE_MLP_UP_WEIGHT], &w[SCORE_ROLE_MLP_UP_BIAS], x, wide);
    if (has_gate)
        transform(config, &w[SCORE_ROLE_MLP_GATE_WEIGHT], &w[SCORE_ROLE_MLP_GATE_BIAS], x, gate);
    for (size_t i = 0; i < width; i++)
        wide[i] = has_gate             ? activation(config, gate[i]) * wide[i]
                  : is_apertus(config) ? xielu(w, wide[i])
                                       : activation(config, wide[i]);
    transform(config, &w[SCORE_ROLE_MLP_DOWN_WEIGHT], &w[SCORE_ROLE_MLP_DOWN_BIAS], wide, y);
    free(wide), free(gate);
}

static inline int has_sigmoid_router(const struct score_config *config)
{
    return strcmp(config->architecture, "dots1") == 0;
}

/* What an expert weighs, before the weights of the chosen ones are divided by their sum. */
static inline double expert_weight(const struct score_config *config, double logit, double sum)
{
    return has_sigmoid_router(config) ? 1 / (1 + exp(-logit)) : exp(logit) / sum;
}

/* The experts with the largest weights, which are a softmax over all, or sigmoids, and then a bias decides,
 * too; the first of equal ones. */
static inline void reference_experts(const struct score_config *config, const struct score_weights *weights,
                                     uint64_t layer, const double *x, double *y)
{
    const size_t d = config->hidden_size, width = config->intermediate_size, experts = config->expert_count;
    const struct tensor_view *bias = &weights->layers[layer][SCORE_ROLE_ROUTER_BIAS];
    double logits[64], keys[64], *gate = calloc(width, 8), *up = calloc(width, 8), *down = calloc(d, 8);
    double sum = 0, chosen = 0;
    linear(&weights->layers[layer][SCORE_ROLE_ROUTER_WEIGHT], NULL, x, logits);
    for (size_t i = 0; i < experts; i++)
        sum += exp(logits[i]);
    for (size_t i = 0; i < experts; i++)
        keys[i] = expert_weight(config, logits[i], sum) + (bias->data ? element(bias, i) : 0);
    memset(y, 0, d * 8);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < experts; i++) {
            size_t better = 0;
            for (size_t j = 0; j < experts; j++)
                better += keys[j] > keys[i] || (j < i && !(keys[j] < keys[i]));
            if (better >= config->experts_per_input)
                continue;
            if (!pass) {
                chosen += expert_weight(config, logits[i], sum);
                continue;
            }
            const struct tensor_view *w = weights->experts[layer * experts + i];
            linear(&w[0], NULL, x, gate), linear(&w[1], NULL, x, up);
            for (size_t j = 0; j < width; j++)
                up[j] *= activation(config, gate[j]);
            linear(&w[2], NULL, up, down);
            for (size_t j = 0; j < d; j++)
                y[j] += down[j] * expert_weight(config, logits[i], sum) /
                        (config->has_normalised_router ? chosen : 1) *
                        (config->router_scale > 0 ? config->router_scale : 1);
        }
    free(gate), free(up), free(down);
}

/* 0: not. */
static inline double times(double multiplier, double x)
{
    return multiplier > 0 ? multiplier * x : x;
}

/* row += y, or, in OLMo 2, its norm. */
static inline void add_residual(const struct score_config *config, const struct tensor_view *norm_weight,
                                double *y, double *row)
{
    size_t d = config->hidden_size;
    if (is_olmo2(config))
        norm(config, norm_weight, &no_view, y, d, y);
    for (size_t i = 0; i < d; i++)
        row[i] += times(config->multipliers.residual, y[i]);
}

static inline void reference_layer(const struct score_config *config, const struct score_weights *weights,
                                   uint64_t layer, size_t n, double *x)
{
    const struct tensor_view *w = weights->layers[layer];
    size_t d = config->hidden_size, size = config->head_size ? config->head_size : d / config->head_count;
    size_t heads = config->head_count;
    size_t key_heads = config->key_value_head_count ? config->key_value_head_count : heads;
    double *q = calloc(n * heads * size, 8), *attended = calloc(n * heads * size, 8);
    double *k = calloc(n * key_heads * size, 8), *v = calloc(n * key_heads * size, 8);
    double *normed = calloc(d, 8), *delta = calloc(d, 8), *before = calloc(d, 8);
    for (size_t i = 0; i < n; i++) {
        norm(config, &w[SCORE_ROLE_ATTENTION_NORM_WEIGHT], &w[SCORE_ROLE_ATTENTION_NORM_BIAS], x + i * d, d,
             normed);
        const int is_bare = is_olmo2(config) || (is_modernbert(config) && layer == 0);
        project(config, w, is_bare ? x + i * d : normed, size, q + i * heads * size, k + i * key_heads * size,
                v + i * key_heads * size);
    }
    attend(config, layer, n, size, q, k, v, attended);
    for (size_t i = 0; i < n; i++) {
        double *row = x + i * d;
        memcpy(before, row, d * 8);
        transform(config, &w[SCORE_ROLE_ATTENTION_OUT_WEIGHT], &w[SCORE_ROLE_ATTENTION_OUT_BIAS],
                  attended + i * heads * size, delta);
        add_residual(config, &w[SCORE_ROLE_ATTENTION_NORM_WEIGHT], delta, row);
        norm(config, &w[SCORE_ROLE_MLP_NORM_WEIGHT], &w[SCORE_ROLE_MLP_NORM_BIAS],
             config->has_parallel_residual ? before : row, d, normed);
        if (!config->expert_count)
            reference_mlp(config, w, config->intermediate_size, is_olmo2(config) ? row : normed, delta);
        else if (layer < config->dense_layer_count)
            reference_mlp(config, w, config->dense_size, normed, delta);
        else
            reference_experts(config, weights, layer, normed, delta);
        if (config->shared_size && layer >= config->dense_layer_count) {
            reference_mlp(config, w, config->shared_size, normed, before);
            for (size_t j = 0; j < d; j++)
                delta[j] += before[j];
        }
        add_residual(config, &w[SCORE_ROLE_MLP_NORM_WEIGHT], delta, row);
    }
    free(q), free(k), free(v), free(attended), free(normed), free(delta), free(before);
}

/* x = norm(activation(dense x)), where there is such a head. */
static inline void reference_head(const struct score_config *config, const struct tensor_view *w, double *x)
{
    const size_t d = config->hidden_size;
    const struct score_config as_head = {.activation = config->head_activation};
    double *wide = calloc(d, 8);
    if (is_modernbert(config)) {
        linear(&w[SCORE_ROLE_HEAD_WEIGHT], &w[SCORE_ROLE_HEAD_BIAS], x, wide);
        for (size_t i = 0; i < d; i++)
            wide[i] = activation(&as_head, wide[i]);
        norm(config, &w[SCORE_ROLE_HEAD_NORM_WEIGHT], &w[SCORE_ROLE_HEAD_NORM_BIAS], wide, d, x);
    }
    free(wide);
}

/* Logits by rows of length 1, but for rows that are nearly nothing. */
static inline void divide_by_lengths(const struct tensor_view *unembedding, double *logits)
{
    const size_t rows = unembedding->shape.dim[0], columns = unembedding->shape.dim[1];
    for (size_t i = 0; i < rows; i++) {
        double square = 0;
        for (size_t j = 0; j < columns; j++)
            square += element(unembedding, i * columns + j) * element(unembedding, i * columns + j);
        logits[i] /= sqrt(square) > 1e-12 ? sqrt(square) : 1e-12;
    }
}

/* Log-probabilities of all targets, and how far the best other logit is from each (positive: argmax). */
static inline void reference(const struct score_model_source *source, const struct score_request *request,
                             double *logprobs, double *margins)
{
    struct err err = ERR_INIT;
    struct score_weights weights;
    const struct score_config *config = &source->config;
    size_t d = config->hidden_size, vocabulary = config->vocabulary_rows, target = 0;
    double *logits = calloc(vocabulary, 8), *normed = calloc(d, 8);
    assert_int_equal(score_weights_find(source, &weights, &err), 0);
    for (uint32_t half = numbers_of_f16[65535] != 0 ? 65536 : 0; half < 65536; half++) {
        numbers_of_f16[half] = (double)half_from_f16((uint16_t)half);
        numbers_of_bf16[half] = (double)half_from_bf16((uint16_t)half);
    }
    for (size_t i = 0; i < request->document_count; i++) {
        size_t n = request->length[i] - 1;
        const uint32_t *ids = request->tokens + request->begin[i];
        double *x = calloc(n * d, 8);
        for (size_t j = 0; j < n * d; j++)
            x[j] = times(config->multipliers.embedding,
                         element(&weights.model[SCORE_ROLE_EMBEDDING], ids[j / d] * d + j % d)) +
                   element(&weights.model[SCORE_ROLE_POSITIONS], j);
        for (size_t j = 0; j < n && (is_bloom(config) || is_modernbert(config)); j++)
            norm(config, &weights.model[SCORE_ROLE_EMBEDDING_NORM_WEIGHT],
                 &weights.model[SCORE_ROLE_EMBEDDING_NORM_BIAS], x + j * d, d, x + j * d);
        for (size_t layer = 0; layer < config->layer_count; layer++)
            reference_layer(config, &weights, layer, n, x);
        for (uint32_t j = 0; j < request->target_count[i]; j++, target++) {
            uint32_t wanted = ids[request->target_first[i] + j];
            double sum = 0, other = (double)-INFINITY;
            norm(config, &weights.model[SCORE_ROLE_FINAL_NORM_WEIGHT],
                 &weights.model[SCORE_ROLE_FINAL_NORM_BIAS], x + (request->target_first[i] + j - 1) * d, d,
                 normed);
            reference_head(config, weights.model, normed);
            linear(&weights.model[SCORE_ROLE_UNEMBEDDING], &weights.model[SCORE_ROLE_UNEMBEDDING_BIAS],
                   normed, logits);
            if (is_baichuan(config))
                divide_by_lengths(&weights.model[SCORE_ROLE_UNEMBEDDING], logits);
            for (size_t k = 0; k < vocabulary; k++) {
                logits[k] = times(config->multipliers.logits, logits[k]);
                sum += exp(logits[k]);
                other = k != wanted && logits[k] > other ? logits[k] : other;
            }
            logprobs[target] = logits[wanted] - log(sum);
            margins[target] = logits[wanted] - other;
        }
        free(x);
    }
    score_weights_free(&weights);
    free(logits), free(normed);
}

#endif
