/*
 * Every kind of product (gpu/cuda/score_gemm.h) against float64, by cuBLASLt and by what takes its place:
 * shapes that are no multiple of a tile, gaps between rows, memory that begins at any element.
 */
#include "tests/emulation/test_products.h"

#include "gpu/cuda/score_gemm.h"
#include "gpu/half.h"
#include "tests/emulation/checks.h"
#include "tests/emulation/runtime.h"

#include <math.h>
#include <string.h>

enum { OUTPUTS = 67, INPUTS = 37, ROWS = 70, GAP = 3, SHIFT = 1, ELEMENTS = 8192 };

/* A matrix on the host as float32, and on the device in its type, from the second element on. */
struct matrix {
    enum score_type type;
    float host[ELEMENTS];
    unsigned char bytes[ELEMENTS * sizeof(float)];
    void *memory;
};

static struct matrix weights, x, out, bias;

static float rounded(enum score_type type, float value)
{
    return type == SCORE_TYPE_F16    ? half_from_f16(half_to_f16(value))
           : type == SCORE_TYPE_BF16 ? half_from_bf16(half_to_bf16(value))
                                     : value;
}

static void *place(const struct matrix *matrix)
{
    return (unsigned char *)matrix->memory + SHIFT * score_type_bytes(matrix->type);
}

static int fill(struct cuda_device *device, struct matrix *matrix, enum score_type type, unsigned seed,
                struct err *err)
{
    matrix->type = type;
    for (size_t i = 0; i < ELEMENTS; i++) {
        seed = seed * 1664525U + 1013904223U;
        const float value = matrix->host[i] = rounded(type, (float)(seed >> 8) / (1 << 23) - 1);
        const uint16_t half = type == SCORE_TYPE_F16 ? half_to_f16(value) : half_to_bf16(value);
        const size_t size = score_type_bytes(type);
        memcpy(matrix->bytes + i * size, type == SCORE_TYPE_F32 ? (const void *)&value : &half, size);
    }
    int code = device_take(device, sizeof matrix->bytes, &matrix->memory, err);
    return code ? code
                : CUDA_CHECK(device,
                             cudaMemcpyAsync(matrix->memory, matrix->bytes, sizeof matrix->bytes,
                                             cudaMemcpyHostToDevice, device->stream),
                             err);
}

static double activated(enum gemm_epilogue epilogue, double v)
{
    return epilogue == GEMM_EPILOGUE_BIAS_RELU && v < 0 ? 0
           : epilogue == GEMM_EPILOGUE_BIAS_GELU_TANH
               ? 0.5 * v * (1 + tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)))
               : v;
}

static double wanted(const struct gemm_product *product, size_t row, size_t output)
{
    double sum = 0;
    for (size_t i = 0; i < product->inputs; i++)
        sum += (double)x.host[SHIFT + row * product->x_stride + i] *
               (double)weights.host[SHIFT + (product->is_transposed ? i * product->weights_stride + output
                                                                    : output * product->weights_stride + i)];
    sum *= (double)product->factor;
    if (product->is_sum)
        sum += (double)out.host[SHIFT + row * product->out_stride + output];
    if (product->epilogue != GEMM_EPILOGUE_NONE)
        sum += (double)bias.host[SHIFT + output];
    return activated(product->epilogue, sum);
}

/* The largest difference in units of what roundings explain: float32's of the sum, three of the result's type
 * (of the product, the bias, the activation), whose values are below 8. What lies between the rows stays. */
static double difference(const struct gemm_product *product)
{
    const double step = out.type == SCORE_TYPE_F32 ? 0x1p-24 : out.type == SCORE_TYPE_BF16 ? 0x1p-9 : 0x1p-12;
    double largest = 0;
    for (size_t i = 0; i < ROWS * product->out_stride; i++) {
        const size_t size = score_type_bytes(out.type), row = i / product->out_stride,
                     output = i % product->out_stride;
        const unsigned char *at = out.bytes + (SHIFT + i) * size;
        float value;
        uint16_t half;
        memcpy(&half, at, sizeof half);
        memcpy(&value, at, sizeof value);
        value = out.type == SCORE_TYPE_F16    ? half_from_f16(half)
                : out.type == SCORE_TYPE_BF16 ? half_from_bf16(half)
                                              : value;
        if (output >= product->outputs)
            CHECK(value == out.host[SHIFT + i]);
        else
            largest =
                fmax(largest, fabs((double)value - wanted(product, row, output)) / (3 * 8 * step + 0x1p-19));
    }
    return largest;
}

static void check(struct cuda_device *device, enum score_type type, struct gemm_product product)
{
    struct err err = ERR_INIT;
    struct gemm gemm;
    const int is_wide = product.is_wide || product.is_sum;
    CHECK(fill(device, &weights, type, 1, &err) == 0 && fill(device, &x, type, 2, &err) == 0);
    CHECK(fill(device, &out, is_wide ? SCORE_TYPE_F32 : type, 3, &err) == 0);
    CHECK(fill(device, &bias, out.type, 4, &err) == 0);
    product.weights = place(&weights);
    product.x = place(&x);
    product.out = place(&out);
    product.bias = product.epilogue != GEMM_EPILOGUE_NONE ? place(&bias) : NULL;
    CHECK(gemm_init(&gemm, device, type, &err) == 0 && gemm_run(&gemm, &product, &err) == 0);
    CHECK(CUDA_CHECK(device,
                     cudaMemcpyAsync(out.bytes, out.memory, sizeof out.bytes, cudaMemcpyDeviceToHost,
                                     device->stream),
                     &err) == 0 &&
          device_wait(device, &err) == 0);
    CHECK(difference(&product) <= 1);
    gemm_done(&gemm);
    struct matrix *const all[] = {&weights, &x, &out, &bias};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        device_drop(device, all[i]->memory, sizeof all[i]->bytes);
}

int products_fail(void)
{
    const unsigned lacking[] = {0, EMULATION_LACKS_EPILOGUES,
                                EMULATION_LACKS_PRODUCTS | EMULATION_LACKS_LATE};
    for (size_t i = 0; i < sizeof lacking / sizeof lacking[0]; i++) {
        const struct emulation_device as = {.seed = 3,
                                            .haste = 30,
                                            .multiprocessor_count = 2,
                                            .shared_bytes_max = 99 << 10,
                                            .memory_bytes = 1ULL << 30,
                                            .lacks = lacking[i]};
        struct cuda_device *device = NULL;
        struct err err = ERR_INIT;
        emulation_reset(&as);
        CHECK(device_new(0, 0, &device, &err) == 0);
        for (unsigned kind = 0; kind < 12; kind++) { /* types, what is done with the result; either layout */
            const enum score_type type = (enum score_type)(kind % 3);
            const int is_transposed = kind % 2;
            const unsigned use = kind / 3;
            const struct gemm_product product = {.outputs = OUTPUTS,
                                                 .inputs = INPUTS,
                                                 .rows = ROWS,
                                                 .weights_stride = (is_transposed ? OUTPUTS : INPUTS) + GAP,
                                                 .x_stride = INPUTS + GAP,
                                                 .out_stride = OUTPUTS + GAP,
                                                 .is_transposed = is_transposed,
                                                 .factor = 0.5F,
                                                 .is_sum = use == 1,
                                                 .is_wide = use == 2 || type == SCORE_TYPE_F32,
                                                 .epilogue = use == 0   ? GEMM_EPILOGUE_BIAS_GELU_TANH
                                                             : use == 1 ? GEMM_EPILOGUE_BIAS
                                                             : use == 2 ? GEMM_EPILOGUE_NONE
                                                                        : GEMM_EPILOGUE_BIAS_RELU};
            check(device, type, product);
        }
        device_free(device);
        CHECK(emulation_object_count() == 0);
    }
    return failures;
}
