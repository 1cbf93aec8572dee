#include "gpu/cpu/score_experts.h"

#include "gpu/cpu/score_scratch.h"

#include <math.h>
#include <string.h>

uint64_t score_routing_bytes(const struct score_config *config, size_t inputs)
{
    const uint64_t choices = (uint64_t)inputs * config->experts_per_input;
    if (!config->expert_count)
        return 0;
    return choices * (sizeof(struct score_choice) + sizeof(uint32_t)) +
           (config->expert_count + 1) * sizeof(uint32_t);
}

void score_routing_place(struct score_routing *routing, const struct score_config *config, size_t inputs,
                         void *memory)
{
    const size_t choices = inputs * (size_t)config->experts_per_input;
    *routing = (struct score_routing){.choices = NULL};
    if (!config->expert_count)
        return;
    routing->choices = memory;
    routing->begins = (uint32_t *)(void *)(routing->choices + choices);
    routing->order = routing->begins + config->expert_count + 1;
}

/* The experts with the largest sums of score and bias, where there is one; `weight` is the sum. */
static void take_largest(const float *scores, const float *bias, uint32_t experts, size_t wanted,
                         struct score_choice *choices)
{
    size_t count = 0;
    for (uint32_t expert = 0; expert < experts; expert++) {
        const float key = bias ? scores[expert] + bias[expert] : scores[expert];
        size_t place = count < wanted ? count++ : wanted;
        for (; place > 0 && key > choices[place - 1].weight; place--)
            if (place < wanted)
                choices[place] = choices[place - 1];
        if (place < wanted)
            choices[place] = (struct score_choice){.expert = expert, .weight = key};
    }
}

/* Weights of the chosen ones, from `scores`; their sum is at least `least`. */
static void weigh(const struct score_config *config, const float *scores, float least, float scale,
                  struct score_choice *choices)
{
    const size_t wanted = (size_t)config->experts_per_input;
    float sum = least;
    for (size_t i = 0; i < wanted; i++) {
        choices[i].weight = scores[choices[i].expert];
        sum += choices[i].weight;
    }
    for (size_t i = 0; i < wanted; i++)
        choices[i].weight =
            (config->has_normalised_router ? choices[i].weight / sum : choices[i].weight) * scale;
}

static void choose_by_sigmoid(const struct score_config *config, const float *bias, float *logits,
                              struct score_choice *choices)
{
    const uint32_t experts = (uint32_t)config->expert_count;
    float spoilt = 0; /* NaN if any is */
    for (uint32_t expert = 0; expert < experts; expert++) {
        logits[expert] = 1 / (1 + expf(-logits[expert]));
        const float key = logits[expert] + bias[expert];
        spoilt += isnan(key) ? key : 0;
    }
    take_largest(logits, bias, experts, (size_t)config->experts_per_input, choices);
    weigh(config, logits, SCORE_ROUTER_SUM_MIN, score_factor(config->router_scale) + spoilt, choices);
}

void score_experts_choose(const struct score_kernels *kernels, const struct score_config *config,
                          const float *bias, float *logits, struct score_choice *choices)
{
    const uint32_t experts = (uint32_t)config->expert_count;
    if (config->router == SCORE_ROUTER_SIGMOID) {
        choose_by_sigmoid(config, bias, logits, choices);
        return;
    }
    take_largest(logits, NULL, experts, (size_t)config->experts_per_input, choices);
    kernels->softmax(logits, experts, 1);
    weigh(config, logits, 0, 1, choices);
}

/* Orders the choices by expert; those of one expert stay in the order of the inputs. */
static void group(const struct score_routing *routing, size_t experts, size_t choices)
{
    uint32_t *begins = routing->begins;
    memset(begins, 0, (experts + 1) * sizeof(*begins));
    for (size_t i = 0; i < choices; i++)
        begins[routing->choices[i].expert + 1]++;
    for (size_t expert = 0; expert < experts; expert++)
        begins[expert + 1] += begins[expert];
    for (size_t i = 0; i < choices; i++)
        routing->order[begins[routing->choices[i].expert]++] = (uint32_t)i;
    /* Each begin has moved to its end, which is the next one's begin. */
    memmove(begins + 1, begins, experts * sizeof(*begins));
    begins[0] = 0;
}

static void scale(float *x, size_t count, float factor)
{
    for (size_t i = 0; i < count; i++)
        x[i] *= factor;
}

/* One expert's answers to its inputs. */
static void run_expert(const struct cpu_score_model *model, const struct score_expert *expert,
                       const struct score_scratch *scratch, const uint32_t *order, size_t count,
                       const float *x, float *residual)
{
    const size_t d = (size_t)model->config.hidden_size, up = model->up_width;
    const size_t width = (size_t)model->config.intermediate_size;
    const size_t per_input = (size_t)model->config.experts_per_input;
    float *rows = scratch->attended, *wide = scratch->wide;
    for (size_t i = 0; i < count; i++)
        memcpy(rows + i * d, x + order[i] / per_input * d, d * sizeof(float));
    const struct gemm_rows up_rows = {
        .count = count, .a = rows, .a_stride = d, .out = wide, .out_stride = up};
    const struct gemm_rows down_rows = {
        .count = count, .a = wide, .a_stride = up, .out = rows, .out_stride = d};
    gemm_multiply(&expert->up, 0, up, &up_rows, scratch->workspace);
    for (size_t i = 0; i < count; i++)
        model->kernels->gate(model->config.activation, wide + i * up, wide + i * up + width, width);
    gemm_multiply(&expert->down, 0, d, &down_rows, scratch->workspace);
    for (size_t i = 0; i < count; i++) {
        scale(rows + i * d, d, scratch->routing.choices[order[i]].weight);
        model->kernels->add(residual + order[i] / per_input * d, rows + i * d, d);
    }
}

void score_experts_run(const struct cpu_score_model *model, const struct score_layer *layer,
                       const struct score_scratch *scratch, const float *x, size_t rows, float *residual)
{
    const struct score_routing *routing = &scratch->routing;
    const size_t d = (size_t)model->config.hidden_size, experts = (size_t)model->config.expert_count;
    const size_t per_input = (size_t)model->config.experts_per_input;
    float *logits = scratch->wide;
    const struct gemm_rows all = {.count = rows, .a = x, .a_stride = d, .out = logits, .out_stride = experts};
    gemm_multiply(&layer->matrices[SCORE_MATRIX_ROUTER], 0, experts, &all, scratch->workspace);
    for (size_t i = 0; i < rows; i++)
        score_experts_choose(model->kernels, &model->config, layer->vectors[SCORE_VECTOR_ROUTER_BIAS],
                             logits + i * experts, routing->choices + i * per_input);
    group(routing, experts, rows * per_input);
    for (size_t expert = 0; expert < experts; expert++) {
        const uint32_t *order = routing->order + routing->begins[expert];
        run_expert(model, &layer->experts[expert], scratch, order,
                   routing->begins[expert + 1] - routing->begins[expert], x, residual);
    }
}
