#include "gpu/cuda/score_gemm.h"

#include "gpu/cuda/score_gemm_blas.h"

#include <stdio.h>
#include <string.h>

int gemm_init(struct gemm *gemm, struct cuda_device *device, enum score_type type, struct err *err)
{
    *gemm = (struct gemm){.device = device, .type = type};
    if (!device->kept) {
        device->kept = gemm_plans_new();
        device->free_kept = gemm_plans_free;
    }
    gemm->plans = device->kept;
    return gemm->plans ? 0 : err_set(err, ERR_NO_MEMORY, "no memory for the plans of matrix products");
}

void gemm_done(struct gemm *gemm)
{
    *gemm = (struct gemm){.device = NULL};
}

static uint64_t stride_of(uint64_t stride, uint64_t width)
{
    return stride ? stride : width;
}

/* Strides that are 0 are those without gaps. */
static struct gemm_product with_strides(const struct gemm_product *product)
{
    struct gemm_product made = *product;
    made.weights_stride =
        stride_of(product->weights_stride, product->is_transposed ? product->outputs : product->inputs);
    made.x_stride = stride_of(product->x_stride, product->inputs);
    made.out_stride = stride_of(product->out_stride, product->outputs);
    return made;
}

/* Each shape once, as far as there is room. */
static void note_slow(struct gemm *gemm, const struct gemm_product *product, int is_own)
{
    char text[96];
    const size_t used = strlen(gemm->slow);
    const int length = snprintf(text, sizeof text, "%s[%llu inputs, %llu outputs: %s]", used ? " " : "",
                                (unsigned long long)product->inputs, (unsigned long long)product->outputs,
                                is_own ? "all of it" : "bias and activation");
    if (!strstr(gemm->slow, text + (used ? 1 : 0)) && used + (size_t)length < sizeof gemm->slow)
        memcpy(gemm->slow + used, text, (size_t)length + 1);
}

static int multiply_alone(struct gemm *gemm, const struct gemm_product *product, struct err *err)
{
    const struct score_product alone = {.weights = product->weights,
                                        .x = product->x,
                                        .out = product->out,
                                        .outputs = product->outputs,
                                        .inputs = product->inputs,
                                        .rows = product->rows,
                                        .weights_stride = product->weights_stride,
                                        .x_stride = product->x_stride,
                                        .out_stride = product->out_stride,
                                        .is_transposed = product->is_transposed,
                                        .is_sum = product->is_sum,
                                        .factor = score_factor((double)product->factor)};
    return CUDA_CHECK(
        gemm->device,
        score_launch_product(gemm->type, gemm_out_type(gemm, product), &alone, gemm->device->stream), err);
}

/* What the product's epilogue was to do. */
static int add_epilogue(struct gemm *gemm, const struct gemm_product *product, struct err *err)
{
    const enum score_type type = gemm_out_type(gemm, product);
    cudaStream_t stream = gemm->device->stream;
    int code = 0;
    if (product->epilogue != GEMM_EPILOGUE_NONE)
        code = CUDA_CHECK(gemm->device,
                          score_launch_bias(type, product->out, product->bias, product->rows,
                                            product->outputs, product->out_stride, stream),
                          err);
    if (code || product->epilogue == GEMM_EPILOGUE_NONE || product->epilogue == GEMM_EPILOGUE_BIAS)
        return code;
    return CUDA_CHECK(
        gemm->device,
        score_launch_activate(
            type,
            product->epilogue == GEMM_EPILOGUE_BIAS_RELU ? SCORE_ACTIVATION_RELU : SCORE_ACTIVATION_GELU_TANH,
            product->out, (uint32_t)product->rows, (uint32_t)product->outputs, product->out_stride, stream),
        err);
}

int gemm_run(struct gemm *gemm, const struct gemm_product *product, struct err *err)
{
    const struct gemm_product whole = with_strides(product);
    struct gemm_product bare = whole;
    int is_refused = 0, code;
    if (product->rows == 0 || product->outputs == 0)
        return 0;
    code = gemm_blas_run(gemm, &whole, &is_refused, err);
    if (code || !is_refused)
        return code;
    bare.epilogue = GEMM_EPILOGUE_NONE;
    if (whole.epilogue != GEMM_EPILOGUE_NONE && (code = gemm_blas_run(gemm, &bare, &is_refused, err)))
        return code;
    note_slow(gemm, &whole, is_refused);
    if (is_refused && (code = multiply_alone(gemm, &bare, err)))
        return code;
    return add_epilogue(gemm, &whole, err);
}
