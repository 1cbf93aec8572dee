#include "gpu/cuda/score_experts.h"

/* Of either kind of router. */
static cudaError_t launch_choice(struct run *run, const struct cuda_layer *layer,
                                 const struct score_routes *routes)
{
    const struct score_config *config = &run->model->config;
    cudaStream_t stream = run->model->device->stream;
    return config->router == SCORE_ROUTER_SIGMOID
               ? score_launch_choose_by_sigmoid(run->router_logits, layer->router_bias,
                                                config->has_normalised_router, SCORE_ROUTER_SUM_MIN,
                                                score_factor(config->router_scale), routes, stream)
               : score_launch_choose(run->router_logits, config->has_normalised_router, routes, stream);
}

/* The router's logits, in float32, and what follows from them: who goes where. */
static int route(struct run *run, const struct cuda_layer *layer, const void *x,
                 const struct score_routes *routes, struct err *err)
{
    struct cuda_model *model = run->model;
    struct cuda_device *device = model->device;
    const struct gemm_product router = {.weights = layer->matrices[MODEL_MATRIX_ROUTER],
                                        .x = x,
                                        .out = run->router_logits,
                                        .outputs = model->config.expert_count,
                                        .inputs = model->config.hidden_size,
                                        .rows = routes->rows,
                                        .is_wide = 1};
    int code = gemm_run(&model->gemm, &router, err);
    if (code || (code = CUDA_CHECK(device, launch_choice(run, layer, routes), err)))
        return code;
    return CUDA_CHECK(device, score_launch_group(routes, device->stream), err);
}

/* Where each expert's rows begin, to the host, which waits for it. */
static int read_begins(struct run *run, const struct score_routes *routes, struct err *err)
{
    struct cuda_device *device = run->model->device;
    const size_t size_bytes = ((size_t)routes->experts + 1) * sizeof(uint32_t);
    int code = CUDA_CHECK(
        device,
        cudaMemcpyAsync(run->host_begins, routes->begins, size_bytes, cudaMemcpyDeviceToHost, device->stream),
        err);
    return code ? code : device_wait(device, err);
}

/* One of the two products of every expert, over its rows. */
static int multiply_all(struct run *run, const unsigned char *weights, uint64_t weights_bytes,
                        const struct gemm_product *all, struct err *err)
{
    struct cuda_model *model = run->model;
    const size_t type_bytes = score_type_bytes(model->type);
    const size_t x_bytes = (size_t)all->x_stride * type_bytes;
    const size_t out_bytes = (size_t)all->outputs * (all->is_wide ? sizeof(float) : type_bytes);
    int code = 0;
    for (uint64_t expert = 0; expert < model->config.expert_count && !code; expert++) {
        const uint32_t begin = run->host_begins[expert];
        struct gemm_product product = *all;
        product.weights = weights + expert * weights_bytes;
        product.x = (const unsigned char *)all->x + begin * x_bytes;
        product.out = (unsigned char *)all->out + begin * out_bytes;
        product.rows = run->host_begins[expert + 1] - begin;
        code = gemm_run(&model->gemm, &product, err);
    }
    return code;
}

static int run_experts(struct run *run, const struct cuda_layer *layer, const void *x, uint64_t rows,
                       float *hidden, struct err *err)
{
    struct cuda_model *model = run->model;
    struct cuda_device *device = model->device;
    cudaStream_t stream = device->stream;
    struct score_routes routes = run->routes;
    routes.rows = (uint32_t)rows;
    const uint32_t choices = routes.rows * routes.per_input, wide = (uint32_t)model->config.intermediate_size;
    const uint64_t d = model->config.hidden_size;
    const struct gemm_product up = {
        .x = run->grouped, .x_stride = d, .out = run->wide, .outputs = model->up_width, .inputs = d};
    const struct gemm_product down = {.x = run->wide,
                                      .x_stride = model->up_width,
                                      .out = run->answers,
                                      .outputs = d,
                                      .inputs = wide,
                                      .is_wide = 1};
    int code;
    if ((code = route(run, layer, x, &routes, err)) ||
        (code =
             CUDA_CHECK(device,
                        score_launch_gather(x, routes.inputs, choices,
                                            (size_t)d * score_type_bytes(model->type), run->grouped, stream),
                        err)) ||
        (code = read_begins(run, &routes, err)) ||
        (code =
             multiply_all(run, layer->matrices[MODEL_MATRIX_EXPERTS_UP], model->expert_up_bytes, &up, err)) ||
        (code = CUDA_CHECK(device,
                           score_launch_gate(model->type, (int)model->config.activation, run->wide, choices,
                                             wide, model->up_width, stream),
                           err)) ||
        (code = multiply_all(run, layer->matrices[MODEL_MATRIX_EXPERTS_DOWN], model->expert_down_bytes, &down,
                             err)))
        return code;
    return CUDA_CHECK(device, score_launch_answer(run->answers, &routes, (uint32_t)d, hidden, stream), err);
}

/* The MLP beside the experts, or in their place: a gate, and no biases. */
static int run_beside(struct run *run, const struct cuda_layer *layer, const void *x, uint64_t rows,
                      float *hidden, struct err *err)
{
    struct cuda_model *model = run->model;
    struct cuda_device *device = model->device;
    const uint64_t size = layer->mlp_size;
    const struct gemm_product up = {.weights = layer->matrices[MODEL_MATRIX_MLP_UP],
                                    .x = x,
                                    .out = run->wide,
                                    .outputs = 2 * size,
                                    .inputs = model->config.hidden_size,
                                    .rows = rows};
    const struct gemm_product down = {.weights = layer->matrices[MODEL_MATRIX_BESIDE_DOWN],
                                      .x = run->wide,
                                      .x_stride = 2 * size,
                                      .out = hidden,
                                      .outputs = model->config.hidden_size,
                                      .inputs = size,
                                      .rows = rows,
                                      .is_sum = 1};
    int code = gemm_run(&model->gemm, &up, err);
    if (code ||
        (code = CUDA_CHECK(device,
                           score_launch_gate(model->type, (int)model->config.activation, run->wide,
                                             (uint32_t)rows, (uint32_t)size, 2 * size, device->stream),
                           err)))
        return code;
    return gemm_run(&model->gemm, &down, err);
}

int experts_run_layer(struct run *run, const struct cuda_layer *layer, const void *x, uint64_t rows,
                      float *hidden, struct err *err)
{
    const int has_experts = layer->matrices[MODEL_MATRIX_ROUTER] != NULL;
    int code = has_experts ? run_experts(run, layer, x, rows, hidden, err) : 0;
    return code || !layer->mlp_size ? code : run_beside(run, layer, x, rows, hidden, err);
}
