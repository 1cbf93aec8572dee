#include "tests/gpu/bench.h"

#include "gpu/backend.h"
#include "tests/tools/random_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void bench_print(const char *name, double value, const char *unit, double ceiling)
{
    if (ceiling > 0)
        printf("%s,%.6g,%s,%.6g,%.3f\n", name, value, unit, ceiling, value / ceiling);
    else
        printf("%s,%.6g,%s,,\n", name, value, unit);
    (void)fflush(stdout);
}

double bench_now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_time_ms(struct bench *bench, int (*launch)(void *context, struct err *err), void *context,
                     int count, struct err *err)
{
    struct cuda_device *device = bench->device;
    cudaEvent_t begin = NULL, end = NULL;
    double times[64], median = -1;
    count = count < 64 ? count : 64;
    if (CUDA_CHECK(device, cudaEventCreate(&begin), err) || CUDA_CHECK(device, cudaEventCreate(&end), err))
        goto out;
    for (int i = -2; i < count; i++) {
        float ms = 0;
        if (CUDA_CHECK(device, cudaEventRecord(begin, device->stream), err) || launch(context, err) ||
            CUDA_CHECK(device, cudaEventRecord(end, device->stream), err) ||
            CUDA_CHECK(device, cudaEventSynchronize(end), err) ||
            CUDA_CHECK(device, cudaEventElapsedTime(&ms, begin, end), err))
            goto out;
        if (i >= 0)
            times[i] = (double)ms;
    }
    qsort(times, (size_t)count, sizeof(times[0]), compare);
    median = times[count / 2];
out:
    if (begin)
        (void)cudaEventDestroy(begin);
    if (end)
        (void)cudaEventDestroy(end);
    return median;
}

void bench_fill(uint16_t *data, size_t count, float scale, uint64_t seed)
{
    /* A pool of random numbers, repeated at changing offsets: making each would take longer than all the
     * rest. */
    enum { POOL = 1 << 20 };
    size_t made = count < POOL ? count : POOL;
    for (size_t i = 0; i < made; i++) {
        uint64_t bits = random_at(seed, i);
        float sum = 0;
        for (int j = 0; j < 4; j++)
            sum += (float)(bits >> (16 * j) & 0xffff) / 65536.0F - 0.5F;
        data[i] = half_to_f16(sum * scale);
    }
    for (size_t at = made; at < count;) {
        size_t offset = random_at(seed, at) % (POOL / 2), left = count - at;
        size_t size = left < POOL / 2 ? left : POOL / 2;
        memcpy(data + at, data + offset, size * sizeof(*data));
        at += size;
    }
}

int main(int count, char **words)
{
    const struct backend_table *backend = bifurcated_backend(BACKEND_ABI_VERSION);
    struct backend_description description;
    struct bench bench = {.device = NULL};
    struct err err = ERR_INIT;
    const char *sizes = "14m,70m,410m,1b,6.9b";
    int has_statistics = 1;
    size_t documents = 5153;
    char why[BACKEND_WHY_BYTES];
    void *device = NULL;
    for (int i = 1; i < count; i++) {
        if (strncmp(words[i], "sizes=", 6) == 0)
            sizes = words[i] + 6;
        if (strcmp(words[i], "statistics=0") == 0)
            has_statistics = 0;
        if (strcmp(words[i], "precision=float32") == 0)
            bench.is_float32 = 1;
        if (strncmp(words[i], "documents=", 10) == 0)
            documents = (size_t)strtoul(words[i] + 10, NULL, 10);
    }
    if (backend->probe(why, sizeof(why))) {
        (void)fprintf(stderr, "nothing to measure: %s\n", why);
        return 77;
    }
    if (backend->device_describe(0, &description, &err) || backend->device_open(0, NULL, &device, &err))
        goto out;
    bench.device = device;
    printf("name,value,unit,ceiling,share\n# %s\n", description.name);
    if (bench_ceilings(&bench, &err) || (has_statistics && bench_statistics(&bench, &err)) ||
        (*sizes && bench_score(&bench, sizes, documents, &err)))
        goto out;
out:
    if (err.code)
        (void)fprintf(stderr, "%s: %s\n", err_name(err.code), err.message);
    backend->device_close(device);
    return err.code ? 1 : 0;
}
