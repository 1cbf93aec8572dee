/*
 * How the tables of a pass of statistics may be added up: every multiprocessor has one in shared memory, and
 * each code that occurs is an addition to the totals in device memory. Today's way beside five others, on
 * counts like those of a block that has read its share of pythia-12b's unembedding (float16, about normal).
 * Each way's sums must be the plain ones.
 *
 *     gpu_flush
 *
 * A row of CSV for each: microseconds that a kernel takes beyond one that only makes the tables, median
 * of 40. Exit status 1 if a sum is wrong, 77 without a GPU.
 */
#include "gpu/cuda/statistics_device.cuh"

#include <algorithm>
#include <cmath>
#include <cooperative_groups.h>
#include <cstdio>
#include <cstdlib>
#include <vector>

#define THREADS STATISTICS_FIRST_THREADS
#define TABLE_CODES STATISTICS_CODES_BELOW_2
#define TABLE_BYTES (TABLE_CODES * sizeof(uint32_t))
#define ELEMENTS ((double)50688 * 5120)
#define DEVIATION 0.02
#define ROUNDS 40

enum way { NOTHING, TODAY, CLUSTERS, HALF, PAIRS, CARRY, BULK_128, BULK_1024, WAYS };

static const char *const names[WAYS] = {"tables alone",
                                        "64-bit additions",
                                        "64-bit additions of clusters of two",
                                        "32-bit additions, sums below 2^32",
                                        "64-bit additions of two codes, sums below 2^32",
                                        "32-bit additions with a carry",
                                        "bulk reductions of 128 codes",
                                        "bulk reductions of 1024 codes"};

struct totals {
    unsigned long long *wide;
    uint32_t *narrow, *carries; /* of 32 bits, and what went beyond */
};

/* What a block has counted of a code: about the same in each. */
static __host__ __device__ __forceinline__ uint32_t count_of(uint32_t usual, uint32_t block, uint32_t code)
{
    return usual ? usual + (block * 2654435761U + code * 40503U) % 4 : 0;
}

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

[[maybe_unused]] static __device__ __forceinline__ void clear(uint32_t *words)
{
    for (uint32_t i = threadIdx.x; i < TABLE_CODES; i += THREADS)
        words[i] = 0;
}

/* Each block of a cluster adds one half of the codes, of both. */
static __device__ void flush_clusters(uint32_t *words, unsigned long long *totals)
{
#if __CUDA_ARCH__ >= 900
    const auto cluster = cooperative_groups::this_cluster();
    const uint32_t *others = cluster.map_shared_rank(words, cluster.block_rank() ^ 1);
    const uint32_t half = TABLE_CODES / 2, first = cluster.block_rank() * half;
    const uint32_t shift = half / gridDim.x * blockIdx.x / 32 * 32;
    cluster.sync();
    for (uint32_t i = threadIdx.x; i < half; i += FLUSH_AHEAD * THREADS) {
        uint32_t at[FLUSH_AHEAD], numbers[FLUSH_AHEAD];
#pragma unroll
        for (uint32_t k = 0; k < FLUSH_AHEAD; k++) {
            const uint32_t place = i + k * THREADS;
            at[k] = first + (place + shift < half ? place + shift : place + shift - half);
            numbers[k] = place < half ? words[at[k]] + others[at[k]] : 0;
        }
#pragma unroll
        for (uint32_t k = 0; k < FLUSH_AHEAD; k++)
            if (numbers[k])
                atomicAdd(&totals[at[k]], (unsigned long long)numbers[k]);
    }
    cluster.sync(); /* the other one has read */
    clear(words);
#endif
}

/* Without a carry the sums must be below 2^32: the additions are not waited for. */
template <bool HAS_CARRY> static __device__ void flush_narrow(uint32_t *words, const totals &to)
{
    const uint32_t shift = TABLE_CODES / gridDim.x * blockIdx.x / 32 * 32;
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < TABLE_CODES; i += THREADS) {
        const uint32_t at = i + shift < TABLE_CODES ? i + shift : i + shift - TABLE_CODES, number = words[at];
        if (!number)
            continue;
        const uint32_t before = atomicAdd(&to.narrow[at], number);
        if (HAS_CARRY && before + number < before)
            atomicAdd(&to.carries[at], 1U);
        words[at] = 0;
    }
}

/* Two 32-bit counters are one number of 64 bits: as long as the sums are below 2^32, nothing is carried from
 * one to the other. Half as many additions, of as many bytes. */
[[maybe_unused]] static __device__ void flush_pairs(uint32_t *words, uint32_t *totals)
{
    constexpr uint32_t pairs = TABLE_CODES / 2;
    const uint32_t shift = pairs / gridDim.x * blockIdx.x / 32 * 32;
    auto *own = (unsigned long long *)words, *to = (unsigned long long *)totals;
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < pairs; i += THREADS) {
        const uint32_t at = i + shift < pairs ? i + shift : i + shift - pairs;
        const unsigned long long two = own[at];
        if (!two)
            continue;
        atomicAdd(&to[at], two);
        own[at] = 0;
    }
}

/* The copy engine adds whole ranges, of which a warp looks whether anything is in them. */
template <uint32_t RANGE> static __device__ void flush_bulk(uint32_t *words, uint32_t *totals)
{
#if __CUDA_ARCH__ >= 900
    constexpr uint32_t ranges = TABLE_CODES / RANGE;
    const uint32_t lane = threadIdx.x % 32;
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); /* counters were written by threads */
    __syncthreads();
    for (uint32_t i = threadIdx.x / 32; i < ranges; i += THREADS / 32) {
        const uint32_t first = (i + blockIdx.x) % ranges * RANGE;
        uint32_t any = 0;
#pragma unroll
        for (uint32_t k = lane * 4; k < RANGE; k += 128) {
            const uint4 four = *(const uint4 *)(words + first + k);
            any |= four.x | four.y | four.z | four.w;
        }
        if (__any_sync(0xffffffffU, any != 0) && lane == 0)
            asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%0], [%1], %2;" ::"l"(
                             totals + first),
                         "r"((uint32_t)__cvta_generic_to_shared(words + first)),
                         "r"((uint32_t)(RANGE * sizeof(uint32_t)))
                         : "memory");
    }
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
    asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
    __syncthreads();
    clear(words);
#endif
}

template <int WAY>
__global__ void __launch_bounds__(THREADS, 1) flush_kernel(const uint32_t *usual, const totals to)
{
    extern __shared__ uint4 memory[];
    uint32_t *words = (uint32_t *)memory;
    for (uint32_t i = threadIdx.x; i < TABLE_CODES; i += THREADS)
        words[i] = count_of(usual[i], blockIdx.x, i);
    if (WAY == NOTHING) { /* the compiler must not see that nobody reads them */
        __syncthreads();
        if (words[(threadIdx.x + to.narrow[0]) % TABLE_CODES] == UINT32_MAX)
            to.narrow[0] = 1;
    }
    if (WAY == TODAY)
        table_flush(table<true>{shared_counters_at(words), 0, TABLE_CODES}, words, to.wide);
    if (WAY == CLUSTERS)
        flush_clusters(words, to.wide);
    if (WAY == HALF || WAY == CARRY)
        flush_narrow<WAY == CARRY>(words, to);
    if (WAY == PAIRS)
        flush_pairs(words, to.narrow);
    if (WAY == BULK_128 || WAY == BULK_1024)
        flush_bulk<WAY == BULK_128 ? 128 : 1024>(words, to.narrow);
}

/* -- The host --------------------------------------------------------------------------------------- */

static void check(cudaError_t status, const char *what)
{
    if (status == cudaSuccess)
        return;
    std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(status));
    std::exit(1);
}
#define CHECK(call) check((call), #call)

/* What a block of `share` elements counts of each code, at least one where it may come. */
static std::vector<uint32_t> usual_counts(double share)
{
    std::vector<uint32_t> usual(TABLE_CODES);
    for (uint32_t code = 0; code < TABLE_CODES; code++) {
        const uint32_t exponent = code >> 10 & 31, fraction = code & 1023;
        const double step = std::ldexp(1.0, (int)std::max(exponent, 1U) - 25);
        const double value = (fraction + (exponent ? 1024 : 0)) * step / DEVIATION;
        usual[code] = (uint32_t)(share * step / DEVIATION * std::exp(-value * value / 2) / 2.5066 + 0.5);
    }
    return usual;
}

struct launch {
    void (*kernel)(const uint32_t *, totals);
    unsigned cluster; /* blocks */
    int begin;        /* what each byte of the narrow totals is before */
};

static const launch launches[WAYS] = {
    {flush_kernel<NOTHING>, 1, 0},  {flush_kernel<TODAY>, 1, 0},
    {flush_kernel<CLUSTERS>, 2, 0}, {flush_kernel<HALF>, 1, 0},
    {flush_kernel<PAIRS>, 1, 0},    {flush_kernel<CARRY>, 1, 255}, /* each sum has one */
    {flush_kernel<BULK_128>, 1, 0}, {flush_kernel<BULK_1024>, 1, 0}};

/* The median of the times of a way, in microseconds; its last totals are left. */
static float time_way(const launch &one, unsigned blocks, uint32_t *usual, totals to)
{
    cudaEvent_t begin, end;
    std::vector<float> times;
    cudaLaunchAttribute cluster = {};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {one.cluster, 1, 1};
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(blocks);
    config.blockDim = dim3(THREADS);
    config.dynamicSmemBytes = TABLE_BYTES;
    config.attrs = &cluster;
    config.numAttrs = one.cluster > 1;
    CHECK(cudaEventCreate(&begin));
    CHECK(cudaEventCreate(&end));
    CHECK(cudaFuncSetAttribute(one.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)TABLE_BYTES));
    if (one.cluster > 1) { /* fewer than there are need a second turn */
        int clusters = 0;
        CHECK(cudaOccupancyMaxActiveClusters(&clusters, one.kernel, &config));
        std::printf("flush: clusters at once,%d,,%u,%.3f\n", clusters, blocks / one.cluster,
                    clusters / (double)(blocks / one.cluster));
    }
    for (int i = 0; i < ROUNDS; i++) {
        float ms = 0;
        CHECK(cudaMemsetAsync(to.wide, 0, TABLE_CODES * sizeof(*to.wide), config.stream));
        CHECK(cudaMemsetAsync(to.narrow, one.begin, TABLE_BYTES, config.stream));
        CHECK(cudaMemsetAsync(to.carries, 0, TABLE_BYTES, config.stream));
        CHECK(cudaEventRecord(begin, config.stream));
        CHECK(cudaLaunchKernelEx(&config, one.kernel, (const uint32_t *)usual, to));
        CHECK(cudaEventRecord(end, config.stream));
        CHECK(cudaEventSynchronize(end));
        CHECK(cudaEventElapsedTime(&ms, begin, end));
        times.push_back(1000 * ms);
    }
    CHECK(cudaEventDestroy(begin));
    CHECK(cudaEventDestroy(end));
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

/* How many codes have another sum than the plain one. */
static unsigned count_wrong(const std::vector<uint32_t> &usual, unsigned blocks, totals from,
                            unsigned long long begin)
{
    std::vector<unsigned long long> wide(TABLE_CODES);
    std::vector<uint32_t> narrow(TABLE_CODES), carries(TABLE_CODES);
    unsigned wrong = 0;
    CHECK(cudaMemcpy(wide.data(), from.wide, TABLE_CODES * sizeof(wide[0]), cudaMemcpyDeviceToHost));
    CHECK(cudaMemcpy(narrow.data(), from.narrow, TABLE_BYTES, cudaMemcpyDeviceToHost));
    CHECK(cudaMemcpy(carries.data(), from.carries, TABLE_BYTES, cudaMemcpyDeviceToHost));
    for (uint32_t code = 0; code < TABLE_CODES; code++) {
        unsigned long long sum = begin;
        for (unsigned block = 0; block < blocks; block++)
            sum += count_of(usual[code], block, code);
        wrong += sum != wide[code] + narrow[code] + ((unsigned long long)carries[code] << 32);
    }
    return wrong;
}

int main()
{
    int major = 0, multiprocessors = 0, shared = 0, failed = 0;
    uint32_t *usual_there = nullptr;
    totals to = {};
    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) != cudaSuccess ||
        cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0) != cudaSuccess ||
        cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0) != cudaSuccess) {
        std::fprintf(stderr, "nothing to measure: there is no GPU\n");
        return 77;
    }
    if ((size_t)shared < TABLE_BYTES) {
        std::fprintf(stderr, "nothing to measure: this GPU has no room for a whole table\n");
        return 77;
    }
    const unsigned blocks = (unsigned)multiprocessors / 2 * 2;
    const std::vector<uint32_t> usual = usual_counts(ELEMENTS / blocks);
    CHECK(cudaMalloc(&usual_there, TABLE_BYTES));
    CHECK(cudaMalloc(&to.wide, TABLE_CODES * sizeof(*to.wide)));
    CHECK(cudaMalloc(&to.narrow, TABLE_BYTES));
    CHECK(cudaMalloc(&to.carries, TABLE_BYTES));
    CHECK(cudaMemcpy(usual_there, usual.data(), TABLE_BYTES, cudaMemcpyHostToDevice));
    std::printf("name,value,unit,ceiling,share\n");
    std::printf("flush: codes of a block,%d,,,\n",
                (int)(TABLE_CODES - std::count(usual.begin(), usual.end(), 0U)));
    float alone = 0;
    for (int way = 0; way < WAYS && (major >= 9 || way <= CARRY); way++) {
        if (way == CLUSTERS && major < 9)
            continue;
        const float us = time_way(launches[way], blocks, usual_there, to);
        const unsigned wrong =
            way == NOTHING ? 0 : count_wrong(usual, blocks, to, launches[way].begin ? UINT32_MAX : 0);
        alone = way == NOTHING ? us : alone;
        std::printf("flush: %s,%.2f,us,,\n", names[way], way == NOTHING ? us : us - alone);
        std::fflush(stdout);
        if (wrong)
            std::fprintf(stderr, "%s: %u of %u sums are wrong\n", names[way], wrong, TABLE_CODES);
        failed |= wrong != 0;
    }
    return failed;
}
