/*
 * The second pass: central power sums around the columns' means, and counts of the centred values.
 */
#include "gpu/cuda/statistics_device.cuh"

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* float16 code of a centred value; every NaN is one code. */
static __device__ __forceinline__ uint32_t centred_code(float value, float scale, float centre)
{
    const float centred = __fsub_rn(__fmul_rn(value, scale), centre);
    const uint32_t bits = __half_as_ushort(__float2half_rn(centred));
    return (bits & 0x7fffU) > 0x7c00U ? 0x7e00U : bits;
}

template <int KIND>
__global__ void __launch_bounds__(STATISTICS_THREADS, 1)
    statistics_second_kernel(const statistics_grid grid, const statistics_second pass)
{
    using E = element<KIND>;
    extern __shared__ uint32_t words[];
    __shared__ double room[STATISTICS_THREADS];
    const bool has_padding = grid.parts[1] != 0;
    /* Neighbouring blocks have different roles on the same items: all rows or tokens, half of the codes. */
    const uint32_t roles = grid.slices * (has_padding ? 2U : 1U), role = blockIdx.x % roles;
    const uint32_t slice = role % grid.slices, set = role / grid.slices; /* 0: all, 1: tokens */
    const bool has_sums = role == 0;
    const table counters = {words, slice * (CODES / grid.slices), CODES / grid.slices};
    unsigned long long *totals = pass.counts + (size_t)set * CODES;
    const float scale = set ? pass.scales[1] : pass.scales[0];
    const uint32_t line = threadIdx.x / grid.lanes, step = grid.lines * STATISTICS_UNROLL;
    const uint64_t items = item_count(grid, set ? 1 : STATISTICS_SEGMENTS);
    table_clear(counters);
    for (uint64_t index = blockIdx.x / roles; index < items; index += gridDim.x / roles) {
        const item at = item_at(grid, index, E::vector);
        double mean[E::vector], m2[E::vector] = {}, m3[E::vector] = {}, m4[E::vector] = {};
        float centre[E::vector];
#pragma unroll
        for (uint32_t j = 0; j < E::vector; j++) {
            const bool is_column = j < at.columns;
            mean[j] = is_column ? pass.means[(uint64_t)at.segment * grid.columns + at.column + j] : 0.0;
            centre[j] = is_column ? pass.centres[(uint64_t)set * grid.columns + at.column + j] : 0.0F;
        }
        uint4 now[STATISTICS_UNROLL], next[STATISTICS_UNROLL];
        for (uint64_t base = at.row_begin; base < at.row_end + step; base += step) {
#pragma unroll
            for (uint32_t u = 0; u < STATISTICS_UNROLL; u++)
                next[u] = load_row(pass.data, grid, at, base + u * grid.lines + line, E::bytes);
            if (base > at.row_begin) {
#pragma unroll
                for (uint32_t u = 0; u < STATISTICS_UNROLL; u++) {
                    if (base - step + u * grid.lines + line >= at.row_end)
                        continue;
#pragma unroll
                    for (uint32_t j = 0; j < E::vector; j++) {
                        if (j >= at.columns)
                            continue;
                        const uint32_t bits = E::bits(now[u], j);
                        const float value = E::value(bits);
                        table_count(counters, centred_code(value, scale, centre[j]), totals);
                        if (has_sums && E::is_finite(bits)) {
                            const double difference = (double)value - mean[j];
                            const double square = difference * difference;
                            m2[j] += square;
                            m3[j] += square * difference;
                            m4[j] += square * square;
                        }
                    }
                }
                __syncthreads(); /* bounds what counters gain between barriers */
            }
#pragma unroll
            for (uint32_t u = 0; u < STATISTICS_UNROLL; u++)
                now[u] = next[u];
        }
        if (!has_sums)
            continue;
#pragma unroll
        for (uint32_t j = 0; j < E::vector; j++) {
            const double sum2 = lines_sum(grid, room, m2[j]);
            const double sum3 = lines_sum(grid, room, m3[j]);
            const double sum4 = lines_sum(grid, room, m4[j]);
            if (line == 0 && j < at.columns) {
                double *sums = pass.sums + at.part * 3 * grid.columns + at.column + j;
                sums[0] = sum2;
                sums[grid.columns] = sum3;
                sums[2 * grid.columns] = sum4;
            }
        }
    }
    table_flush(counters, totals);
}

__global__ void statistics_join_second_kernel(const statistics_grid grid, const double *sums, double *joined)
{
    const uint64_t place = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (place >= 3 * grid.columns)
        return; // guard
    uint64_t part = 0;
    for (int segment = 0; segment < STATISTICS_SEGMENTS; segment++) {
        const uint64_t end = part + grid.parts[segment];
        double sum = 0;
        for (; part < end; part++)
            sum += sums[part * 3 * grid.columns + place];
        joined[(uint64_t)segment * 3 * grid.columns + place] = sum;
    }
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

template <int KIND>
static cudaError_t launch_second(const statistics_grid *grid, const statistics_second *pass,
                                 cudaStream_t stream)
{
    const int bytes = (int)table_bytes(grid);
    cudaError_t status = cudaFuncSetAttribute(statistics_second_kernel<KIND>,
                                              cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (status != cudaSuccess)
        return status;
    statistics_second_kernel<KIND>
        <<<grid->block_count, STATISTICS_THREADS, (size_t)bytes, stream>>>(*grid, *pass);
    return cudaGetLastError();
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t statistics_launch_second(const struct statistics_grid *grid,
                                                const struct statistics_second *pass, cudaStream_t stream)
{
    if (grid->kind == STATISTICS_KIND_F16)
        return launch_second<STATISTICS_KIND_F16>(grid, pass, stream);
    if (grid->kind == STATISTICS_KIND_BF16)
        return launch_second<STATISTICS_KIND_BF16>(grid, pass, stream);
    return launch_second<STATISTICS_KIND_F32>(grid, pass, stream);
}

extern "C" cudaError_t statistics_launch_join_second(const struct statistics_grid *grid, const double *sums,
                                                     double *joined, cudaStream_t stream)
{
    const unsigned blocks = (unsigned)((3 * grid->columns + 127) / 128);
    statistics_join_second_kernel<<<blocks, 128, 0, stream>>>(*grid, sums, joined);
    return cudaGetLastError();
}
