/*
 * What the reference is made of: the numbers of a tensor, how families differ, norms, rotations, activations.
 */
#ifndef BIFURCATED_TESTS_UNIT_SCORE_REFERENCE_PARTS_H
#define BIFURCATED_TESTS_UNIT_SCORE_REFERENCE_PARTS_H

#include "tests/tools/random_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct tensor_view no_view = {.data = NULL};

/* Sums over weights, which are most of what the tests compute. The sanitizers look at what is compared with
 * them; here they took as long again. */
#define REFERENCE_SUM __attribute__((no_sanitize("address", "undefined")))

/* All numbers of 16 bits: to convert them took most of the time. */
static double numbers_of_f16[65536], numbers_of_bf16[65536];

REFERENCE_SUM static inline double element(const struct tensor_view *view, size_t index)
{
    if (!view->data)
        return 0;
    if (view->dtype == TENSOR_DTYPE_F32)
        return (double)((const float *)view->data)[index];
    uint16_t half = ((const uint16_t *)view->data)[index];
    return (view->dtype == TENSOR_DTYPE_F16 ? numbers_of_f16 : numbers_of_bf16)[half];
}

REFERENCE_SUM static inline void linear(const struct tensor_view *weight, const struct tensor_view *bias,
                                        const double *x, double *y)
{
    size_t rows = weight->shape.dim[0], columns = weight->shape.dim[1];
    for (size_t i = 0; i < rows; i++) {
        double sum = bias ? element(bias, i) : 0;
        for (size_t j = 0; j < columns; j++)
            sum += element(weight, i * columns + j) * x[j];
        y[i] = sum;
    }
}

static inline int is_neox(const struct score_config *config)
{
    return strcmp(config->architecture, "gpt_neox") == 0;
}

static inline int is_gpt2(const struct score_config *config)
{
    return strcmp(config->architecture, "gpt2") == 0;
}

/* GPT-2's layers with a gate, and neighbouring dimensions that are rotated. */
static inline int is_crystal(const struct score_config *config)
{
    return strcmp(config->architecture, "crystalcoder") == 0;
}

/* A Llama whose neighbouring dimensions are rotated. */
static inline int is_pico(const struct score_config *config)
{
    return strcmp(config->architecture, "pico_decoder") == 0;
}

static inline int is_baichuan(const struct score_config *config)
{
    return strcmp(config->architecture, "baichuan") == 0;
}

/* A layer's matrix, which GPT-2 and Crystal store with a row for each input. */
REFERENCE_SUM static inline void transform(const struct score_config *config,
                                           const struct tensor_view *weight, const struct tensor_view *bias,
                                           const double *x, double *y)
{
    if (!is_gpt2(config) && !is_crystal(config)) {
        linear(weight, bias, x, y);
        return;
    }
    size_t inputs = weight->shape.dim[0], outputs = weight->shape.dim[1];
    for (size_t i = 0; i < outputs; i++) {
        y[i] = element(bias, i);
        for (size_t j = 0; j < inputs; j++)
            y[i] += element(weight, j * outputs + i) * x[j];
    }
}

static inline int is_bloom(const struct score_config *config)
{
    return strcmp(config->architecture, "bloom") == 0;
}

/* Queries, keys and values in one tensor. */
static inline int is_fused(const struct score_config *config)
{
    return is_neox(config) || is_gpt2(config) || is_crystal(config) || is_bloom(config);
}

/* By the paper: 8 heads have 1/2, 1/4, ... 1/256; others interpolate, which 12 heads do with four more. */
static inline double slope(const struct score_config *config, size_t head)
{
    size_t heads = config->head_count, whole = 1;
    while (whole * 2 <= heads)
        whole *= 2;
    double exponent = head < whole ? (double)(head + 1) / (double)whole
                                   : (2 * (double)(head - whole) + 1) / (2 * (double)whole);
    return is_bloom(config) ? pow(2, -8 * exponent) : 0;
}

static inline int is_modernbert(const struct score_config *config)
{
    return strcmp(config->architecture, "modernbert-decoder") == 0;
}

static inline int is_stablelm(const struct score_config *config)
{
    return strcmp(config->architecture, "stablelm") == 0;
}

/* Layer norms as Gemma's weights, and no gate. */
static inline int is_nemotron(const struct score_config *config)
{
    return strcmp(config->architecture, "nemotron") == 0;
}

static inline int has_layer_norms(const struct score_config *config)
{
    return is_stablelm(config) || is_nemotron(config) || is_modernbert(config) || is_fused(config) ||
           strcmp(config->architecture, "olmo") == 0 || strcmp(config->architecture, "hf_olmo") == 0;
}

static inline int is_olmo2(const struct score_config *config)
{
    return strcmp(config->architecture, "olmo2") == 0;
}

/* Also with experts. */
static inline int is_qwen3(const struct score_config *config)
{
    return strncmp(config->architecture, "qwen3", 5) == 0;
}

static inline int is_apertus(const struct score_config *config)
{
    return strcmp(config->architecture, "apertus") == 0;
}

/* Of each head of queries and keys. */
static inline int has_norms_of_heads(const struct score_config *config)
{
    return is_qwen3(config) || is_apertus(config) || strcmp(config->architecture, "opensci") == 0 ||
           strcmp(config->architecture, "dots1") == 0;
}

static inline int is_olmoe(const struct score_config *config)
{
    return strcmp(config->architecture, "olmoe") == 0;
}

/* What a norm multiplies with; 1 where it has no weights. Gemma and Nemotron store what exceeds 1. */
static inline double norm_weight(const struct score_config *config, const struct tensor_view *weight,
                                 size_t i)
{
    const double stored = weight->data ? element(weight, i) : 1;
    return strcmp(config->architecture, "gemma") == 0 || is_nemotron(config) ? 1 + stored : stored;
}

static inline void norm(const struct score_config *config, const struct tensor_view *weight,
                        const struct tensor_view *bias, const double *x, size_t count, double *y)
{
    double mean = 0, variance = 0;
    for (size_t i = 0; i < count && has_layer_norms(config); i++)
        mean += x[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (double)count;
    for (size_t i = 0; i < count; i++)
        y[i] = (x[i] - mean) / sqrt(variance + config->norm_epsilon) * norm_weight(config, weight, i) +
               element(bias, i);
}

/* Of pair j, in turns of 2 pi per position. */
static inline double frequency(const struct score_config *config, size_t j, int is_scaled)
{
    const struct score_rotary_scaling *scaling = &config->rotary_scaling;
    const double base =
        is_scaled || !(config->unscaled_rotary_base > 0) ? config->rotary_base : config->unscaled_rotary_base;
    double angle = pow(base, -2 * (double)j / (double)config->rotary_dimensions);
    if (scaling->kind == SCORE_ROTARY_LINEAR && is_scaled)
        return angle / scaling->factor;
    if (scaling->kind == SCORE_ROTARY_DEFAULT || !is_scaled)
        return angle;
    if (scaling->kind ==
        SCORE_ROTARY_YARN) { /* dimensions beside each other are as far apart in turns' logarithm */
        const double step = log(config->rotary_base) * 2 / (double)config->rotary_dimensions;
        const double once = log((double)scaling->original_positions / (2 * acos(-1)));
        const double first = fmax(floor((once - log(scaling->high_frequency_factor)) / step), 0);
        const double last = fmin(ceil((once - log(scaling->low_frequency_factor)) / step),
                                 (double)config->rotary_dimensions - 1);
        const double part = fmin(fmax(((double)j - first) / (last > first ? last - first : 0.001), 0), 1);
        return angle * (1 - part) + angle / scaling->factor * part;
    }
    double turns = (double)scaling->original_positions * angle / (2 * acos(-1));
    double high = (turns - scaling->low_frequency_factor) /
                  (scaling->high_frequency_factor - scaling->low_frequency_factor);
    high = high < 0 ? 0 : high > 1 ? 1 : high;
    return angle * (high + (1 - high) / scaling->factor);
}

static inline void rotate(const struct score_config *config, uint64_t layer, size_t position, double *x)
{
    const int is_scaled = !(config->unscaled_layers[layer / 8] & 1 << layer % 8);
    const double factor = config->rotary_scaling.kind == SCORE_ROTARY_YARN && is_scaled
                              ? config->rotary_scaling.attention_factor
                              : 1;
    size_t half = config->rotary_dimensions / 2;
    for (size_t j = 0; j < half; j++) {
        double angle = (double)position * frequency(config, j, is_scaled);
        const int is_neighbour = is_crystal(config) || is_pico(config);
        const size_t one = is_neighbour ? 2 * j : j, other = is_neighbour ? 2 * j + 1 : half + j;
        double a = x[one], b = x[other];
        x[one] = factor * (a * cos(angle) - b * sin(angle));
        x[other] = factor * (b * cos(angle) + a * sin(angle));
    }
}

static inline double activation(const struct score_config *config, double x)
{
    if (config->activation == SCORE_ACTIVATION_GELU)
        return 0.5 * x * erfc(-x / sqrt(2));
    if (config->activation == SCORE_ACTIVATION_GELU_TANH)
        return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    if (config->activation == SCORE_ACTIVATION_SILU)
        return x / (1 + exp(-x));
    if (config->activation == SCORE_ACTIVATION_RELU_SQUARED)
        return x > 0 ? x * x : 0;
    return x > 0 ? x : 0;
}

/* As transformers' XIELUActivation has it. */
static inline double xielu(const struct tensor_view *w, double x)
{
    const double beta = element(&w[SCORE_ROLE_XIELU_BETA], 0);
    const double epsilon = element(&w[SCORE_ROLE_XIELU_EPSILON], 0);
    if (x > 0)
        return log1p(exp(element(&w[SCORE_ROLE_XIELU_POSITIVE], 0))) * x * x + beta * x;
    return (expm1(x < epsilon ? x : epsilon) - x) *
               (beta + log1p(exp(element(&w[SCORE_ROLE_XIELU_NEGATIVE], 0)))) +
           beta * x;
}

#endif
