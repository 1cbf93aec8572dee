#include "tests/gpu/bench.h"

#include "gpu/cuda/staging.h"
#include "gpu/cuda/statistics.h"
#include "gpu/cuda/statistics_kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of second_early.cu. */
cudaError_t statistics_launch_second_early(const struct statistics_grid *grid,
                                           const struct statistics_second *pass, cudaStream_t stream);

/* The passes alone, over resident tensors; the small joins are timed with them. */
struct passes {
    struct cuda_device *device;
    int is_early; /* the second pass */
    struct statistics_grid grid;
    struct statistics_first first;
    struct statistics_second second;
    double *high, *low, *joined;
    unsigned long long *missing;
};

static int launch_first(void *context, struct err *err)
{
    struct passes *passes = context;
    struct cuda_device *device = passes->device;
    int code =
        CUDA_CHECK(device, statistics_launch_first(&passes->grid, &passes->first, device->stream), err);
    return code ? code
                : CUDA_CHECK(device,
                             statistics_launch_join_first(&passes->grid, passes->first.sums,
                                                          passes->first.not_finite, passes->high, passes->low,
                                                          passes->missing, device->stream),
                             err);
}

static int launch_second(void *context, struct err *err)
{
    struct passes *passes = context;
    struct cuda_device *device = passes->device;
    const cudaError_t status =
        passes->is_early ? statistics_launch_second_early(&passes->grid, &passes->second, device->stream)
                         : statistics_launch_second(&passes->grid, &passes->second, device->stream);
    int code = CUDA_CHECK(device, status, err);
    return code ? code
                : CUDA_CHECK(device,
                             statistics_launch_join_second(&passes->grid, &passes->second, passes->joined,
                                                           device->stream),
                             err);
}

static void *take(struct passes *passes, void **memory, size_t *sizes, int *count, size_t bytes,
                  struct err *err)
{
    void *made = NULL;
    if (err->code || device_take(passes->device, bytes, &made, err))
        return NULL;
    (void)CUDA_CHECK(passes->device, cudaMemsetAsync(made, 0, bytes, passes->device->stream), err);
    memory[*count] = made;
    sizes[(*count)++] = bytes;
    return made;
}

static int measure(struct bench *bench, const char *name, uint64_t rows, uint64_t token_rows,
                   uint64_t columns, int references, struct err *err)
{
    struct passes passes = {.device = bench->device};
    void *memory[16] = {NULL};
    size_t sizes[16] = {0}, elements = (size_t)(rows * columns), bytes = elements * 2;
    int count = 0;
    char label[160];
    uint16_t *host = malloc(bytes);
    if (!host)
        return err_set(err, ERR_NO_MEMORY, "no memory for a tensor");
    passes.grid = (struct statistics_grid){.kind = STATISTICS_KIND_F16,
                                           .rows = rows,
                                           .columns = columns,
                                           .token_rows = token_rows,
                                           .pitch_bytes = columns * 2};
    statistics_grid_cut(&passes.grid, bench->device->multiprocessor_count, bench->device->shared_bytes_max);
    size_t parts = (size_t)(passes.grid.parts[0] + passes.grid.parts[1]), wide = (size_t)columns;
    for (int i = 0; i <= references; i++) {
        bench_fill(host, elements, 0.02F, (uint64_t)i + 9);
        void *to = take(&passes, memory, sizes, &count, bytes, err);
        if (!to || staging_copy(bench->device, bench->device->stream, to, host, bytes, err))
            goto out;
        if (i)
            passes.second.references[i - 1] = to;
        else
            passes.first.data = passes.second.data = to;
    }
    passes.second.reference_count = references;
    passes.first.sums = passes.second.sums =
        take(&passes, memory, sizes, &count, parts * wide * 24 * STATISTICS_TEAMS, err);
    passes.first.not_finite = take(&passes, memory, sizes, &count, parts * wide * 4, err);
    passes.first.counts = take(&passes, memory, sizes, &count, 2 * 65536 * 8, err);
    passes.second.counts = take(&passes, memory, sizes, &count, 2 * 65536 * 8, err);
    passes.second.partials = take(&passes, memory, sizes, &count,
                                  (size_t)passes.grid.block_count * 4 * sizeof(struct statistics_sums), err);
    passes.first.seen = take(&passes, memory, sizes, &count, 2 * sizeof(struct statistics_seen), err);
    passes.high = take(&passes, memory, sizes, &count, wide * 16, err);
    passes.low = take(&passes, memory, sizes, &count, wide * 16, err);
    passes.missing = take(&passes, memory, sizes, &count, wide * 16, err);
    passes.joined = take(&passes, memory, sizes, &count, wide * 48, err);
    passes.second.means = take(&passes, memory, sizes, &count, wide * 16, err);
    passes.second.centres = take(&passes, memory, sizes, &count, wide * 8, err);
    passes.second.scales[0] = passes.second.scales[1] = 1;
    if (err->code)
        goto out;
    double first_ms = bench_time_ms(bench, launch_first, &passes, 20, err);
    double second_ms = bench_time_ms(bench, launch_second, &passes, 20, err);
    passes.is_early = 1;
    double early_ms = bench_time_ms(bench, launch_second, &passes, 20, err);
    if (first_ms <= 0 || second_ms <= 0 || early_ms <= 0)
        goto out;
    double second_bytes = (double)bytes * (1 + references), ceiling = bench->copy_bytes_per_s / 1e9;
    (void)snprintf(label, sizeof(label), "statistics %s %d references: first pass", name, references);
    bench_print(label, (double)bytes / first_ms / 1e6, "GB/s", ceiling);
    (void)snprintf(label, sizeof(label), "statistics %s %d references: second pass", name, references);
    bench_print(label, second_bytes / second_ms / 1e6, "GB/s", ceiling);
    (void)snprintf(label, sizeof(label), "statistics %s %d references: both", name, references);
    bench_print(label, ((double)bytes + second_bytes) / (first_ms + second_ms) / 1e6, "GB/s", ceiling);
    (void)snprintf(label, sizeof(label), "statistics %s %d references: both, loads early", name, references);
    bench_print(label, ((double)bytes + second_bytes) / (first_ms + early_ms) / 1e6, "GB/s", ceiling);
out:
    for (int i = 0; i < count; i++)
        device_drop(bench->device, memory[i], sizes[i]);
    free(host);
    return err->code;
}

int bench_statistics(struct bench *bench, struct err *err)
{
    int code;
    if ((code = measure(bench, "W_U 12b [50688 5120] f16", 50688, 50277, 5120, 2, err)) ||
        (code = measure(bench, "W_U 12b [50688 5120] f16", 50688, 50277, 5120, 0, err)) ||
        (code = measure(bench, "W_U 1b [50304 2048] f16", 50304, 50277, 2048, 2, err)))
        return code;
    return measure(bench, "W_U 14m [50304 128] f16", 50304, 50277, 128, 2, err);
}
