#include "tests/gpu/bench.h"

#include "gpu/cuda/score_gemm.h"
#include "gpu/cuda/staging.h"
#include "gpu/half.h"

#include <math.h>
#include <stdlib.h>

#define COPY_BYTES ((size_t)4 << 30)
#define SENT_BYTES ((size_t)1 << 30)
#define PRODUCT_SIZE ((size_t)8192)
#define ALONE_ROWS ((size_t)1024) /* of the product without cuBLASLt */
#define ROW_BYTES ((size_t)1024)  /* of attention's projection in 70m, beside the MLP's 4 KB */
#define PITCH_BYTES ((size_t)5120)

struct copy {
    struct cuda_device *device;
    void *to;
    const void *from;
    size_t size_bytes;
    enum cudaMemcpyKind kind;
};

static int launch_copy(void *context, struct err *err)
{
    struct copy *copy = context;
    return CUDA_CHECK(
        copy->device,
        cudaMemcpyAsync(copy->to, copy->from, copy->size_bytes, copy->kind, copy->device->stream), err);
}

struct product {
    struct gemm gemm;
    struct gemm_product product;
};

static int launch_product(void *context, struct err *err)
{
    struct product *product = context;
    return gemm_run(&product->gemm, &product->product, err);
}

static int launch_rows(void *context, struct err *err)
{
    struct copy *copy = context;
    return CUDA_CHECK(copy->device,
                      cudaMemcpy2DAsync(copy->to, PITCH_BYTES, copy->from, ROW_BYTES, ROW_BYTES,
                                        copy->size_bytes / ROW_BYTES, copy->kind, copy->device->stream),
                      err);
}

static int copies(struct bench *bench, struct err *err)
{
    struct cuda_device *device = bench->device;
    void *a = NULL, *b = NULL, *pinned = NULL;
    double ms = -1;
    if (device_take(device, COPY_BYTES, &a, err) || device_take(device, COPY_BYTES, &b, err) ||
        CUDA_CHECK(device, cudaMemsetAsync(a, 1, COPY_BYTES, device->stream), err) ||
        CUDA_CHECK(device, cudaHostAlloc(&pinned, SENT_BYTES, cudaHostAllocDefault), err))
        goto out;
    struct copy inside = {device, b, a, COPY_BYTES, cudaMemcpyDeviceToDevice};
    if ((ms = bench_time_ms(bench, launch_copy, &inside, 10, err)) < 0)
        goto out;
    bench->copy_bytes_per_s = 2.0 * (double)COPY_BYTES / ms * 1e3;
    bench_print("copy bandwidth", bench->copy_bytes_per_s / 1e9, "GB/s", 0);
    struct copy sent = {device, a, pinned, SENT_BYTES, cudaMemcpyHostToDevice};
    if ((ms = bench_time_ms(bench, launch_copy, &sent, 10, err)) < 0)
        goto out;
    bench->pinned_bytes_per_s = (double)SENT_BYTES / ms * 1e3;
    bench_print("pinned host to device", bench->pinned_bytes_per_s / 1e9, "GB/s", 0);
    struct copy rows = {device, a, pinned, SENT_BYTES / 4, cudaMemcpyHostToDevice};
    if ((ms = bench_time_ms(bench, launch_rows, &rows, 10, err)) < 0)
        goto out;
    bench_print("pinned host to rows of 1 KB in 5", (double)rows.size_bytes / ms / 1e6, "GB/s",
                bench->pinned_bytes_per_s / 1e9);
out:
    if (pinned)
        (void)cudaFreeHost(pinned);
    device_drop(device, a, COPY_BYTES);
    device_drop(device, b, COPY_BYTES);
    return err->code;
}

/* From pageable memory through the staging ring. */
static int staged(struct bench *bench, struct err *err)
{
    struct cuda_device *device = bench->device;
    unsigned char *host = malloc(SENT_BYTES);
    void *to = NULL;
    double best = 0;
    if (!host)
        return err_set(err, ERR_NO_MEMORY, "no memory for a copy");
    bench_fill((uint16_t *)(void *)host, SENT_BYTES / 2, 1.0F, 3);
    if (device_take(device, SENT_BYTES, &to, err))
        goto out;
    for (int i = 0; i < 5; i++) {
        double begin = bench_now_s();
        if (staging_copy(device, device->stream, to, host, SENT_BYTES, err) || device_wait(device, err))
            goto out;
        double rate = (double)SENT_BYTES / (bench_now_s() - begin);
        best = rate > best ? rate : best;
    }
    bench_print("staged host to device", best / 1e9, "GB/s", bench->pinned_bytes_per_s / 1e9);
out:
    device_drop(device, to, SENT_BYTES);
    free(host);
    return err->code;
}

/* As score_gemm.c does it where cuBLASLt does not: a plain product, and the bias. */
static int launch_alone(void *context, struct err *err)
{
    const struct product *product = context;
    const struct gemm_product *how = &product->product;
    struct cuda_device *device = product->gemm.device;
    const struct score_product alone = {.weights = how->weights,
                                        .x = how->x,
                                        .out = how->out,
                                        .outputs = how->outputs,
                                        .inputs = how->inputs,
                                        .rows = how->rows,
                                        .weights_stride = how->inputs,
                                        .x_stride = how->inputs,
                                        .out_stride = how->outputs,
                                        .factor = 1};
    int code =
        CUDA_CHECK(device, score_launch_product(SCORE_TYPE_F16, SCORE_TYPE_F16, &alone, device->stream), err);
    return code ? code
                : CUDA_CHECK(device,
                             score_launch_bias(SCORE_TYPE_F16, how->out, how->bias, how->rows, how->outputs,
                                               how->outputs, device->stream),
                             err);
}

/* The last row of a result on the device. */
static int fetch_row(const struct product *product, uint16_t *row, struct err *err)
{
    const struct gemm_product *how = &product->product;
    struct cuda_device *device = product->gemm.device;
    int code =
        CUDA_CHECK(device,
                   cudaMemcpyAsync(row, (const uint16_t *)how->out + (how->rows - 1) * how->outputs,
                                   how->outputs * sizeof(*row), cudaMemcpyDeviceToHost, device->stream),
                   err);
    return code ? code : device_wait(device, err);
}

/* How fast is the way that no model needs whose products cuBLASLt does, and is it right? Sums of 8,192
 * products may differ by 2e-3, and float16 rounds three times: the sum, that and the bias, and all of it at
 * once. */
static int alone(struct bench *bench, struct product *product, struct err *err)
{
    const size_t count = product->product.outputs;
    uint16_t *rows = calloc(2 * count, sizeof(*rows));
    double ms = -1;
    product->product.rows = ALONE_ROWS;
    product->product.epilogue = GEMM_EPILOGUE_BIAS;
    product->product.bias = product->product.x;
    if (!rows) {
        (void)err_set(err, ERR_NO_MEMORY, "no memory for two rows");
    } else if (!launch_product(product, err) && !fetch_row(product, rows, err) &&
               (ms = bench_time_ms(bench, launch_alone, product, 3, err)) > 0 &&
               !fetch_row(product, rows + count, err)) {
        bench_print("product without cuBLASLt", 2e-9 * (double)(ALONE_ROWS * count * count) / ms, "TFLOP/s",
                    bench->product_flops / 1e12);
        for (size_t i = 0; i < count && !err->code; i++) {
            const double a = half_from_f16(rows[i]), b = half_from_f16(rows[count + i]);
            if (!(fabs(a - b) <= 3 * 0x1p-11 * (fabs(a) + 2) + 2e-3))
                (void)err_set(err, ERR_MISMATCH, "without cuBLASLt %zu is %g in the place of %g", i, b, a);
        }
    }
    free(rows);
    return err->code;
}

static int products(struct bench *bench, struct err *err)
{
    struct cuda_device *device = bench->device;
    const size_t count = PRODUCT_SIZE * PRODUCT_SIZE, bytes = count * sizeof(uint16_t);
    struct product product = {.gemm = {.plans = NULL}};
    uint16_t *host = malloc(bytes);
    void *memory = NULL;
    if (!host)
        return err_set(err, ERR_NO_MEMORY, "no memory for a product");
    bench_fill(host, count, 1.0F, 4);
    if (device_take(device, 3 * bytes, &memory, err) ||
        staging_copy(device, device->stream, memory, host, bytes, err))
        goto out;
    bench_fill(host, count, 1.0F, 5);
    unsigned char *at = memory;
    if (staging_copy(device, device->stream, at + bytes, host, bytes, err) ||
        gemm_init(&product.gemm, device, SCORE_TYPE_F16, err))
        goto out;
    product.product = (struct gemm_product){.weights = at,
                                            .x = at + bytes,
                                            .out = at + 2 * bytes,
                                            .outputs = PRODUCT_SIZE,
                                            .inputs = PRODUCT_SIZE,
                                            .rows = PRODUCT_SIZE};
    double ms = bench_time_ms(bench, launch_product, &product, 10, err);
    if (ms > 0) {
        bench->product_flops = 2.0 * (double)count * (double)PRODUCT_SIZE / ms * 1e3;
        bench_print("cuBLASLt float16 8192^3", bench->product_flops / 1e12, "TFLOP/s", 0);
        (void)alone(bench, &product, err);
    }
out:
    gemm_done(&product.gemm);
    device_drop(device, memory, 3 * bytes);
    free(host);
    return err->code;
}

int bench_ceilings(struct bench *bench, struct err *err)
{
    int code;
    if ((code = copies(bench, err)) || (code = staged(bench, err)))
        return code;
    return products(bench, err);
}
