/*
 * Matrix products, and biases, where cuBLASLt has no algorithm. They have to be right for every shape, not
 * fast: tiles in shared memory, float32 arithmetic.
 */
#include "gpu/cuda/score_device.cuh"

#define TILE 64U  /* rows, and outputs, of a block */
#define DEPTH 16U /* inputs that it holds at once */
#define SIDE 16U  /* of its square of threads, each of which has every SIDE-th row and output */

static_assert(SIDE * SIDE == ROW_THREADS && TILE % SIDE == 0, "the square is the block");

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* Rows and inputs that are not there count as 0. */
template <typename T>
static __device__ __forceinline__ float element_at(const void *from, uint64_t row, uint64_t rows,
                                                   uint64_t column, uint64_t columns, uint64_t stride)
{
    return row < rows && column < columns ? to_float(((const T *)from)[row * stride + column]) : 0.0F;
}

template <typename T, typename Out> __global__ void product_kernel(const score_product p)
{
    __shared__ float left[DEPTH][TILE + 1];
    __shared__ float right[DEPTH][TILE + 1];
    const uint64_t tiles = (p.outputs + TILE - 1) / TILE;
    const uint64_t first_row = blockIdx.x / tiles * TILE, first_output = blockIdx.x % tiles * TILE;
    const uint32_t line = threadIdx.x / SIDE, lane = threadIdx.x % SIDE;
    float sums[TILE / SIDE][TILE / SIDE] = {};
    for (uint64_t first = 0; first < p.inputs; first += DEPTH) {
        for (uint32_t i = threadIdx.x; i < DEPTH * TILE; i += ROW_THREADS) {
            const uint32_t input = i % DEPTH, other = i / DEPTH; /* what lies side by side in memory */
            left[input][other] =
                element_at<T>(p.x, first_row + other, p.rows, first + input, p.inputs, p.x_stride);
            if (p.is_transposed)
                right[i / TILE][i % TILE] =
                    element_at<T>(p.weights, first + i / TILE, p.inputs, first_output + i % TILE, p.outputs,
                                  p.weights_stride);
            else
                right[input][other] = element_at<T>(p.weights, first_output + other, p.outputs, first + input,
                                                    p.inputs, p.weights_stride);
        }
        __syncthreads();
        for (uint32_t input = 0; input < DEPTH; input++)
#pragma unroll
            for (uint32_t i = 0; i < TILE / SIDE; i++)
#pragma unroll
                for (uint32_t j = 0; j < TILE / SIDE; j++)
                    sums[i][j] += left[input][line + i * SIDE] * right[input][lane + j * SIDE];
        __syncthreads();
    }
#pragma unroll
    for (uint32_t i = 0; i < TILE / SIDE; i++)
#pragma unroll
        for (uint32_t j = 0; j < TILE / SIDE; j++) {
            const uint64_t row = first_row + line + i * SIDE, output = first_output + lane + j * SIDE;
            if (row >= p.rows || output >= p.outputs)
                continue;
            Out *place = (Out *)p.out + row * p.out_stride + output;
            *place = from_float<Out>(p.factor * sums[i][j] + (p.is_sum ? to_float(*place) : 0.0F));
        }
}

template <typename T>
__global__ void bias_kernel(T *x, const T *bias, uint64_t count, uint64_t width, uint64_t stride)
{
    const uint64_t i = (uint64_t)blockIdx.x * ROW_THREADS + threadIdx.x;
    if (i >= count)
        return; // guard
    T *place = x + i / width * stride + i % width;
    *place = from_float<T>(to_float(*place) + to_float(bias[i % width]));
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

template <typename T, typename Out>
static cudaError_t multiply(const score_product *product, cudaStream_t stream)
{
    const uint64_t blocks = (product->rows + TILE - 1) / TILE * ((product->outputs + TILE - 1) / TILE);
    if (blocks > INT32_MAX)
        return cudaErrorInvalidValue;
    product_kernel<T, Out><<<(unsigned)blocks, ROW_THREADS, 0, stream>>>(*product);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t add_bias(void *x, const void *bias, uint64_t rows, uint64_t width, uint64_t stride,
                            cudaStream_t stream)
{
    bias_kernel<T><<<blocks_for(rows * width, ROW_THREADS), ROW_THREADS, 0, stream>>>(
        (T *)x, (const T *)bias, rows * width, width, stride);
    return cudaGetLastError();
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t score_launch_product(enum score_type type, enum score_type out_type,
                                            const struct score_product *product, cudaStream_t stream)
{
    if (type != SCORE_TYPE_F32 && out_type == type)
        return type == SCORE_TYPE_F16 ? multiply<__half, __half>(product, stream)
                                      : multiply<__nv_bfloat16, __nv_bfloat16>(product, stream);
#define CALL(T) multiply<T, float>(product, stream)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}

extern "C" cudaError_t score_launch_bias(enum score_type type, void *x, const void *bias, uint64_t rows,
                                         uint64_t width, uint64_t stride, cudaStream_t stream)
{
#define CALL(T) add_bias<T>(x, bias, rows, width, stride, stream)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}
